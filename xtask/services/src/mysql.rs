//! A real MySQL or MariaDB: initialised in a fresh folder, started on a free port with a row-based
//! binlog, killed and removed with its handle.
//!
//! MySQL is unpacked from Debian sid into the cache (`mysql/unpack.sh`; the version is what sid has
//! and is printed); MariaDB is the system's. Nothing is fsynced: the data is thrown away.

mod programs;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use programs::{Programs, give_away, run, text_of};

use crate::ports;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavor {
    MySql,
    MariaDb,
}

impl Flavor {
    /// What a capture needs.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::MySql => &[
                "--mysqlx=OFF",
                "--server-id=1",
                "--binlog-row-image=FULL",
                "--binlog-row-metadata=FULL",
                "--gtid-mode=ON",
                "--enforce-gtid-consistency=ON",
                "--performance-schema=OFF",
                "--innodb-redo-log-capacity=8M",
                "--innodb-flush-log-at-trx-commit=0",
                "--sync-binlog=0",
                "--default-time-zone=+00:00",
            ],
            Self::MariaDb => &[
                "--server-id=1",
                "--binlog-format=ROW",
                "--binlog-row-image=FULL",
                "--binlog-row-metadata=FULL",
                "--gtid-strict-mode=ON",
                "--gtid-domain-id=7",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-log-file-size=8M",
                "--character-set-server=utf8mb4",
                "--default-time-zone=+00:00",
            ],
        }
    }
}

/// How a server differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Further arguments (`--name=value`); they win over the usual ones.
    pub arguments: Vec<String>,
    /// TLS with a certificate of its own for `localhost` and `127.0.0.1`.
    pub tls: bool,
}

/// A running server. Dropping it kills the server and removes its data.
#[derive(Debug)]
pub struct MySql {
    programs: Programs,
    flavor: Flavor,
    dir: PathBuf,
    port: u16,
    options: Options,
    child: Option<Child>,
    watchdog: Option<Child>,
}

/// Why no such server can be started here; `None` when one can.
#[must_use]
pub fn missing(flavor: Flavor) -> Option<String> {
    Programs::find(flavor).err()
}

/// Folder of MariaDB's plugins, `auth_ed25519` among them; for its `--plugin-dir`.
///
/// # Errors
/// They are not here; the text says how they come.
pub fn maria_plugins() -> Result<PathBuf, String> {
    Programs::maria_plugins().ok_or_else(|| {
        "MariaDB's plugins are not here: `cargo xtask services up mysql` fetches them".into()
    })
}

/// Fetches MySQL, and the plugins that MariaDB's core package has not, into the cache, unless they
/// are there.
///
/// # Errors
/// This is no Debian system, or its archive cannot be reached; the text says what was tried.
pub fn fetch() -> Result<(), String> {
    Programs::unpack()?;
    Programs::unpack_plugins()
}

impl MySql {
    /// Initialises and starts a server; one to four seconds.
    ///
    /// # Errors
    /// No programs ([`missing`]), or what the failing program and the server's log said.
    pub fn start(flavor: Flavor, options: &Options) -> Result<Self, String> {
        let programs = Programs::find(flavor)?;
        let dir = fresh_dir()?;
        let options = options.clone();
        let mut server =
            Self { programs, flavor, dir, port: 0, options, child: None, watchdog: None };
        server.programs.initialise(&server.data_dir(), &server.dir)?;
        if server.options.tls {
            server.make_certificate()?;
        }
        for _ in 0..5 {
            server.port = ports::free(1)?;
            match server.launch() {
                Err(e) if server.log().contains("Address already in use") => drop(e),
                other => return other.map(|()| server),
            }
        }
        Err(server.log())
    }

