//! The MySQL source: raw to the connector's settings.

mod events;
mod snapshots;

use std::path::PathBuf;

use wasmgate_model::Style;
use wasmgate_mysql as mysql;

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, checked, raw};

impl Checks<'_> {
    pub(super) fn mysql(&mut self, field: &Field, raw: raw::MySql) -> checked::Source {
        self.filled(&field.member("host"), &raw.host);
        self.bounds(&field.member("port"), raw.port, 1, u16::MAX);
        self.filled(&field.member("user"), &raw.user);
        self.topic_prefix(&field.member("topic_prefix"), &raw.topic_prefix);
        for (index, database) in raw.databases.iter().enumerate() {
            self.filled(&field.member("databases").entry(index), database);
        }
        self.mysql_tables(&field.member("tables"), &raw.tables);
        if raw.server_id == Some(0) {
            let problem = Problem::new("found `0`, expected at least 1");
            self.refuse(&field.member("server_id"), problem);
        }
        let client = self.mysql_files(field, &raw);
        let modes = modes(&raw);
        let filters = field.member("filters");
        let database_filter = self.names(&filters.member("databases"), &raw.filters.databases);
        let table_filter = self.names(&filters.member("tables"), &raw.filters.tables);
        let snapshots =
            self.snapshots(&field.member("snapshots"), raw.snapshots, &raw.tables, &raw.signals);
        let signals = self.signals(&field.member("signals"), raw.signals, "database.table");
        let notifications = self.notifications(&field.member("notifications"), raw.notifications);
        let gtid_sources = self.names(&filters.member("gtid_sources"), &raw.filters.gtid_sources);
        let heartbeats = self.mysql_heartbeats(&field.member("events"), &raw.events);
        let columns = self.mysql_columns(&field.member("columns"), raw.columns);
        let heartbeat = self.time_ms(&field.member("heartbeat"), raw.heartbeat, 100, 3_600_000);
        let connect = field.member("connect_timeout");
        let connect = self.time_ms(&connect, raw.connect_timeout, 100, 300_000);
        checked::Source::MySql(Box::new(mysql::Settings {
            modes,
            snapshots,
            signals,
            notifications,
            database_filter,
            table_filter,
            gtid_sources,
            include_schema_changes: raw.events.include_schema_changes,
            include_schema_comments: raw.events.include_schema_comments,
            heartbeats,
            columns,
            host: raw.host,
            port: raw.port,
            user: raw.user,
            password: raw.password.map(|p| p.0),
            topic_prefix: raw.topic_prefix,
            databases: raw.databases,
            tables: raw.tables,
            server_id: raw.server_id,
            snapshot: snapshot(raw.snapshot),
            start: match raw.start {
                raw::MySqlStart::Latest => mysql::Start::Latest,
                raw::MySqlStart::Earliest => mysql::Start::Earliest,
            },
            ssl_mode: ssl_mode(raw.ssl_mode),
            ssl_root_cert: raw.ssl_root_cert,
            ssl_client: client,
            tombstones_on_delete: raw.tombstones_on_delete,
            skip_truncate: raw.skip_truncate,
            transaction_metadata: raw.transaction_blocks,
            include_query: raw.include_query,
            heartbeat,
            connect_timeout: connect,
            view_tries: mysql::VIEW_TRIES,
            // The pipeline, which has a name, says it.
            history_dir: PathBuf::new(),
        }))
    }

    fn names(&mut self, field: &Field, raw: &raw::postgres::Filter) -> mysql::Filter {
        if !raw.include.is_empty() && !raw.exclude.is_empty() {
            let problem = Problem::new("has both `include` and `exclude`, expected one of them");
            self.refuse(field, problem);
        }
        mysql::Filter {
            include: self.patterns(&field.member("include"), &raw.include),
            exclude: self.patterns(&field.member("exclude"), &raw.exclude),
        }
    }

    fn mysql_columns(&mut self, field: &Field, raw: raw::MySqlColumns) -> mysql::ColumnRules {
        let filter = self.names(&field.member("filter"), &raw.filter);
        let at = field.member("masks");
        let masks = raw.masks.into_iter().enumerate();
        let masks = masks.filter_map(|(i, mask)| self.mask(&at.entry(i), mask)).collect();
        let at = field.member("keys");
        let mut keys = Vec::new();
        for (i, key) in raw.keys.into_iter().enumerate() {
            let field = at.entry(i);
            if key.columns.is_empty() {
                self.refuse(&field.member("columns"), Problem::new("names no column"));
            }
            let pattern = self.pattern(&field.member("tables"), &key.tables);
            keys.extend(pattern.map(|pattern| (pattern, key.columns)));
        }
        mysql::ColumnRules { filter, masks, keys }
    }

    fn mysql_tables(&mut self, field: &Field, tables: &[String]) {
        for (index, table) in tables.iter().enumerate() {
            let parts = table.split_once('.');
            if parts.is_none_or(|(database, name)| database.is_empty() || name.is_empty()) {
                let problem = Problem::new(format!("found `{table}`, expected `database.table`"));
                self.refuse(&field.entry(index), problem);
            }
        }
    }

    /// Files that have to be there, and options that need each other.
    fn mysql_files(&mut self, field: &Field, raw: &raw::MySql) -> Option<(PathBuf, PathBuf)> {
        use raw::MySqlSslMode::{Disabled, VerifyCa, VerifyIdentity};
        let files = [
            ("ssl_root_cert", &raw.ssl_root_cert),
            ("ssl_cert", &raw.ssl_cert),
            ("ssl_key", &raw.ssl_key),
        ];
        for (member, path) in files {
            if let Some(path) = path.as_ref().filter(|path| !path.is_file()) {
                let message = format!("the file `{}` is not there", path.display());
                self.refuse(&field.member(member), Problem::new(message));
            }
        }
        let verifies = matches!(raw.ssl_mode, VerifyCa | VerifyIdentity);
        if raw.ssl_root_cert.is_some() && !verifies {
            let problem = Problem::new("means nothing in this `ssl_mode`")
                .help("choose `ssl_mode: verify_ca` or `verify_identity`");
            self.refuse(&field.member("ssl_root_cert"), problem);
        }
        let client = match (&raw.ssl_cert, &raw.ssl_key) {
            (None, None) => return None,
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (Some(_), None) => {
                self.refuse(&field.member("ssl_cert"), Problem::new("needs `ssl_key`"));
                return None;
            }
            (None, Some(_)) => {
                self.refuse(&field.member("ssl_key"), Problem::new("needs `ssl_cert`"));
                return None;
            }
        };
        if raw.ssl_mode == Disabled {
            let problem = Problem::new("means nothing with `ssl_mode: disabled`");
            self.refuse(&field.member("ssl_cert"), problem);
        }
        Some(client)
    }
}

