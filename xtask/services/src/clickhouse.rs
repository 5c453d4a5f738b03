//! ClickHouse's engine as a server: `wasmgate-chdb` (`chdb/`, built with the workspace) around
//! libchdb from npm, which the first start fetches into `$WASMGATE_CACHE` (178 MB) when `CI=true`.
//!
//! Real semantics, but not ClickHouse's own HTTP front end; for that there is
//! [`crate::clickhouse_wire`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

use crate::{cache, ports};

/// The package and its version; it holds engine 26.7.2.1.
const PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
/// Named exactly: npm's default is an older one.
pub const VERSION: &str = "26.7.3-stable.1";

/// A free port may be taken between the look and the start: so often it is tried again.
const TRIES: usize = 5;

/// A running engine. Dropping it kills the server and deletes its data.
#[derive(Debug)]
pub struct ClickHouse {
    child: Child,
    dir: PathBuf,
    port: u16,
    secret: Option<String>,
}

impl ClickHouse {
    /// Starts an empty engine on a free port.
    ///
    /// # Errors
    /// Something is missing (see [`missing`]), or it does not come up: the text says why.
    pub fn start() -> Result<Self, String> {
        Self::start_with(None)
    }

    /// As [`Self::start`]; every request has to bring this `user:password`, or the password as a
    /// bearer token.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_with(secret: Option<&str>) -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("wasmgate-chdb-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let secret = secret.map(str::to_owned);
        let mut last = String::new();
        for _ in 0..TRIES {
            let port = ports::free(1)?;
            match spawn(&dir, port, secret.as_deref()) {
                Err(taken) if taken.contains("Address already in use") => last = taken,
                child => return Ok(Self { child: child?, dir, port, secret }),
            }
        }
        Err(last)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Process id of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL; the data stays.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<(), String> {
        self.child.kill().map_err(|e| e.to_string())?;
        self.child.wait().map(drop).map_err(|e| e.to_string())
    }

    /// Starts again on the same port and data.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = spawn(&self.dir, self.port, self.secret.as_deref())?;
        Ok(())
    }

    /// Runs a statement; what it answers, tab-separated where it says no FORMAT.
    ///
    /// # Errors
    /// The exception's text.
    pub fn query(&self, sql: &str) -> Result<String, String> {
        self.post("/", sql.as_bytes())
    }

    /// The next inserts meet a fault: parameters of `POST /fault`, see `chdb/src/serve.rs`.
    ///
    /// # Errors
    /// The server is not there.
    pub fn fault(&self, parameters: &str) -> Result<(), String> {
        self.post(&format!("/fault?{parameters}"), b"").map(drop)
    }

    /// Every insert taken so far: (deduplication token, bytes, statement).
    ///
    /// # Errors
    /// The server is not there.
    pub fn inserts(&self) -> Result<Vec<(String, u64, String)>, String> {
        let text = self.post("/inserts", b"")?;
        let insert = |line: &str| {
            let mut parts = line.splitn(3, '\t');
            let (token, bytes) = (parts.next()?, parts.next()?.parse().ok()?);
            Some((token.to_owned(), bytes, parts.next()?.to_owned()))
        };
        Ok(text.lines().filter_map(insert).collect())
    }

    /// Posts a body to a path with its parameters.
    ///
    /// # Errors
    /// The server is not there, or answers something else than 200: the body.
    pub fn post(&self, path: &str, body: &[u8]) -> Result<String, String> {
        let secret = self.secret.as_deref().map(|s| s.split_once(':').unwrap_or((s, "")));
        post(self.port, path, body, secret)
    }
}

