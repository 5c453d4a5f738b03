//! Snapshots of Postgres tables: raw to the connector's settings.

use wasmgate_postgres as postgres;

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

impl Checks<'_> {
    pub(super) fn snapshots(
        &mut self,
        field: &Field,
        raw: raw::Snapshots,
        tables: &[String],
        signals: &raw::Signals,
    ) -> postgres::Snapshots {
        self.threads(&field.member("threads"), raw.threads);
        self.selects(&field.member("select"), &raw.select, tables, "schema.table");
        self.chunk_rows(&field.member("chunk_rows"), raw.chunk_rows);
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
}

fn watermarks(raw: raw::Watermarks) -> postgres::Watermarks {
    match raw {
        raw::Watermarks::Message => postgres::Watermarks::Message,
        raw::Watermarks::ReadOnly => postgres::Watermarks::ReadOnly,
        raw::Watermarks::InsertInsert => postgres::Watermarks::InsertInsert,
        raw::Watermarks::InsertDelete => postgres::Watermarks::InsertDelete,
    }
}
