//! Marks around a chunk: from which place of the log on the stream has told everything that the
//! chunk saw. A message in the log is the default; the place alone does on a standby; rows of the
//! signal table are Debezium's way.

use postgres_protocol::escape::escape_literal;
use wasmgate_model::{Fault, FaultKind};

use crate::catalog::{TableName, quote};
use crate::fault::protocol;
use crate::lsn::Lsn;
use crate::session::{Session, text};
use crate::settings::Settings;
use crate::snapshot::options::Watermarks;
use wasmgate_replication::incremental::Mark;

const DOING: &str = "cannot mark a chunk in the log";
/// Prefix of our messages; the stream gives no records of them.
pub(crate) const PREFIX: &str = "wasmgate.watermark";
/// Longest header of a page of the log: in front of it no record ends.
const PAGE_HEADER: u64 = 40;
/// Bytes of a page of the log, where nobody built the server otherwise.
const PAGE: u64 = 8192;

/// Makes marks.
#[derive(Debug)]
pub(crate) struct Marker {
    how: Watermarks,
    table: Option<TableName>,
    /// First column of the signal table.
    id_column: String,
    standby: bool,
}

impl Marker {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            how: settings.snapshots.watermarks,
            table: settings.signals.table(),
            id_column: "id".into(),
            standby: false,
        }
    }

    /// Readies a connection that was just opened.
    pub(crate) async fn prepare(&mut self, session: &mut Session) -> Result<(), Fault> {
        // A mark counts once it is in the log, whatever the standbys.
        session.query(DOING, "SET synchronous_commit = local").await?;
        let rows = session.query(DOING, "SELECT pg_is_in_recovery()").await?;
        self.standby = rows.first().is_some_and(|row| text(row, 0) == "t");
        if let Some(table) = self.table.as_ref().filter(|_| self.in_table()) {
            let sql = format!(
                "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass({}) \
                 AND attnum > 0 AND NOT attisdropped ORDER BY attnum LIMIT 1",
                escape_literal(&table.quoted())
            );
            let rows = session.query(DOING, &sql).await?;
            let Some(row) = rows.first() else {
                let what = format!(
                    "the signal table {table} does not exist; create it, or correct \
                     `signals.table`"
                );
                return Err(Fault::new(FaultKind::SourceRefused, what));
            };
            text(row, 0).clone_into(&mut self.id_column);
        }
        Ok(())
    }

    fn in_table(&self) -> bool {
        matches!(self.how, Watermarks::InsertInsert | Watermarks::InsertDelete)
    }

    /// Before a chunk is read.
    pub(crate) async fn open(&self, session: &mut Session) -> Result<Option<Mark>, Fault> {
        let Some(table) = self.table.as_ref().filter(|_| self.in_table()) else { return Ok(None) };
        let mark = Mark::new(now(session).await?)?;
        insert(session, table, mark.opening()).await?;
        Ok(Some(mark))
    }

    /// After a chunk was read and before its transaction ends; the place from which on the stream
    /// has told all that it saw.
    pub(crate) async fn close(
        &self,
        session: &mut Session,
        mark: Option<Mark>,
    ) -> Result<u64, Fault> {
        if let (Some(mark), Some(table)) = (mark, &self.table) {
            session.query(DOING, "COMMIT").await?;
            if self.how == Watermarks::InsertDelete {
                let (table, column) = (table.quoted(), quote(&self.id_column));
                let id = escape_literal(&mark.open_id());
                let sql = format!("DELETE FROM {table} WHERE {column} = {id}");
                session.query(DOING, &sql).await?;
            } else {
                let closed = now(session).await?;
                insert(session, table, mark.closing(&closed)).await?;
            }
        }
        let place = if self.standby {
            "pg_last_wal_replay_lsn()".to_owned()
        } else if self.how == Watermarks::Message {
            format!("pg_logical_emit_message(true, {}, '')", escape_literal(PREFIX))
        } else {
            "pg_current_wal_insert_lsn()".to_owned()
        };
        let rows = session.query(DOING, &format!("COMMIT; SELECT {place}")).await?;
        let place = rows.first().and_then(|row| Lsn::parse(text(row, 0)));
        place.map(|Lsn(at)| end_of_records(at)).ok_or_else(|| protocol("no place in the log"))
    }
}

/// Where the next record is written is behind the header of a new page, and the last one ended in
/// front of it: nothing would reach the place until somebody writes.
pub(super) fn end_of_records(at: u64) -> u64 {
    if at % PAGE <= PAGE_HEADER { at - at % PAGE } else { at }
}

async fn now(session: &mut Session) -> Result<String, Fault> {
    let sql = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', \
               'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let rows = session.query(DOING, sql).await?;
    Ok(rows.first().map(|row| text(row, 0).to_owned()).unwrap_or_default())
}

async fn insert(session: &mut Session, table: &TableName, row: [String; 3]) -> Result<(), Fault> {
    let values = row.map(|value| escape_literal(&value)).join(", ");
    let sql = format!("INSERT INTO {} VALUES ({values})", table.quoted());
    session.query(DOING, &sql).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_behind_a_page_header_is_the_end_of_the_page_before() {
        for (at, end) in [
            (3 * PAGE + 24, 3 * PAGE),
            ((16 << 20) + 40, 16 << 20),
            (3 * PAGE, 3 * PAGE),
            (3 * PAGE + 48, 3 * PAGE + 48),
            (3 * PAGE - 8, 3 * PAGE - 8),
        ] {
            assert_eq!(end_of_records(at), end, "{at}");
        }
    }
}
