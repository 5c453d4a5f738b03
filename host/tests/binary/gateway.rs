//! A running gateway, as tests of the binary see it.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    pub(crate) child: Child,
    stderr: BufReader<ChildStderr>,
    log: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

impl Gateway {
    pub(crate) fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasmgate"))
            .args(["run", "-c", "w.yaml"])
            .args(args)
            .current_dir(dir)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, log: String::new() }
    }

    /// Reads the log to the line with `text`, and gives what follows it there.
    pub(crate) fn logged(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "{text:?} was never logged:\n{}", self.log);
            self.log.push_str(&line);
            if let Some((_, rest)) = line.split_once(text) {
                return rest.trim().to_owned();
            }
        }
    }

    /// `host:port` of the HTTP interface.
    pub(crate) fn address(&mut self) -> String {
        self.logged("HTTP interface listens address=")
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// The rest of the log, and how it ended.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        self.stderr.read_to_string(&mut self.log).unwrap();
        (self.child.wait().unwrap(), self.log.clone())
    }
}

/// One HTTP exchange without a body: status line and body.
pub(crate) fn ask(address: &str, request: &str) -> (String, String) {
    send(address, request, &[])
}

/// One HTTP exchange: status line and body.
pub(crate) fn send(address: &str, request: &str, body: &[u8]) -> (String, String) {
    send_with(address, request, "", body)
}

/// One HTTP exchange with headers of its own, each ended by a line break.
pub(crate) fn send_with(
    address: &str,
    request: &str,
    headers: &str,
    body: &[u8],
) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!("Host: {address}\r\nConnection: close\r\nContent-Length: {length}");
    write!(stream, "{request} HTTP/1.1\r\n{headers}{head}\r\n\r\n").unwrap();
    match stream.write_all(body) {
        // Who refuses a request by its head may close before its body has come.
        Err(error)
            if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
        written => written.unwrap(),
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// Asks again and again until the answer has `text`.
pub(crate) fn ask_until(address: &str, request: &str, text: &str) -> String {
    let mut last = (String::new(), String::new());
    until(&format!("{request} with {text:?}"), || {
        last = ask(address, request);
        last.0.contains(text) || last.1.contains(text)
    });
    last.1
}

/// Looks again and again until something is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}
