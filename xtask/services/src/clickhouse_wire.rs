//! Debian's old ClickHouse (18.16.1), for its HTTP front end: what it says over the wire is
//! ClickHouse's own. Not for SQL: it lacks most of what tables need today. Its packages are
//! unpacked into the cache, nothing is installed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::cache;
use crate::clickhouse::post;
use crate::ports;

/// Name of its folder in the cache.
const NAME: &str = "clickhouse-18.16.1";
/// How long it may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. Dropping it kills it and deletes its data.
#[derive(Debug)]
pub struct OldServer {
    child: Child,
    dir: PathBuf,
    port: u16,
    user: String,
    password: String,
}

impl OldServer {
    /// Starts an empty server with one user.
    ///
    /// # Errors
    /// It cannot be fetched, or does not come up: the text says why.
    pub fn start(user: &str, password: &str) -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let root = fetched()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("wasmgate-old-ch-{}-{number}", std::process::id()));
        fs::create_dir_all(dir.join("data")).map_err(|e| format!("{}: {e}", dir.display()))?;
        let port = ports::free(1)?;
        configure(&dir, port, (user, password))?;
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|l| root.join(l));
        let libraries = libraries.map(|l| l.display().to_string()).join(":");
        let mut command = as_nobody(&dir)?;
        command.arg(root.join("usr/sbin/clickhouse-server"));
        command.arg(format!("--config-file={}", dir.join("c.xml").display()));
        let child = command
            .env("LD_LIBRARY_PATH", libraries)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("clickhouse-server: {e}"))?;
        let (user, password) = (user.to_owned(), password.to_owned());
        let mut server = Self { child, dir, port, user, password };
        let started = Instant::now();
        while server.query("SELECT 1").is_err() {
            let ended = server.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || started.elapsed() > PATIENCE {
                let log = fs::read_to_string(server.dir.join("e")).unwrap_or_default();
                return Err(format!("the old clickhouse-server does not come up: {log}"));
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Port of its HTTP interface.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// The exception's text.
    pub fn query(&self, sql: &str) -> Result<String, String> {
        post(self.port, "/", sql.as_bytes(), Some((&self.user, &self.password)))
    }
}

impl Drop for OldServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.dir).ok();
    }
}

/// What is missing on this machine to start it; `None`: nothing.
#[must_use]
pub fn missing() -> Option<String> {
    if cache::folder().join(NAME).is_dir() || env::var("CI").as_deref() == Ok("true") {
        return None;
    }
    Some(
        "the old ClickHouse is not in the cache; CI=true fetches it from Debian (16 MB)".to_owned(),
    )
}

fn fetched() -> Result<PathBuf, String> {
    cache::filled(NAME, |scratch| {
        let script = "set -e; apt-get install -s --no-install-recommends clickhouse-server \
                      clickhouse-client | awk '/^Inst/{print $2}' > names; \
                      test -s names; apt-get download -qq $(cat names); \
                      for f in *.deb; do dpkg-deb -x $f .; done; rm *.deb names";
        let output = Command::new("sh").args(["-c", script]).current_dir(scratch).output();
        let output = output.map_err(|e| format!("sh: {e}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    })
}

fn configure(dir: &Path, port: u16, (user, password): (&str, &str)) -> Result<(), String> {
    let (d, tcp) = (dir.display(), ports::free(1)?);
    let server = format!(
        "<yandex><logger><level>warning</level><log>{d}/l</log><errorlog>{d}/e</errorlog></logger>\
         <http_port>{port}</http_port><tcp_port>{tcp}</tcp_port><listen_host>127.0.0.1</listen_host>\
         <path>{d}/data/</path><tmp_path>{d}/data/tmp/</tmp_path>\
         <mark_cache_size>67108864</mark_cache_size>\
         <users_config>{d}/u.xml</users_config><default_profile>default</default_profile>\
         <default_database>default</default_database></yandex>"
    );
    let users = format!(
        "<yandex><profiles><default/></profiles><quotas><default/></quotas><users><{user}>\
         <password>{password}</password><networks><ip>127.0.0.1</ip></networks>\
         <profile>default</profile><quota>default</quota></{user}></users></yandex>"
    );
    let write = |name: &str, text: String| fs::write(dir.join(name), text);
    write("c.xml", server).and_then(|()| write("u.xml", users)).map_err(|e| e.to_string())
}

/// The server refuses to run as root: then as nobody, who gets the folder.
fn as_nobody(dir: &Path) -> Result<Command, String> {
    use std::os::unix::fs::MetadataExt as _;
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        return Ok(Command::new("env"));
    }
    let given = Command::new("chown").args(["-R", "65534:65534"]).arg(dir).status();
    given.map_err(|e| format!("chown: {e}"))?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    Ok(command)
}
