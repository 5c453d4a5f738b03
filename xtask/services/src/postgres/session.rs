//! A connection that stays open between statements, for transactions that a test holds open.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Postgres;

/// What ends the answer to a script.
const DONE: &str = "-- done --";

/// An open `psql`. Dropping it ends the connection; an open transaction is rolled back.
#[derive(Debug)]
pub struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Postgres {
    /// Opens a connection as the superuser.
    ///
    /// # Errors
    /// There is no `psql`.
    pub fn session(&self, database: &str) -> Result<Session, String> {
        let mut child = Command::new(&self.binaries.psql)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres"])
            .arg("-h")
            .arg(&self.dir)
            .args(["-p", &self.port.to_string(), "-d", database, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot run psql: {e}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).ok_or("psql has no input")?;
        Ok(Session { child, input, output: BufReader::new(output) })
    }
}

impl Session {
    /// Runs a script and waits for its end.
    ///
    /// # Errors
    /// A statement failed; psql says on standard error which.
    pub fn run(&mut self, sql: &str) -> Result<(), String> {
        let written = writeln!(self.input, "{sql};\n\\echo {DONE}");
        written.and_then(|()| self.input.flush()).map_err(|e| format!("psql ended: {e}"))?;
        let mut line = String::new();
        loop {
            line.clear();
            match self.output.read_line(&mut line) {
                Ok(0) => return Err(format!("psql ended at: {sql}")),
                Ok(_) if line.trim_end() == DONE => return Ok(()),
                Ok(_) => {}
                Err(e) => return Err(format!("cannot read what psql says: {e}")),
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Killed, psql leaves the server to notice the closed connection, as a broken client does.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
