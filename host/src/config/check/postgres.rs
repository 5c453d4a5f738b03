//! The Postgres source: raw to the connector's settings.

mod connection;
mod events;
mod shape;
mod slot;
mod snapshots;
mod stream;

use std::path::Path;

use wasmgate_postgres as postgres;

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, checked, raw};

/// Longest name of a Postgres object (NAMEDATALEN - 1).
const POSTGRES_NAME_MAX: usize = 63;

impl Checks<'_> {
    pub(super) fn postgres(&mut self, field: &Field, raw: raw::Postgres) -> checked::Source {
        self.filled(&field.member("host"), &raw.host);
        self.bounds(&field.member("port"), raw.port, 1, u16::MAX);
        self.filled(&field.member("database"), &raw.database);
        self.filled(&field.member("user"), &raw.user);
        self.topic_prefix(&field.member("topic_prefix"), &raw.topic_prefix);
        self.tables(&field.member("tables"), &raw.tables);
        let slot = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let expected = "lower-case letters, digits and `_`";
        self.spelled(&field.member("slot"), &raw.slot, slot, expected);
        for (member, name) in [("slot", &raw.slot), ("publication", &raw.publication)] {
            self.filled(&field.member(member), name);
            self.bounds(&field.member(member), name.len(), 0, POSTGRES_NAME_MAX);
        }
        let ssl_root_cert = raw.ssl_root_cert;
        let snapshots =
            self.snapshots(&field.member("snapshots"), raw.snapshots, &raw.tables, &raw.signals);
        let signals = self.signals(&field.member("signals"), raw.signals, "schema.table");
        let notifications = self.notifications(&field.member("notifications"), raw.notifications);
        let root = ssl_root_cert.as_deref().filter(|path| *path != Path::new("system"));
        self.there(&field.member("ssl_root_cert"), root);
        self.roots(field, raw.sslmode, ssl_root_cert.as_deref());
        let filters = self.filters(&field.member("filters"), &raw.filters);
        let groups = (raw.values, raw.columns, raw.records);
        let shape = self.shape(field, raw.decimals, raw.skip_truncate, groups);
        let heartbeat = self.time_ms(&field.member("heartbeat"), raw.heartbeat, 100, 3_600_000);
        let connect = field.member("connect_timeout");
        let status = field.member("status_interval");
        checked::Source::Postgres(Box::new(postgres::Settings {
            host: raw.host,
            port: raw.port,
            database: raw.database,
            user: raw.user,
            password: raw.password.map(|p| p.0),
            topic_prefix: raw.topic_prefix,
            tables: raw.tables,
            filters,
            slot: raw.slot,
            publication: raw.publication,
            slot_care: self.slot_care(&field.member("slot_care"), raw.slot_care),
            snapshot: snapshot(raw.snapshot),
            snapshots,
            notifications,
            signals,
            sslmode: sslmode(raw.sslmode),
            ssl_root_cert,
            connection: self.connection(&field.member("connection"), raw.connection, raw.sslmode),
            shape,
            tombstones_on_delete: raw.tombstones_on_delete,
            events: self.events(&field.member("events"), raw.events),
            schema_changes: match raw.schema_changes {
                raw::SchemaChanges::Evolve => postgres::SchemaChanges::Evolve,
                raw::SchemaChanges::Halt => postgres::SchemaChanges::Halt,
                raw::SchemaChanges::DeadLetter => postgres::SchemaChanges::DeadLetter,
            },
            quarantine: self.quarantine(&field.member("quarantine"), raw.quarantine),
            heartbeat: Some(heartbeat),
            connect_timeout: self.time_ms(&connect, raw.connect_timeout, 100, 300_000),
            status_interval: self.time_ms(&status, raw.status_interval, 100, 300_000),
            read_ahead: self.size(&field.member("read_ahead"), raw.read_ahead, 64 << 10, 1 << 30),
            wire_format: match raw.wire_format {
                raw::WireFormat::Auto => postgres::WireFormat::Auto,
                raw::WireFormat::Text => postgres::WireFormat::Text,
            },
            stream: self.stream(&field.member("stream"), raw.stream),
        }))
    }

    /// Roots that a mode cannot do without, and roots that mean nothing in a mode.
    fn roots(&mut self, field: &Field, sslmode: raw::SslMode, root: Option<&Path>) {
        use raw::SslMode::{Disable, VerifyCa, VerifyFull};
        let is_system = root == Some(Path::new("system"));
        let (member, problem) = match sslmode {
            VerifyCa if root.is_none() => (
                "sslmode",
                Problem::new("found `verify-ca` without `ssl_root_cert`")
                    .help("name the file of your authority, or choose `verify-full`"),
            ),
            Disable | VerifyFull => return,
            _ if is_system => (
                "ssl_root_cert",
                Problem::new("found `system` with a weaker `sslmode` than `verify-full`")
                    .help("anybody can have a public certificate: choose `sslmode: verify-full`"),
            ),
            _ => return,
        };
        self.refuse(&field.member(member), problem);
    }

    fn tables(&mut self, field: &Field, tables: &[String]) {
        for (index, table) in tables.iter().enumerate() {
            let parts = table.split_once('.');
            if parts.is_none_or(|(schema, name)| schema.is_empty() || name.is_empty()) {
                let problem = Problem::new(format!("found `{table}`, expected `schema.table`"))
                    .help(format!("write `public.{table}` if it is in the schema `public`"));
                self.refuse(&field.entry(index), problem);
            } else if let Some(first) = tables.iter().take(index).position(|t| t == table) {
                let message = format!("`{table}` is also entry [{first}]");
                self.refuse(&field.entry(index), Problem::new(message));
            }
        }
    }
}

fn snapshot(raw: raw::Snapshot) -> postgres::Snapshot {
    match raw {
        raw::Snapshot::Initial => postgres::Snapshot::Initial,
        raw::Snapshot::Never => postgres::Snapshot::Never,
        raw::Snapshot::InitialOnly => postgres::Snapshot::InitialOnly,
        raw::Snapshot::Always => postgres::Snapshot::Always,
        raw::Snapshot::WhenNeeded => postgres::Snapshot::WhenNeeded,
    }
}

fn sslmode(raw: raw::SslMode) -> postgres::SslMode {
    match raw {
        raw::SslMode::Disable => postgres::SslMode::Disable,
        raw::SslMode::Allow => postgres::SslMode::Allow,
        raw::SslMode::Prefer => postgres::SslMode::Prefer,
        raw::SslMode::Require => postgres::SslMode::Require,
        raw::SslMode::VerifyCa => postgres::SslMode::VerifyCa,
        raw::SslMode::VerifyFull => postgres::SslMode::VerifyFull,
    }
}
