//! The gateway as a user runs it: a process with a configuration file.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::{http, root, wait_for};

/// The binary under test: `WASMGATE_BIN`, or beside the test's own.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("WASMGATE_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join("wasmgate")
}

/// A running gateway; dropped means SIGKILL.
pub struct Gateway {
    child: Child,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
    address: String,
}

impl Gateway {
    /// Starts it and waits until it listens. `{modules}` in the text is the drop directory.
    ///
    /// # Panics
    /// It ends before it listens.
    #[must_use]
    pub fn start(dir: &Path, config: &str) -> Self {
        Self::start_with(dir, config, &[])
    }

    /// The same, with more arguments.
    ///
    /// # Panics
    /// It ends before it listens.
    #[must_use]
    pub fn start_with(dir: &Path, config: &str, arguments: &[&str]) -> Self {
        let mut gateway = Self::spawn(dir, config, arguments);
        gateway.address = wait_for(
            "the listener",
            || {
                let log = gateway.log();
                let at = log.find("address=")? + "address=".len();
                let rest = &log[at..];
                let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))?;
                Some(rest[..end].to_owned())
            },
            || gateway.log(),
        );
        gateway
    }

    /// Starts it without waiting.
    ///
    /// # Panics
    /// The binary is not there: build it first.
    #[must_use]
    pub fn spawn(dir: &Path, config: &str, arguments: &[&str]) -> Self {
        let file = dir.join("wasmgate.yaml");
        fs::write(&file, expand(dir, config)).unwrap();
        let mut child = Command::new(binary())
            .args(["run", "-c"])
            .arg(&file)
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; build the workspace first", binary().display()));
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let path = dir.join("gateway.log");
        let reading = std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                writeln!(file, "{line}").unwrap();
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self { child, log, reading: Some(reading), address: String::new() }
    }

    /// Host and port of the HTTP listener.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Status of a pipeline.
    #[must_use]
    pub fn pipeline(&self, name: &str) -> Option<Value> {
        http::json(&self.address, &format!("/api/v1/pipelines/{name}"))
    }

    /// Where a pipeline stands and what was logged, for the message of a test that fails.
    #[must_use]
    pub fn describe(&self, name: &str) -> String {
        let status = self.pipeline(name).map_or_else(|| "no answer".into(), |s| s.to_string());
        format!("{status}\n{}", self.log())
    }

    /// Waits until a pipeline's status fulfils a condition.
    ///
    /// # Panics
    /// It does not in time.
    pub fn wait_pipeline(
        &self,
        name: &str,
        what: &str,
        mut holds: impl FnMut(&Value) -> bool,
    ) -> Value {
        wait_for(
            what,
            || self.pipeline(name).filter(|status| holds(status)),
            || self.describe(name),
        )
    }

    /// Waits until every pipeline is ready.
    ///
    /// # Panics
    /// They are not in time.
    pub fn wait_ready(&self) {
        let ready = || http::request(&self.address, "GET", "/readyz", b"").filter(|a| a.0 == 200);
        wait_for("readiness", ready, || self.log());
    }

    /// Resident memory in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap_or_default();
        statm.split_whitespace().nth(1).and_then(|p| p.parse::<u64>().ok()).unwrap_or(0) * 4096
    }

    /// SIGKILL, as a crash.
    ///
    /// # Panics
    /// It cannot be waited for.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A signal by name, and how it ended.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn signal_and_wait(mut self, signal: &str) -> (ExitStatus, String) {
        let pid = self.pid().to_string();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success()
        );
        let status = self.wait();
        (status, self.log())
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn wait(&mut self) -> ExitStatus {
        let log = Arc::clone(&self.log);
        let child = &mut self.child;
        let ended =
            wait_for("the end", || child.try_wait().unwrap(), || log.lock().unwrap().clone());
        // What it said last may not be read yet.
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
        ended
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `{dir}` and `{modules}` of a configuration.
#[must_use]
pub fn expand(dir: &Path, config: &str) -> String {
    let modules = root().join("transforms");
    config.replace("{dir}", &dir.to_string_lossy()).replace("{modules}", &modules.to_string_lossy())
}

/// The records of a file sink: every line of every file of a folder, or of one file.
#[must_use]
pub fn lines(path: &Path) -> Vec<Value> {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<Value>>()
    };
    if !path.is_dir() {
        return read(path);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|f| read(f)).collect()
}

/// Waits until a file sink has so many records.
///
/// # Panics
/// It has not in time.
pub fn wait_lines(gateway: &Gateway, path: &Path, count: usize) -> Vec<Value> {
    wait_for(
        &format!("{count} records in {}", path.display()),
        || Some(lines(path)).filter(|l| l.len() >= count),
        || format!("{} records\n{}", lines(path).len(), gateway.log()),
    )
}
