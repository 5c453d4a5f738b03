//! Snapshots of Postgres tables: raw to the connector's settings.

use wasmgate_postgres as postgres;

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

/// Most connections of one snapshot.
const THREADS_MAX: usize = 64;

impl Checks<'_> {
    pub(super) fn snapshots(
        &mut self,
        field: &Field,
        raw: raw::Snapshots,
        tables: &[String],
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
        postgres::Snapshots {
            threads: raw.threads,
            include: raw.include.into_iter().map(|pattern| pattern.0).collect(),
            select: raw.select,
            ..postgres::Snapshots::default()
        }
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