/// One request without keep-alive.
pub(crate) fn post(
    port: u16,
    path: &str,
    body: &[u8],
    secret: Option<(&str, &str)>,
) -> Result<String, String> {
    let error = |e: std::io::Error| format!("clickhouse on port {port}: {e}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(error)?;
    stream.set_read_timeout(Some(Duration::from_secs(120))).map_err(error)?;
    let secret = secret.map_or(String::new(), |(user, password)| {
        format!("X-ClickHouse-User: {user}\r\nX-ClickHouse-Key: {password}\r\n")
    });
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{secret}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).map_err(error)?;
    let mut from = BufReader::new(stream);
    let (mut line, mut length, mut chunked) = (String::new(), 0, false);
    from.read_line(&mut line).map_err(error)?;
    let ok = line.split(' ').nth(1) == Some("200");
    loop {
        let mut header = String::new();
        from.read_line(&mut header).map_err(error)?;
        let header = header.trim_end().to_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
        if header.is_empty() {
            break;
        }
    }
    let mut answer = Vec::new();
    if chunked {
        loop {
            let mut size = String::new();
            from.read_line(&mut size).map_err(error)?;
            let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
            from.by_ref().take(size).read_to_end(&mut answer).map_err(error)?;
            from.read_line(&mut String::new()).map_err(error)?;
            if size == 0 {
                break;
            }
        }
    } else {
        from.take(length).read_to_end(&mut answer).map_err(error)?;
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    if ok { Ok(text) } else { Err(text) }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.kill().ok();
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// What is missing on this machine to start the engine; `None`: nothing.
#[must_use]
pub fn missing() -> Option<String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Some("ClickHouse's engine is fetched for x86-64 Linux only".to_owned());
    }
    if library().is_file() || env::var("CI").as_deref() == Ok("true") {
        return None;
    }
    let reason = "ClickHouse's engine is not in the cache (178 MB); CI=true fetches it, as does";
    Some(format!("{reason} `npm pack {PACKAGE}@{VERSION}` unpacked into {}", folder().display()))
}

/// Its folder in the cache.
fn name() -> String {
    format!("libchdb-{VERSION}")
}

fn folder() -> PathBuf {
    cache::folder().join(name())
}

fn library() -> PathBuf {
    folder().join("libchdb.so")
}

/// Fetches the library once.
fn fetched() -> Result<PathBuf, String> {
    cache::filled(&name(), |scratch| {
        let package = format!("{PACKAGE}@{VERSION}");
        run(Command::new("npm").args(["pack", "--silent", &package]).current_dir(scratch))?;
        let entries = fs::read_dir(scratch).map_err(|e| e.to_string())?;
        let mut files = entries.flatten().map(|entry| entry.path());
        let packed = files.find(|path| path.extension().is_some_and(|e| e == "tgz"));
        let packed = packed.ok_or_else(|| format!("npm pack {package} left no file"))?;
        let mut tar = Command::new("tar");
        run(tar.args(["--strip-components=1", "-xzf"]).arg(&packed).current_dir(scratch))?;
        fs::remove_file(packed).map_err(|e| e.to_string())
    })?;
    Ok(library())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The server's program: beside the test's own.
fn program() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|e| e.to_string())?;
    let here = own.ancestors().skip(1).map(|folder| folder.join("wasmgate-chdb"));
    let found = here.take(2).find(|path| path.is_file());
    found
        .ok_or_else(|| "wasmgate-chdb is not built: cargo build --package wasmgate-chdb".to_owned())
}

fn spawn(dir: &Path, port: u16, secret: Option<&str>) -> Result<Child, String> {
    let mut command = Command::new(program()?);
    command.arg(fetched()?).arg(dir).arg(port.to_string());
    command.envs(secret.map(|secret| ("WASMGATE_CHDB_SECRET", secret)));
    let log = fs::File::create(dir.join("server.log")).map_err(|e| e.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|e| format!("wasmgate-chdb: {e}"))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
    }
    if line.starts_with("listening ") {
        return Ok(child);
    }
    child.kill().ok();
    let status = child.wait().map(|s| s.to_string()).unwrap_or_default();
    let log = fs::read_to_string(dir.join("server.log")).unwrap_or_default();
    Err(format!("wasmgate-chdb ended ({status}): {log}"))
}
