//! Settings of the sink, checked before anything is opened.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use secrecy::SecretString;
use wasmgate_model::{Fault, FaultKind};

use crate::native::Times;

/// How inserts are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// LZ4, and none where every server is on this machine: there it costs more than it saves.
    #[default]
    Auto,
    None,
    Lz4,
    /// Level 1 to 19.
    Zstd(i32),
}

/// What a table made by the sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// `ReplacingMergeTree(_version, _is_deleted)` ordered by the key: the newest row of a key.
    #[default]
    Replacing,
    /// `MergeTree`: every change is a row, with `_op` and `_version`.
    Append,
    /// `CollapsingMergeTree(_sign)`: the old image cancels what was there, so the source has to
    /// send old images.
    Collapsing,
}

/// What a truncate at the source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Truncate {
    /// It becomes a dead letter; the table stays as it is.
    #[default]
    Refuse,
    /// Nothing.
    Ignore,
    /// `TRUNCATE TABLE`, in its place among the changes.
    Apply,
}

/// What a number stands for where a document has one in a place for a date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Epoch {
    #[default]
    Microseconds,
    Milliseconds,
    Seconds,
}

impl Epoch {
    /// Microseconds of one.
    pub(crate) fn us(self) -> i64 {
        match self {
            Self::Microseconds => 1,
            Self::Milliseconds => 1_000,
            Self::Seconds => 1_000_000,
        }
    }
}

/// How a table is named, made and written.
#[derive(Debug, Clone)]
pub struct TableSettings {
    /// Name with `{topic}`, `{schema}` and `{table}`, the last two being the last two parts of the
    /// topic between dots.
    pub name: String,
    pub create: bool,
    pub evolve: bool,
    pub engine: Engine,
    pub truncate: Truncate,
    pub times: Times,
    pub epoch: Epoch,
    /// JSON columns of tables made here are of type `JSON` instead of `String`.
    pub json: bool,
    /// Only these fields of the record; empty: all.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// Members of a document for which the table has no column are left out instead of making the
    /// document a dead letter.
    pub ignore_unknown: bool,
    /// Sorting key of tables made here; empty: the record's key.
    pub order_by: Vec<String>,
    pub partition_by: Option<String>,
    /// Settings of every insert.
    pub settings: BTreeMap<String, String>,
    /// Settings of tables made here.
    pub table_settings: BTreeMap<String, String>,
}

impl Default for TableSettings {
    fn default() -> Self {
        Self {
            name: "{table}".to_owned(),
            create: true,
            evolve: true,
            engine: Engine::default(),
            truncate: Truncate::default(),
            times: Times::default(),
            epoch: Epoch::default(),
            json: false,
            include: Vec::new(),
            exclude: Vec::new(),
            ignore_unknown: false,
            order_by: Vec::new(),
            partition_by: None,
            settings: BTreeMap::new(),
            table_settings: BTreeMap::new(),
        }
    }
}

impl TableSettings {
    /// Whether a field of the record is written.
    pub(crate) fn takes(&self, field: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|name| name == field);
        (self.include.is_empty() || named(&self.include)) && !named(&self.exclude)
    }

    /// The table for a topic.
    pub(crate) fn table(&self, topic: &str) -> String {
        let mut parts = topic.rsplit('.');
        let table = parts.next().unwrap_or(topic);
        let schema = parts.next().unwrap_or("");
        let name = self.name.replace("{table}", table).replace("{schema}", schema);
        name.replace("{topic}", topic)
    }
}

/// When gathered rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Rows of one insert; a delivery is never cut, so it may be somewhat more.
    pub rows: usize,
    /// Bytes of gathered rows of one insert.
    pub bytes: usize,
    /// Time between two inserts of a table.
    pub interval: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { rows: 50_000, bytes: 8 << 20, interval: Duration::from_secs(1) }
    }
}