fn modes(raw: &raw::MySql) -> mysql::Modes {
    mysql::Modes {
        decimal: match raw.decimals {
            raw::Decimals::Precise => mysql::DecimalMode::Precise,
            raw::Decimals::Double => mysql::DecimalMode::Double,
            raw::Decimals::String => mysql::DecimalMode::String,
        },
        bigint: match raw.bigint_unsigned {
            raw::BigintUnsigned::Long => mysql::BigintMode::Long,
            raw::BigintUnsigned::Precise => mysql::BigintMode::Precise,
        },
        time: match raw.times {
            raw::Times::AdaptiveTimeMicroseconds => mysql::TimeMode::AdaptiveTimeMicroseconds,
            raw::Times::Connect => mysql::TimeMode::Connect,
            raw::Times::Isostring => mysql::TimeMode::IsoString,
            raw::Times::Microseconds => mysql::TimeMode::Microseconds,
            raw::Times::Nanoseconds => mysql::TimeMode::Nanoseconds,
        },
        adjust_years: raw.adjust_years,
        binary: match raw.binaries {
            raw::Binaries::Base64 => Style::Plain,
            raw::Binaries::Base64UrlSafe => Style::Base64Url,
            raw::Binaries::Hex => Style::Hex,
        },
    }
}

fn snapshot(raw: raw::MySqlSnapshot) -> mysql::Snapshot {
    match raw {
        raw::MySqlSnapshot::Initial => mysql::Snapshot::Initial,
        raw::MySqlSnapshot::Never => mysql::Snapshot::Never,
        raw::MySqlSnapshot::InitialOnly => mysql::Snapshot::InitialOnly,
        raw::MySqlSnapshot::Always => mysql::Snapshot::Always,
        raw::MySqlSnapshot::WhenNeeded => mysql::Snapshot::WhenNeeded,
        raw::MySqlSnapshot::Recovery => mysql::Snapshot::Recovery,
    }
}

fn ssl_mode(raw: raw::MySqlSslMode) -> mysql::SslMode {
    match raw {
        raw::MySqlSslMode::Disabled => mysql::SslMode::Disabled,
        raw::MySqlSslMode::Preferred => mysql::SslMode::Preferred,
        raw::MySqlSslMode::Required => mysql::SslMode::Required,
        raw::MySqlSslMode::VerifyCa => mysql::SslMode::VerifyCa,
        raw::MySqlSslMode::VerifyIdentity => mysql::SslMode::VerifyIdentity,
    }
}
