//! The release binary as a user runs it: a process with a configuration file.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Problem;
use crate::measure::{Usage, cpu_seconds, memory_mib, until};

/// Bound on a run.
const PATIENCE: Duration = Duration::from_secs(1800);

/// The project's root folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// One line of a pipeline's `transforms`.
pub(crate) fn stage(module: &str, config: &str) -> String {
    format!("      - {{ module: {module}, config: {} }}\n", config.replace('\n', " "))
}

/// A running gateway; dropped means SIGKILL.
pub(crate) struct Gateway {
    child: Child,
    address: String,
    started: Instant,
    log: PathBuf,
}

impl Gateway {
    /// Starts it in `dir` with `pipelines` (YAML, indented by two). The data directory is kept
    /// from run to run, so that modules are compiled once.
    pub(crate) fn start(dir: &Path, pipelines: &str) -> Result<Self, Problem> {
        Self::start_with(dir, &root().join("transforms"), pipelines, Stdio::null())
    }

    /// As [`Gateway::start`], with a folder of modules of its own, and its standard output.
    pub(crate) fn start_with(
        dir: &Path,
        modules: &Path,
        pipelines: &str,
        output: Stdio,
    ) -> Result<Self, Problem> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
        let file = dir.join("wasmgate.yaml");
        let text = format!(
            "data_dir: {}
http: {{ listen: {address} }}
modules: {{ dir: {} }}
log: {{ level: warn }}
pipelines:
{pipelines}",
            dir.join("data").display(),
            modules.display()
        );
        fs::write(&file, text)?;
        let log = dir.join("gateway.log");
        // Beside us: both are built by one cargo into one folder.
        let binary = std::env::current_exe()?.with_file_name("wasmgate");
        let started = Instant::now();
        let child = Command::new(&binary)
            .args(["run", "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(File::create(&log)?)
            .spawn()
            .map_err(|e| format!("{}: {e}", binary.display()))?;
        Ok(Self { child, address, started, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `/readyz` answers 200; seconds since the start.
    pub(crate) fn ready(&mut self) -> Result<f64, Problem> {
        loop {
            if self.get("/readyz").is_some_and(|(status, _)| status == 200) {
                return Ok(self.started.elapsed().as_secs_f64());
            }
            self.alive()?;
            if self.started.elapsed() > PATIENCE {
                return Err("the gateway is not ready".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn alive(&mut self) -> Result<(), Problem> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the gateway ended: {status}\n{}", self.said()).into()),
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `records` left the pipeline and were settled; what that took since the start.
    pub(crate) fn finish(&mut self, pipeline: &str, records: u64) -> Result<Usage, Problem> {
        until("the run", PATIENCE, || {
            let usage = Usage {
                wall_s: self.started.elapsed().as_secs_f64(),
                cpu_s: cpu_seconds(self.pid()),
                peak_mib: memory_mib(self.pid(), "VmHWM"),
            };
            self.alive()?;
            let answer = self.get(&format!("/api/v1/pipelines/{pipeline}"));
            let Some((200, body)) = answer else { return Ok(None) };
            let status: Value = serde_json::from_str(&body)?;
            let count = |name: &str| status.get(name).and_then(Value::as_u64).unwrap_or_default();
            if count("dropped") + count("dead_letters") > 0 {
                return Err(format!("records were lost: {body}\n{}", self.said()).into());
            }
            Ok((count("records_out") >= records).then_some(usage))
        })
    }

    /// Ends it as an operator does, and waits for it.
    pub(crate) fn stop(mut self) -> Result<(), Problem> {
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("the gateway ended: {status}\n{}", self.said()).into())
    }

    /// The pipe that standard output was made.
    pub(crate) fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Status and body of a GET; `None` where nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        self.ask("GET", path, b"")
    }

    /// Status and body of a request; `None` where nobody answers.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let (host, length) = (&self.address, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
        )
        .ok()?;
        stream.write_all(body).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split_whitespace().nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1.to_owned();
        Some((status, body))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
