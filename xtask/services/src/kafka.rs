//! A real Apache Kafka (KRaft, combined broker and controller nodes) from Maven jars, for tests
//! and the demo. `kafka/kafka.sh` does the work; it needs bash, setsid, java 17 or newer and, the
//! first time, mvn. The jars are kept in the cache folder, shared by all.
//!
//! The brokers die with the [`Kafka`] that started them. What a killed process left behind is
//! swept up by the next start.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use crate::ports;

/// The Kafka that `kafka/pom.xml` names.
pub const VERSION: &str = "4.3.1";
/// Data folders are `<this><pid>-<number>` under the system's temporary folder.
const FOLDER: &str = "wasmgate-kafka-";
/// A free port may be taken between the look and the start: so often it is tried again.
const ATTEMPTS: usize = 4;
/// Records with an old timestamp would be deleted half a minute after the start.
const PROPERTIES: &str = "log.retention.ms=-1";

/// A running cluster. Dropping it stops the brokers and deletes their data.
#[derive(Debug)]
pub struct Kafka {
    folder: PathBuf,
    port: u16,
    nodes: u16,
}

impl Kafka {
    /// Starts a fresh cluster of `nodes` brokers (1 or 3) on free loopback ports.
    ///
    /// # Errors
    /// A program is missing, the jars cannot be resolved or a node dies: the text says which.
    pub fn start(nodes: u16) -> Result<Self, String> {
        sweep();
        Self::start_in(&fresh_folder, nodes)
    }

    /// Starts a cluster that outlives this process: [`stop_detached`] ends it.
    ///
    /// # Errors
    /// As for [`Kafka::start`].
    pub fn start_detached(folder: &Path, nodes: u16) -> Result<String, String> {
        let make = || {
            fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            Ok(folder.to_owned())
        };
        let kafka = Self::start_in(&make, nodes)?;
        let bootstrap = kafka.bootstrap();
        std::mem::forget(kafka);
        Ok(bootstrap)
    }

    fn start_in(folder: &dyn Fn() -> Result<PathBuf, String>, nodes: u16) -> Result<Self, String> {
        if let Some(what) = missing() {
            return Err(what);
        }
        let mut refused = String::new();
        for _ in 0..ATTEMPTS {
            let kafka = Self { folder: folder()?, port: ports::free(2 * nodes)?, nodes };
            let (port, count) = (kafka.port.to_string(), nodes.to_string());
            match kafka.script("up", &[&port, &count]) {
                Ok(_) => return Ok(kafka),
                Err(reason) => refused = reason,
            }
        }
        Err(refused)
    }

    /// `host:port` of every node, for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let node = |i| format!("127.0.0.1:{}", self.port + 2 * i);
        (0..self.nodes).map(node).collect::<Vec<_>>().join(",")
    }

    /// Where the brokers keep data and logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills every node with SIGKILL. The data stays.
    ///
    /// # Errors
    /// A node was not running.
    pub fn kill(&self) -> Result<(), String> {
        self.script("kill", &[]).map(drop)
    }

    /// Kills node `node` (1 for the first) with SIGKILL.
    ///
    /// # Errors
    /// It was not running.
    pub fn kill_node(&self, node: u16) -> Result<(), String> {
        self.script("kill", &[&node.to_string()]).map(drop)
    }

    /// Starts the nodes that are down, on the same ports and data; returns when they are ready.
    ///
    /// # Errors
    /// A node dies; the text is its log.
    pub fn start_again(&self) -> Result<(), String> {
        self.script("start", &[]).map(drop)
    }

    /// Runs a class of Kafka's jars (`org.apache.kafka.tools.TopicCommand`, ...) and returns what
    /// it printed.
    ///
    /// # Errors
    /// It exits with a failure; the text is what it printed.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Result<String, String> {
        let all: Vec<&str> = std::iter::once(class).chain(arguments.iter().copied()).collect();
        self.script("tool", &all)
    }

    /// Creates a topic. `settings` are `name=value`.
    ///
    /// # Errors
    /// The broker refuses.
    pub fn create_topic(
        &self,
        topic: &str,
        partitions: u16,
        settings: &[&str],
    ) -> Result<(), String> {
        let (servers, partitions) = (self.bootstrap(), partitions.to_string());
        let mut arguments = vec!["--bootstrap-server", &servers, "--create", "--topic", topic];
        arguments.extend(["--partitions", &partitions]);
        arguments.extend(settings.iter().flat_map(|s| ["--config", *s]));
        self.tool("org.apache.kafka.tools.TopicCommand", &arguments).map(drop)
    }

    fn script(&self, command: &str, arguments: &[&str]) -> Result<String, String> {
        script(command, &self.folder, arguments)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        wipe(&self.folder);
    }
}

/// What is missing on this machine to start Kafka, with what to install; `None`: nothing.
#[must_use]
pub fn missing() -> Option<String> {
    let mut needed = vec![("bash", "bash"), ("setsid", "util-linux")];
    needed.push(("java", "a Java runtime, 17 or newer (openjdk-17-jre-headless)"));
    if !jars().is_dir() {
        needed.push(("mvn", "maven, to fetch Kafka's jars once"));
    }
    let (program, package) = needed.into_iter().find(|(program, _)| !on_path(program))?;
    Some(format!(
        "kafka {VERSION} cannot be started: `{program}` is not on PATH; install {package}"
    ))
}

/// The folder of Kafka's jars, filled by the first start.
fn jars() -> PathBuf {
    crate::cache::folder().join(format!("kafka-{VERSION}"))
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn fresh_folder() -> Result<PathBuf, String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("{FOLDER}{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    Ok(folder)
}

fn script(command: &str, folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/kafka.sh");
    let output = Command::new("bash")
        .arg(&path)
        .args([command.as_ref(), folder.as_os_str()])
        .args(arguments)
        .env("KAFKA_LIB", jars())
        .env("KAFKA_PROPS", PROPERTIES)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run {}: {e}", path.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    Err(format!("kafka.sh {command} failed ({}): {err}\n{out}", output.status))
}

/// Stops what runs on the folder and deletes it. Nothing can be done about a failure here.
fn wipe(folder: &Path) {
    if script("wipe", folder, &[]).is_ok() {
        fs::remove_dir_all(folder).ok();
    }
}

/// Ends a cluster that [`Kafka::start_detached`] started, and deletes its data.
pub fn stop_detached(folder: &Path) {
    wipe(folder);
}

/// Wipes the folders of processes that are gone.
fn sweep() {
    let Ok(entries) = fs::read_dir(env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix(FOLDER)?.split_once('-'));
        let Some((pid, _)) = owner else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            wipe(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn starts_survives_a_kill_and_leaves_nothing() {
        if let Some(reason) = missing() {
            assert_ne!(env::var("CI").as_deref(), Ok("true"), "{reason}");
            return;
        }
        let kafka = Kafka::start(1).unwrap();
        kafka.create_topic("kept", 2, &["cleanup.policy=compact"]).unwrap();
        kafka.kill().unwrap();
        kafka.start_again().unwrap();
        let servers = kafka.bootstrap();
        let topics = kafka
            .tool(
                "org.apache.kafka.tools.TopicCommand",
                &["--bootstrap-server", &servers, "--list"],
            )
            .unwrap();
        assert_eq!(topics, "kept");
        let folder = kafka.folder().to_owned();
        drop(kafka);
        assert!(!folder.exists());
    }
}
