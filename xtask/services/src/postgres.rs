//! A real Postgres from found or fetched binaries: initialised in a fresh folder, started on a
//! free port with logical decoding on, killed and removed with its handle.
//!
//! `fsync` is off (the data is thrown away), `synchronous_commit` stays on: decoding sees only
//! flushed log, so without it a committed row shows up late.

mod binaries;
mod release;
mod session;
mod standby;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use binaries::{Binaries, run, text_of};
pub use release::Release;
pub use session::Session;

use crate::certificates::Pair;
use crate::ports;

/// What a capture needs, and quick checks of silent connections.
const SETTINGS: &[(&str, &str)] = &[
    ("wal_level", "logical"),
    ("max_wal_senders", "20"),
    ("max_replication_slots", "20"),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("wal_sender_timeout", "5s"),
];

/// How a server differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Further `-c name=value` settings; they win over the usual ones.
    pub settings: Vec<(String, String)>,
    /// Lines of `pg_hba.conf` that come before the usual ones.
    pub hba: Vec<String>,
    /// Password of the superuser `postgres`, asked for over TCP with SCRAM. `None`: everybody is
    /// trusted.
    pub password: Option<String>,
    /// TLS with a certificate of its own for `localhost` and `127.0.0.1`.
    pub tls: bool,
    /// Which Postgres.
    pub release: Release,
}

/// How `pg_ctl` ends a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Waits for nobody, ends cleanly.
    Fast,
    /// As a crash: recovery at the next start.
    Immediate,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

/// A running server. Dropping it kills the server and removes its data.
#[derive(Debug)]
pub struct Postgres {
    binaries: Binaries,
    dir: PathBuf,
    port: u16,
    server_options: String,
    running: bool,
    watchdog: Option<Child>,
}

/// Why no server can be started here; `None` when one can.
#[must_use]
pub fn missing() -> Option<String> {
    Binaries::find(Release::Usual).err()
}

/// As [`missing`], for a release.
#[must_use]
pub fn missing_release(release: Release) -> Option<String> {
    Binaries::find(release).err()
}

impl Postgres {
    /// Initialises and starts a server; about two seconds.
    ///
    /// # Errors
    /// No binaries ([`missing`]), or what the failing program and the server's log said.
    pub fn start(options: &Options) -> Result<Self, String> {
        let binaries = Binaries::find(options.release)?;
        let dir = fresh_dir(&binaries)?;
        let server_options = String::new();
        let mut server =
            Self { binaries, dir, port: 0, server_options, running: false, watchdog: None };
        server.initialise(options)?;
        server.watch()?;
        server.launch(options)?;
        Ok(server)
    }

    fn initialise(&self, options: &Options) -> Result<(), String> {
        let mut initdb = self.binaries.command("initdb");
        initdb.arg("-D").arg(self.data_dir());
        initdb.args(["-U", "postgres", "-A", "trust", "-N", "--no-instructions"]);
        run(initdb.args(["-E", "UTF8", "--locale=C"]))?;
        let hba = self.data_dir().join("pg_hba.conf");
        write_over(&hba, &hba_text(options))?;
        if options.tls {
            self.make_certificate()?;
        }
        Ok(())
    }

    /// A certificate that is its own issuer, but no certificate authority: strict clients refuse
    /// an authority's certificate as a server's.
    fn make_certificate(&self) -> Result<(), String> {
        let config = self.dir.join("openssl.cnf");
        let text = "[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n\
                    [dn]\nCN=localhost\n[ext]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
        std::fs::write(&config, text).map_err(|e| format!("cannot write {config:?}: {e}"))?;
        let key = self.dir.join("server.key");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        openssl.args(["-nodes", "-days", "2", "-config"]).arg(&config);
        openssl.arg("-keyout").arg(&key).arg("-out").arg(self.certificate());
        run(&mut openssl)?;
        run(Command::new("chmod").arg("0600").arg(&key))?;
        self.give_to_postgres(&key)
    }

    fn give_to_postgres(&self, path: &Path) -> Result<(), String> {
        if self.binaries.as_postgres {
            run(Command::new("chown").arg("postgres").arg(path))?;
        }
        Ok(())
    }

    /// Starts a process that ends the server when we die without doing so ourselves: it waits for
    /// a word on a pipe that closes with us.
    fn watch(&mut self) -> Result<(), String> {
        let script = "trap '' INT TERM HUP; dir=$1; shift; read -r word
                      [ \"$word\" = leave ] || { \"$@\"; rm -rf \"$dir\"; }";
        let stop = self.binaries.command("pg_ctl");
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(&self.dir).arg(stop.get_program());
        shell.args(stop.get_args()).arg("-D").arg(self.data_dir());
        shell.args(["-m", Mode::Immediate.name(), "-w", "stop"]).stdin(Stdio::piped());
        let child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.watchdog = Some(child.map_err(|e| format!("cannot run sh: {e}"))?);
        Ok(())
    }

    /// Sends the watchdog home.
    fn unwatch(&mut self) {
        if let Some(mut child) = self.watchdog.take() {
            let told = child.stdin.take().map(|mut input| input.write_all(b"leave\n"));
            if matches!(told, Some(Ok(()))) {
                drop(child.wait());
            }
        }
    }

    /// Starts on a free port; another process may take the port in between, so it is tried again.
    fn launch(&mut self, options: &Options) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..5 {
            self.port = ports::free(1)?;
            self.server_options = self.server_arguments(options);
            match self.pg_ctl(&["start"]) {
                Ok(()) => {
                    self.running = true;
                    return self.set_password(options);
                }
                Err(e) => last = e,
            }
            if !self.log().contains("Address already in use") {
                break;
            }
        }
        Err(last)
    }