    /// A certificate that is its own issuer, but no certificate authority.
    fn make_certificate(&self) -> Result<(), String> {
        let config = self.dir.join("openssl.cnf");
        let text = "[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n\
                    [dn]\nCN=localhost\n[ext]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
        std::fs::write(&config, text).map_err(|e| format!("cannot write {config:?}: {e}"))?;
        let key = self.dir.join("server.key");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config"]);
        openssl.arg(&config).arg("-keyout").arg(&key).arg("-out").arg(self.certificate());
        run(&mut openssl)?;
        give_away(&key)
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.dir.join("log"));
        let log = log.map_err(|e| format!("cannot write the log: {e}"))?;
        let errors = log.try_clone().map_err(|e| format!("cannot write the log: {e}"))?;
        let mut command = self.programs.server(&self.data_dir(), &self.dir);
        command.arg(format!("--port={}", self.port)).arg("--bind-address=127.0.0.1");
        command.arg(format!("--socket={}", self.socket().display()));
        command.arg(format!("--log-bin={}", self.data_dir().join("binlog").display()));
        command.args(self.flavor.settings());
        if self.options.tls {
            command.arg(format!("--ssl-cert={}", self.certificate().display()));
            command.arg(format!("--ssl-key={}", self.dir.join("server.key").display()));
        }
        command.args(&self.options.arguments);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().map_err(|e| format!("cannot run the server: {e}"))?;
        self.watch(child.id())?;
        self.child = Some(child);
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let since = Instant::now();
        loop {
            if self.sql("", "select 1").is_ok() {
                return Ok(());
            }
            let gone = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten());
            if gone.is_some() || since.elapsed() > PATIENCE {
                self.kill();
                return Err(format!("the server did not start: {}", self.log()));
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Starts a process that ends the server when we die without doing so ourselves.
    fn watch(&mut self, pid: u32) -> Result<(), String> {
        let script = "trap '' INT TERM HUP; read -r word
                      [ \"$word\" = leave ] || { kill -9 \"$2\"; rm -rf \"$1\"; }";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(&self.dir).arg(pid.to_string());
        let quiet = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.watchdog = Some(quiet.spawn().map_err(|e| format!("cannot run sh: {e}"))?);
        Ok(())
    }

    fn unwatch(&mut self) {
        if let Some(mut child) = self.watchdog.take() {
            let told = child.stdin.take().map(|mut input| input.write_all(b"leave\n"));
            if matches!(told, Some(Ok(()))) {
                drop(child.wait());
            }
        }
    }

    /// Whose server it is.
    #[must_use]
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    /// The server's certificate (PEM), where TLS is on.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("server.crt")
    }

    /// The folder of tables and logs.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log(&self) -> String {
        let text = std::fs::read(self.dir.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or(&[]).join("\n")
    }

    /// Runs a script as root through the server's own client, in one connection. Answers rows, a
    /// tab between columns, without a heading.
    ///
    /// # Errors
    /// What the first failing statement said.
    pub fn sql(&self, database: &str, script: &str) -> Result<String, String> {
        let mut client = self.programs.client();
        client
            .arg(format!("--socket={}", self.socket().display()))
            .args(["-u", "root", "-N", "-B"]);
        client.arg("--default-character-set=utf8mb4");
        if !database.is_empty() {
            client.arg(database);
        }
        let spawned =
            client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|e| format!("cannot run the client: {e}"))?;
        // The client ends at the first error and closes its input: the answer then tells why.
        let written = child.stdin.take().map(|mut input| input.write_all(script.as_bytes()));
        let output = child.wait_with_output().map_err(|e| format!("cannot run the client: {e}"))?;
        let text = text_of("the client", &output)?;
        match written {
            Some(Err(e)) => Err(format!("the client did not read the whole script: {e}")),
            _ => Ok(text.trim_end_matches('\n').to_owned()),
        }
    }

