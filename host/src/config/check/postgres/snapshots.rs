//! Snapshots of Postgres tables: raw to the connector's settings.

use wasmgate_codec::document::Format;
use wasmgate_file::FileSourceSettings;
use wasmgate_kafka::SourceSettings;
use wasmgate_postgres as postgres;

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, checked, raw};

/// Most connections of one snapshot.
const THREADS_MAX: usize = 64;
/// Most rows of a chunk: one is held in memory.
const CHUNK_ROWS_MAX: usize = 1_000_000;

impl Checks<'_> {
    pub(super) fn snapshots(
        &mut self,
        field: &Field,
        raw: raw::Snapshots,
        tables: &[String],
        signals: &raw::Signals,
    ) -> postgres::Snapshots {
        self.bounds(&field.member("threads"), raw.threads, 1, THREADS_MAX);
        for (table, statement) in &raw.select {
            let field = field.member("select").member(table);
            let parts = table.split_once('.');
            if parts.is_none_or(|(schema, name)| schema.is_empty() || name.is_empty()) {
                let message = format!("found `{table}`, expected `schema.table`");
                self.refuse(&field, Problem::new(message));
            } else if !tables.is_empty() && !tables.contains(table) {
                let message = format!("`{table}` is not among `tables`");
                self.refuse(&field, Problem::new(message));
            }
            self.filled(&field, statement);
        }
        self.bounds(&field.member("chunk_rows"), raw.chunk_rows, 1, CHUNK_ROWS_MAX);
        let watermarks = watermarks(raw.watermarks);
        let by_table = matches!(
            watermarks,
            postgres::Watermarks::InsertInsert | postgres::Watermarks::InsertDelete
        );
        if by_table && signals.table.is_none() {
            let problem = Problem::new("these watermarks are rows of the signal table")
                .help("set `signals.table`, or use the watermarks `message`");
            self.refuse(&field.member("watermarks"), problem);
        }
        postgres::Snapshots {
            threads: raw.threads,
            include: raw.include.into_iter().map(|pattern| pattern.0).collect(),
            select: raw.select,
            chunk_rows: raw.chunk_rows,
            chunked_above: Some(raw.chunked_above.0),
            watermarks,
        }
    }

    /// Where signals come from that the source does not look at itself.
    pub(in crate::config::check) fn signal_channels(
        &mut self,
        field: &Field,
        pipeline: &str,
        source: &raw::Source,
    ) -> Vec<checked::SignalChannel> {
        let Some(postgres) = &source.postgres else { return Vec::new() };
        let field = field.member("postgres").member("signals");
        let mut channels = Vec::new();
        if let Some(path) = &postgres.signals.file {
            let mut settings = FileSourceSettings::new(path.clone(), Format::Json);
            (settings.topic, settings.follow) = (Some("signals".into()), true);
            channels.push(checked::SignalChannel::File(settings));
        }
        if let Some(kafka) = &postgres.signals.kafka {
            let group = kafka.group.clone();
            let group = group.unwrap_or_else(|| format!("wasmgate-signals-{pipeline}"));
            let topics = vec![kafka.topic.clone()];
            let servers = kafka.bootstrap_servers.clone();
            let mut settings = SourceSettings::new(servers, topics, group, Format::Json);
            let properties = kafka.properties.iter();
            settings.properties = properties.map(|(n, v)| (n.clone(), v.0.clone())).collect();
            self.accepted(&field.member("kafka"), settings.validate());
            let key = postgres.topic_prefix.clone();
            channels.push(checked::SignalChannel::Kafka(settings, key));
        }
        channels
    }

    pub(super) fn signals(&mut self, field: &Field, raw: raw::Signals) -> postgres::Signals {
        if let Some(table) = &raw.table {
            let parts = table.split_once('.');
            if parts.is_none_or(|(schema, name)| schema.is_empty() || name.is_empty()) {
                let message = format!("found `{table}`, expected `schema.table`");
                self.refuse(&field.member("table"), Problem::new(message));
            }
        }
        postgres::Signals { table: raw.table }
    }

    pub(super) fn notifications(
        &mut self,
        field: &Field,
        raw: raw::Notifications,
    ) -> postgres::Notifications {
        if let Some(topic) = &raw.topic {
            self.topic_prefix(&field.member("topic"), topic);
        }
        postgres::Notifications { topic: raw.topic, log: raw.log }
    }
}

fn watermarks(raw: raw::Watermarks) -> postgres::Watermarks {
    match raw {
        raw::Watermarks::Message => postgres::Watermarks::Message,
        raw::Watermarks::ReadOnly => postgres::Watermarks::ReadOnly,
        raw::Watermarks::InsertInsert => postgres::Watermarks::InsertInsert,
        raw::Watermarks::InsertDelete => postgres::Watermarks::InsertDelete,
    }
}