    fn server_arguments(&self, options: &Options) -> String {
        let mut text = format!("-p {} -h 127.0.0.1 -k {}", self.port, self.dir.display());
        let mut set = |name: &str, value: &str| {
            text.push_str(&format!(" -c {name}='{value}'"));
        };
        SETTINGS.iter().for_each(|(name, value)| set(name, value));
        if options.tls {
            set("ssl", "on");
            set("ssl_cert_file", &self.certificate().to_string_lossy());
            set("ssl_key_file", &self.dir.join("server.key").to_string_lossy());
        }
        options.settings.iter().for_each(|(name, value)| set(name, value));
        text
    }

    fn set_password(&self, options: &Options) -> Result<(), String> {
        if let Some(password) = &options.password {
            let quoted = password.replace('\'', "''");
            self.psql("postgres", &format!("ALTER ROLE postgres PASSWORD '{quoted}'"))?;
        }
        Ok(())
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.binaries.command("pg_ctl");
        command.arg("-D").arg(self.data_dir()).arg("-w").args(["-t", "60", "-s"]);
        command.arg("-l").arg(self.dir.join("log"));
        if matches!(arguments.first(), Some(&("start" | "restart"))) {
            command.arg("-o").arg(&self.server_options);
        }
        // The server inherits pg_ctl's outputs, so a pipe would stay open as long as it lives.
        let quiet = command.args(arguments).stdin(Stdio::null());
        let status = quiet.stdout(Stdio::null()).stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("pg_ctl {arguments:?} failed ({status}): {}", self.log())),
            Err(e) => Err(format!("cannot run pg_ctl: {e}")),
        }
    }

    /// TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Folder with the Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.dir
    }

    /// The server's certificate (PEM), where TLS is on.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("server.crt")
    }

    /// Shows this certificate from now on, and trusts clients whose certificates descend from
    /// `clients`. The server was started with TLS.
    ///
    /// # Errors
    /// A file cannot be put in place, or the server does not take it.
    pub fn show(&self, pair: &Pair, clients: Option<&Path>) -> Result<(), String> {
        let place = |from: &Path, name: &str| {
            let to = self.dir.join(name);
            std::fs::copy(from, &to).map_err(|e| format!("{}: {e}", from.display()))?;
            run(Command::new("chmod").arg("0600").arg(&to))?;
            self.give_to_postgres(&to)
        };
        place(&pair.certificate, "server.crt")?;
        place(&pair.key, "server.key")?;
        if let Some(clients) = clients {
            place(clients, "clients.crt")?;
            let file = self.dir.join("clients.crt");
            let file = file.display();
            self.psql("postgres", &format!("ALTER SYSTEM SET ssl_ca_file = '{file}'"))?;
        }
        self.pg_ctl(&["reload"])
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Lines of the server's log that have these words in them.
    #[must_use]
    pub fn logged(&self, words: &str) -> Vec<String> {
        let text = std::fs::read(self.dir.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log(&self) -> String {
        let text = std::fs::read(self.dir.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(20);
        lines.into_iter().skip(from).collect::<Vec<_>>().join("\n")
    }

    /// Runs a script as the superuser through `psql`, each statement its own transaction unless
    /// it says `begin`. Answers unaligned rows, `|` between columns.
    ///
    /// # Errors
    /// What the first failing statement said.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut child = Command::new(&self.binaries.psql)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres"])
            .arg("-h")
            .arg(&self.dir)
            .args(["-p", &self.port.to_string(), "-d", database, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot run psql: {e}"))?;
        // psql ends at the first error and closes its input: the answer then tells why.
        let written = child.stdin.take().map(|mut input| input.write_all(sql.as_bytes()));
        let output = child.wait_with_output().map_err(|e| format!("cannot run psql: {e}"))?;
        let text = text_of("psql", &output)?;
        match written {
            Some(Err(e)) => Err(format!("psql did not read the whole script: {e}")),
            _ => Ok(text.trim_end().to_owned()),
        }
    }

    /// Ends the server and starts it again on the same port and data.
    ///
    /// # Errors
    /// What the server's log said.
    pub fn restart(&mut self, mode: Mode) -> Result<(), String> {
        self.pg_ctl(&["restart", "-m", mode.name()])
    }

    /// Ends the server cleanly; [`Postgres::start_again`] brings it back.
    ///
    /// # Errors
    /// What the server's log said.
    pub fn stop(&mut self) -> Result<(), String> {
        self.pg_ctl(&["stop", "-m", Mode::Fast.name()])?;
        self.running = false;
        Ok(())
    }

    /// Starts a stopped server on the same port and data.
    ///
    /// # Errors
    /// What the server's log said.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.pg_ctl(&["start"])?;
        self.running = true;
        Ok(())
    }

    /// A stopped server starts as a standby of nobody: `pg_promote()` makes it a primary server of
    /// the next timeline.
    ///
    /// # Errors
    /// The mark cannot be written.
    pub fn make_standby(&self) -> Result<(), String> {
        let mark = self.data_dir().join("standby.signal");
        std::fs::write(&mark, "").map_err(|e| format!("{}: {e}", mark.display()))?;
        self.give_to_postgres(&mark)
    }

    /// Leaves the server running and answers its folder, for [`stop_detached`].
    #[must_use]
    pub fn detach(mut self) -> PathBuf {
        self.unwatch();
        self.running = false;
        std::mem::take(&mut self.dir)
    }

    fn kill(&mut self) {
        if self.running && self.pg_ctl(&["stop", "-m", Mode::Immediate.name()]).is_ok() {
            self.running = false;
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        if !self.running {
            self.unwatch();
        }
        // A detached server has no folder here; a server that cannot be stopped keeps its own.
        if !self.running && !self.dir.as_os_str().is_empty() {
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

/// Ends a server that [`Postgres::detach`] left running, and removes its data.
///
/// # Errors
/// There is no such server, or it does not stop.
pub fn stop_detached(dir: &Path) -> Result<(), String> {
    let binaries = Binaries::find(Release::Installed)?;
    let mut stop = binaries.command("pg_ctl");
    stop.arg("-D").arg(dir.join("data")).args(["-w", "-m", "immediate", "stop"]);
    run(&mut stop)?;
    std::fs::remove_dir_all(dir).map_err(|e| format!("cannot remove {}: {e}", dir.display()))
}

fn hba_text(options: &Options) -> String {
    let method = if options.password.is_some() { "scram-sha-256" } else { "trust" };
    let mut text = options.hba.join("\n");
    text.push_str(&format!(
        "\nlocal all all trust\nlocal replication all trust\n\
         host all all 127.0.0.1/32 {method}\nhost replication all 127.0.0.1/32 {method}\n"
    ));
    text
}

/// Replaces a file's text and keeps its owner and mode.
fn write_over(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// A new folder that the server's user owns. Its path is short: socket paths are limited.
fn fresh_dir(binaries: &Binaries) -> Result<PathBuf, String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("wasmgate-pg-{}-{number}", std::process::id()));
    let make = |e: std::io::Error| format!("cannot create {}: {e}", dir.display());
    std::fs::create_dir(&dir).map_err(make)?;
    if binaries.as_postgres {
        let path: &OsStr = dir.as_os_str();
        run(Command::new("chmod").arg("0755").arg(path))?;
        run(Command::new("chown").arg("postgres").arg(path))?;
    }
    Ok(dir)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn starts_answers_restarts_and_vanishes() {
        if let Some(reason) = missing() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
            return eprintln!("skipped: {reason}");
        }
        let options = Options {
            settings: vec![("wal_sender_timeout".into(), "1s".into())],
            tls: true,
            password: Some("se'cret".into()),
            ..Options::default()
        };
        let mut server = Postgres::start(&options).unwrap();
        let sql = "create table t(a int); insert into t values (1), (2);
                   select sum(a), current_setting('ssl'), current_setting('wal_level'),
                     current_setting('wal_sender_timeout') from t";
        assert_eq!(server.psql("postgres", sql).unwrap(), "3|on|logical|1s");
        server.restart(Mode::Immediate).unwrap();
        assert_eq!(server.psql("postgres", "select count(*) from t").unwrap(), "2");
        assert!(server.psql("postgres", "select 1/0").unwrap_err().contains("division by zero"));
        let dir = server.socket_dir().to_owned();
        drop(server);
        assert!(!dir.exists());
    }

    #[test]
    fn other_releases_start_too() {
        for release in Release::FETCHED {
            if let Some(reason) = missing_release(release) {
                assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
                eprintln!("skipped: {reason}");
                continue;
            }
            let server = Postgres::start(&Options { release, ..Options::default() }).unwrap();
            let sql = "select current_setting('server_version_num')::int / 10000";
            let major = release.major().unwrap().to_string();
            assert_eq!(server.psql("postgres", sql).unwrap(), major);
        }
    }

    #[test]
    fn a_handle_that_is_lost_takes_the_server_with_it() {
        if let Some(reason) = missing() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
            return eprintln!("skipped: {reason}");
        }
        let mut server = Postgres::start(&Options::default()).unwrap();
        let dir = server.socket_dir().to_owned();
        let mut watchdog = server.watchdog.take().unwrap();
        std::mem::forget(server);
        // what the kernel does when a process is killed
        drop(watchdog.stdin.take());
        assert!(watchdog.wait().unwrap().success());
        assert!(!dir.exists());
    }
}