    /// A client program by MySQL's name of it (`mysqlbinlog`, `mysqldump`), which connects over TCP
    /// as root. `None`: it is not here.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<Command> {
        self.programs.tool(name, self.port)
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        self.unwatch();
    }

    /// Ends the server cleanly; [`MySql::start_again`] brings it back.
    ///
    /// # Errors
    /// The server does not take the word.
    pub fn stop(&mut self) -> Result<(), String> {
        self.sql("", "shutdown")?;
        let since = Instant::now();
        while let Some(child) = &mut self.child {
            if child.try_wait().map_err(|e| e.to_string())?.is_some() {
                self.child = None;
            } else if since.elapsed() > PATIENCE {
                return Err(format!("the server does not stop: {}", self.log()));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        self.unwatch();
        Ok(())
    }

    /// Starts a stopped or killed server on the same port and data.
    ///
    /// # Errors
    /// What the server's log said.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.launch()
    }

    /// The same with other arguments than those it was started with.
    ///
    /// # Errors
    /// What the server's log said.
    pub fn start_with(&mut self, arguments: &[String]) -> Result<(), String> {
        self.options.arguments = arguments.to_vec();
        self.launch()
    }

    /// Leaves the server running and answers its folder, for [`stop_detached`].
    #[must_use]
    pub fn detach(mut self) -> PathBuf {
        self.unwatch();
        if let Some(child) = self.child.take() {
            drop(std::fs::write(self.dir.join("pid"), child.id().to_string()));
        }
        std::mem::take(&mut self.dir)
    }
}

impl Drop for MySql {
    fn drop(&mut self) {
        if self.dir.as_os_str().is_empty() {
            return;
        }
        self.kill();
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// Ends a server that [`MySql::detach`] left running, and removes its data.
///
/// # Errors
/// There is no such server, or its folder stays.
pub fn stop_detached(dir: &Path) -> Result<(), String> {
    let pid = std::fs::read_to_string(dir.join("pid")).map_err(|e| format!("no server: {e}"))?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // The number may be another program's by now.
    if String::from_utf8_lossy(&command).contains(&*dir.to_string_lossy()) {
        run(Command::new("kill").arg("-9").arg(&pid))?;
    }
    std::fs::remove_dir_all(dir).map_err(|e| format!("cannot remove {}: {e}", dir.display()))
}

/// A new folder that the server's user owns. Its path is short: socket paths are limited.
fn fresh_dir() -> Result<PathBuf, String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = OsString::from(format!("wasmgate-my-{}-{number}", std::process::id()));
    let dir = std::env::temp_dir().join(name);
    let make = |e: std::io::Error| format!("cannot create {}: {e}", dir.display());
    std::fs::create_dir(&dir).map_err(make)?;
    std::fs::create_dir(dir.join("tmp")).map_err(make)?;
    run(Command::new("chmod").arg("0755").arg(&dir))?;
    give_away(&dir)?;
    give_away(&dir.join("tmp"))?;
    Ok(dir)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]
mod tests {
    use super::*;

    fn starts_answers_restarts_and_vanishes(flavor: Flavor) {
        if let Some(reason) = missing(flavor) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
            return eprintln!("skipped: {reason}");
        }
        let options = Options { tls: true, ..Options::default() };
        let mut server = MySql::start(flavor, &options).unwrap();
        let sql = "create database d; create table d.t(a int primary key, b varchar(9));
                   insert into d.t values (1, 'é'), (2, 'b');
                   select sum(a), max(b), @@binlog_format, @@binlog_row_metadata, @@time_zone from d.t";
        assert_eq!(server.sql("", sql).unwrap(), "3\té\tROW\tFULL\t+00:00");
        server.stop().unwrap();
        assert!(server.sql("", "select 1").is_err());
        server.start_again().unwrap();
        server.kill();
        server.start_again().unwrap();
        assert_eq!(server.sql("d", "select count(*) from t").unwrap(), "2");
        let dir = server.dir.clone();
        drop(server);
        assert!(!dir.exists());
    }

    #[test]
    fn mysql_starts_answers_restarts_and_vanishes() {
        starts_answers_restarts_and_vanishes(Flavor::MySql);
    }

    #[test]
    fn mariadb_starts_answers_restarts_and_vanishes() {
        starts_answers_restarts_and_vanishes(Flavor::MariaDb);
    }
}
