//! The one table of properties: what Debezium's connectors and Kafka Connect know, and what
//! becomes of it here. The reference page is made from it. Rows stand in rooms by what they are
//! about; a name that ends in `*` stands for all that begin like it.

mod connect;
mod flow;
mod framework;
mod mysql;
mod shape;
mod signals;
mod slot;
mod snapshot;

use crate::finding::Verdict;
use crate::spelling::alternatives;
use crate::translate::Work;

/// What is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connector {
    Postgres,
    /// And MariaDB.
    MySql,
}

impl Connector {
    /// Its source in the configuration.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
        }
    }
}

/// What becomes of a property.
pub(crate) enum Rule {
    /// Text of a setting. Paths are those of the source; with `/` before them, the pipeline's.
    Text(&'static str),
    /// The same, taken as it is, spaces too.
    Secret(&'static str),
    /// A whole number: path, least, most.
    Whole(&'static str, i64, i64),
    /// Milliseconds as a duration: path, least, most.
    Millis(&'static str, i64, i64),
    Flag(&'static str),
    /// Regular expressions parted by commas.
    Patterns(&'static str),
    /// Their word, our word.
    Words(&'static str, &'static [(&'static str, &'static str)]),
    /// No meaning here; the records are the same.
    Ignored,
    /// Not done; the records are the same.
    Lacking,
    /// Done anyway at one of these values; anything else is not supported.
    Only {
        values: &'static [&'static str],
        changes_data: bool,
    },
    /// A function of its own.
    Own(fn(&mut Work, usize, &Row)),
}

/// A property.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Debezium's or Kafka Connect's default; empty for none.
    pub(crate) default: &'static str,
    pub(crate) rule: Rule,
    /// How it is honoured, why it is ignored, what is lacking; for a required one, what to do.
    pub(crate) says: &'static str,
    pub(crate) required: bool,
    /// The default counts when the property is not given: ours is another.
    pub(crate) always: bool,
}

const fn row(name: &'static str, default: &'static str, rule: Rule, says: &'static str) -> Row {
    Row { name, default, rule, says, required: false, always: false }
}

const fn required(name: &'static str, rule: Rule, says: &'static str) -> Row {
    Row { name, default: "", rule, says, required: true, always: false }
}

const fn always(name: &'static str, default: &'static str, rule: Rule, says: &'static str) -> Row {
    Row { name, default, rule, says, required: false, always: true }
}

const fn ignored(name: &'static str, default: &'static str, why: &'static str) -> Row {
    row(name, default, Rule::Ignored, why)
}

const fn lacking(name: &'static str, default: &'static str, what: &'static str) -> Row {
    row(name, default, Rule::Lacking, what)
}

/// Only at these values, or the records would be others. The first is the default.
const fn only(name: &'static str, values: &'static [&'static str], says: &'static str) -> Row {
    let default = match values {
        [first, ..] => first,
        [] => "",
    };
    row(name, default, Rule::Only { values, changes_data: true }, says)
}

/// The same, where the records are not touched.
const fn prefers(name: &'static str, values: &'static [&'static str], says: &'static str) -> Row {
    let default = match values {
        [first, ..] => first,
        [] => "",
    };
    row(name, default, Rule::Only { values, changes_data: false }, says)
}

/// A room of the table: its title, what stands in it.
type Room = (&'static str, &'static [Row]);

/// The rooms of every connector.
const SHARED: &[Room] = &[
    ("Chunks, signals and notifications", signals::ROWS),
    ("Flow", flow::ROWS),
    ("Kafka Connect", framework::ROWS),
];

/// The rooms that are Postgres' own.
const POSTGRES_ROOMS: &[Room] = &[
    ("Connection", connect::ROWS),
    ("Slot and publication", slot::ROWS),
    ("Which tables, and what records look like", shape::ROWS),
    ("Snapshots", snapshot::ROWS),
];

/// The rooms of the table. Of two rows with one name the later counts.
pub(crate) fn rooms(connector: Connector) -> impl Iterator<Item = Room> {
    let (first, then) = match connector {
        Connector::Postgres => (POSTGRES_ROOMS, SHARED),
        Connector::MySql => (SHARED, mysql::ROOMS),
    };
    first.iter().chain(then).copied()
}

pub(crate) fn rows(connector: Connector) -> impl Iterator<Item = &'static Row> {
    rooms(connector).flat_map(|(_, rows)| rows)
}

pub(crate) fn names(connector: Connector) -> impl Iterator<Item = &'static str> {
    rows(connector).map(|row| row.name.trim_end_matches('*')).filter(|name| !name.ends_with('.'))
}

/// The row of a property: its own, or else the longest prefix.
pub(crate) fn row_of(connector: Connector, name: &str) -> Option<&'static Row> {
    let matches = |row: &&Row| match row.name.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => row.name == name,
    };
    // The last of equals: `max_by_key`.
    rows(connector).filter(matches).max_by_key(|row| (row.name == name, row.name.len()))
}

/// Classes that are known, and what they are.
const OTHERS: &[(&str, &str)] = &[
    ("io.debezium.connector.mongodb.MongoDbConnector", "MongoDB"),
    ("io.debezium.connector.mongodb.MongoDbSinkConnector", "MongoDB as a sink"),
    ("io.debezium.connector.sqlserver.SqlServerConnector", "SQL Server"),
    ("io.debezium.connector.oracle.OracleConnector", "Oracle"),
    ("io.debezium.connector.db2.Db2Connector", "Db2"),
    ("io.debezium.connector.informix.InformixConnector", "Informix"),
    ("io.debezium.connector.vitess.VitessConnector", "Vitess"),
    ("io.debezium.connector.spanner.SpannerConnector", "Spanner"),
    ("io.debezium.connector.jdbc.JdbcSinkConnector", "JDBC as a sink"),
];

const POSTGRES: &str = "io.debezium.connector.postgresql.PostgresConnector";

/// The classes that are captured here, and how.
const OURS: &[(&str, Connector)] = &[
    (POSTGRES, Connector::Postgres),
    ("io.debezium.connector.mysql.MySqlConnector", Connector::MySql),
    ("io.debezium.connector.mariadb.MariaDbConnector", Connector::MySql),
];

/// The connector that `connector.class` names, as Kafka Connect finds it: the whole name, the
/// last part, or that without `Connector`.
pub(crate) fn connector(work: &mut Work) -> Option<Connector> {
    let Some((index, class)) = work.find("connector.class") else {
        work.missing("connector.class", &format!("add \"connector.class\": \"{POSTGRES}\""));
        return None;
    };
    let found = class.value().trim().to_owned();
    let names = |class: &str| {
        let last = class.rsplit('.').next().unwrap_or(class);
        found == class || found == last || Some(found.as_str()) == last.strip_suffix("Connector")
    };
    if let Some((_, connector)) = OURS.iter().find(|(class, _)| names(class)) {
        work.honoured(index, format!("source `{}`", connector.source()));
        return Some(*connector);
    }
    let shown = work.shown(index, &found);
    let text = match OTHERS.iter().find(|(class, _)| names(class)) {
        Some((_, what)) => format!("`{shown}`: this version has no connector for {what}"),
        None => format!("`{shown}` is not known"),
    };
    let classes: Vec<&str> = OURS.iter().map(|(class, _)| *class).collect();
    let help = format!("expected {}", alternatives(&classes));
    work.answer_with(index, Verdict::Unsupported { changes_data: true }, text, Some(help));
    None
}