/// Settings of a sink.
#[derive(Debug, Clone)]
pub struct SinkSettings {
    /// `http://host:port` or `https://host:port`; the next is taken when one does not answer.
    pub hosts: Vec<String>,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    /// A JSON Web Token, instead of user and password.
    pub token: Option<SecretString>,
    /// Certificates (PEM) that servers are checked against, instead of the system's.
    pub ca_file: Option<PathBuf>,
    pub database: String,
    pub table: TableSettings,
    /// Tables that differ: the first whose expression matches the whole topic.
    pub tables: Vec<(Regex, TableSettings)>,
    pub batch: BatchSettings,
    /// Inserts at a time, over all tables.
    pub parallel: usize,
    pub compression: Compression,
    /// The server gathers inserts further. Durable still means written.
    pub async_insert: bool,
    /// One request, from its first byte to the answer.
    pub timeout: Duration,
    pub connect_timeout: Duration,
}

/// Settings of inserts that the sink itself depends on.
const OWN_SETTINGS: &[&str] = &[
    "query",
    "database",
    "decompress",
    "insert_deduplicate",
    "insert_deduplication_token",
    "deduplicate_insert",
    "async_insert",
    "wait_for_async_insert",
    "async_insert_deduplicate",
    "wait_end_of_query",
    "input_format_native_allow_types_conversion",
];

impl SinkSettings {
    /// Looks for what cannot work.
    ///
    /// # Errors
    /// What is wrong, beginning with the field.
    pub fn validate(&self) -> Result<(), Fault> {
        let wrong = |what: String| Err(Fault::new(FaultKind::Config, what));
        if self.hosts.is_empty() {
            return wrong("hosts: names no server; write http://host:8123".to_owned());
        }
        for host in &self.hosts {
            let rest = host.strip_prefix("http://").or_else(|| host.strip_prefix("https://"));
            let named = rest.is_some_and(|r| !r.is_empty() && !r.contains(['/', '?', '@', ' ']));
            if !named {
                return wrong(format!(
                    "hosts: {host} is not http://host:port or https://host:port"
                ));
            }
        }
        if self.token.is_some() && (self.user.is_some() || self.password.is_some()) {
            return wrong("token: stands for user and password; set one or the other".to_owned());
        }
        if self.token.is_some() && self.hosts.iter().any(|h| h.starts_with("http://")) {
            return wrong("token: would go over the wire unencrypted; use https".to_owned());
        }
        if self.ca_file.is_some() && self.hosts.iter().all(|h| h.starts_with("http://")) {
            return wrong("ca_file: no host is https".to_owned());
        }
        if self.database.is_empty() {
            return wrong("database: is empty".to_owned());
        }
        let all = std::iter::once(&self.table).chain(self.tables.iter().map(|(_, table)| table));
        all.into_iter().try_for_each(table)
    }

    /// Settings for a topic.
    pub(crate) fn for_topic(&self, topic: &str) -> &TableSettings {
        let found = self.tables.iter().find(|(topics, _)| topics.is_match(topic));
        found.map_or(&self.table, |(_, table)| table)
    }
}

/// Whether a server, as `http://host:port`, is on this machine.
pub(crate) fn is_local(host: &str) -> bool {
    let (_, place) = host.split_once("://").unwrap_or(("", host));
    let name = match place.strip_prefix('[') {
        Some(address) => address.split_once(']').map_or(address, |(name, _)| name),
        None => place.split_once(':').map_or(place, |(name, _)| name),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn table(table: &TableSettings) -> Result<(), Fault> {
    let wrong = |what: String| Err(Fault::new(FaultKind::Config, what));
    if table.name.is_empty() {
        return wrong("table: is empty".to_owned());
    }
    if let Some(own) = table.settings.keys().find(|name| OWN_SETTINGS.contains(&name.as_str())) {
        return wrong(format!("settings.{own}: is the sink's own; leave it out"));
    }
    if let Some(name) = table.include.iter().find(|name| table.exclude.contains(name)) {
        return wrong(format!("exclude: {name} is included as well"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_this_machine() {
        let local = [
            "http://localhost:8123",
            "https://127.0.0.1",
            "http://127.1.2.3:1",
            "http://[::1]:8123",
        ];
        let others = [
            "http://db:8123",
            "http://10.0.0.1:8123",
            "http://[2001:db8::1]:1",
            "https://localhost.example.org",
        ];
        assert!(local.iter().all(|host| is_local(host)));
        assert!(!others.iter().any(|host| is_local(host)));
    }
}
