//! The initial snapshot: every table as it was at one point of the log, read through the
//! snapshot that the slot's creation exported, so that the stream goes on exactly there.
//!
//! COPY's text is the same text that the stream carries, so both go through the same parser.
//! Positions are (consistent point - 1, row): before everything of the stream.

use bytes::Bytes;
use postgres_protocol::escape::escape_literal;
use tokio::sync::mpsc;
use wasmgate_codec::pgoutput::TupleValue;
use wasmgate_connector::{SourceEvent, SourceStatus};
use wasmgate_model::{Fault, FaultKind, Op, Position};

use crate::assemble::Assembler;
use crate::catalog::{Catalog, Published, quote};
use crate::rows::{Origin, push_new};
use crate::session::{Session, number, text};
use crate::stream::sequence;
use crate::table::{Naming, Table, described_by_catalog};

/// What a reader is sent.
pub(crate) type Events = mpsc::Sender<Result<SourceEvent, Fault>>;

const DOING: &str = "cannot read the snapshot";

/// An exported snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    /// Its name for SET TRANSACTION SNAPSHOT.
    pub name: String,
    /// The stream goes on here.
    pub consistent_point: u64,
    /// A slot that only served to export; to be dropped.
    pub temporary_slot: Option<String>,
}

impl Export {
    /// Where the snapshot's rows stand.
    pub(crate) fn start(&self) -> Position {
        Position::new(self.consistent_point.saturating_sub(1), 0)
    }
}

/// A row that waits until it is known whether another follows.
struct Held {
    line: Bytes,
    first_of_table: bool,
}

/// A snapshot that is being read.
pub(crate) struct Snapshot<'a> {
    pub session: &'a mut Session,
    pub catalog: &'a mut Catalog,
    pub naming: &'a Naming,
    pub out: &'a mut Assembler,
    pub events: &'a Events,
    pub status: &'a SourceStatus,
    at: Position,
    time_us: i64,
    transaction: i64,
    sequence: Vec<u8>,
    lsn: u64,
    /// Unescaped values of one row, and where each ends; `None`: null.
    values: Vec<u8>,
    ends: Vec<(usize, bool)>,
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(
        (session, catalog): (&'a mut Session, &'a mut Catalog),
        naming: &'a Naming,
        out: &'a mut Assembler,
        events: &'a Events,
        status: &'a SourceStatus,
        export: &Export,
    ) -> Self {
        let lsn = export.consistent_point;
        let mut text = Vec::new();
        sequence(b"null", lsn, &mut text);
        Self {
            session,
            catalog,
            naming,
            out,
            events,
            status,
            at: export.start(),
            time_us: 0,
            transaction: 0,
            sequence: text,
            lsn,
            values: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Takes over the exported snapshot. Afterwards the connection that exported it is free.
    pub(crate) async fn begin(session: &mut Session, export: &Export) -> Result<(), Fault> {
        let name = escape_literal(&export.name);
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {name}"
        );
        session.query(DOING, &sql).await.map(|_| ())
    }

    /// Reads the tables in the order given; everything but the last delivery is handed over.
    pub(crate) async fn read(
        &mut self,
        tables: &[Published],
        publication: &str,
    ) -> Result<(), Fault> {
        let sql = "SELECT (extract(epoch FROM now()) * 1000000)::int8, \
                   pg_snapshot_xmax(pg_current_snapshot()), current_setting('server_version_num')";
        let rows = self.session.query(DOING, sql).await?;
        let lists = rows.first().is_some_and(|r| number::<u32>(r, 2) >= 150_000);
        if let Some(row) = rows.first() {
            (self.time_us, self.transaction) = (number(row, 0), number(row, 1));
        }
        let mut first = true;
        let mut held: Option<(Table, Held)> = None;
        for published in tables {
            let (only, filter) = self.lists(published, publication, lists).await?;
            let info = self.catalog.table(published.oid, &[]).await?;
            let described = described_by_catalog(&info, only.as_deref());
            let names = described.iter().map(|c| quote(&c.name)).collect::<Vec<_>>().join(", ");
            let table = self.naming.table(published.name.clone(), &described, &info, None);
            let only = if published.partitioned { "" } else { "ONLY " };
            let sql = format!(
                "COPY (SELECT {names} FROM {only}{}{filter}) TO STDOUT",
                published.name.quoted()
            );
            self.session.copy_out(DOING, &sql).await?;
            let mut first_of_table = true;
            while let Some(line) = self.session.copied(DOING).await? {
                if let Some((before, row)) =
                    held.replace((table.clone(), Held { line, first_of_table }))
                {
                    self.row(&before, &row, (first, first_of_table, false))?;
                    first = false;
                    if self.out.is_full() {
                        hand_over(self.out, self.events).await?;
                    }
                }
                first_of_table = false;
            }
        }
        if let Some((table, row)) = held {
            self.row(&table, &row, (first, true, true))?;
        }
        self.session.query(DOING, "COMMIT").await.map(|_| ())
    }

    /// The publication's column list and row filter of a table (Postgres 15).
    async fn lists(
        &mut self,
        published: &Published,
        publication: &str,
        exist: bool,
    ) -> Result<(Option<Vec<String>>, String), Fault> {
        if !exist {
            return Ok((None, String::new()));
        }
        let sql = format!(
            "SELECT unnest(attnames), rowfilter FROM pg_catalog.pg_publication_tables \
             WHERE pubname = {} AND schemaname = {} AND tablename = {}",
            escape_literal(publication),
            escape_literal(&published.name.schema),
            escape_literal(&published.name.table),
        );
        let rows = self.session.query(DOING, &sql).await?;
        let filter = match rows.first().map(|r| text(r, 1)) {
            None | Some("") => String::new(),
            Some(filter) => format!(" WHERE {filter}"),
        };
        // Without a list the catalog names every column that the stream sends; generated columns
        // are in the snapshot alone, as with Debezium.
        let listed: Vec<String> = rows.iter().map(|r| text(r, 0).to_owned()).collect();
        let info = self.catalog.table(published.oid, &[]).await?;
        let plain = info.columns.iter().filter(|c| !c.generated);
        let all = plain.into_iter().all(|c| listed.contains(&c.name));
        Ok(((!all).then_some(listed), filter))
    }

    /// Appends a row. `marks`: first of all, last of its table, last of all.
    fn row(&mut self, table: &Table, held: &Held, marks: (bool, bool, bool)) -> Result<(), Fault> {
        // The stronger mark wins: Debezium's order.
        let snapshot = match (marks, held.first_of_table) {
            ((_, _, true), _) => "last",
            ((true, _, _), _) => "first",
            ((_, true, _), _) => "last_in_data_collection",
            (_, true) => "first_in_data_collection",
            _ => "true",
        };
        unescape(&held.line, &mut self.values, &mut self.ends);
        self.at.minor += 1;
        let origin = Origin {
            time_us: self.time_us,
            snapshot,
            sequence: &self.sequence,
            transaction: self.transaction,
            lsn: self.lsn,
            block: None,
            replicated: None,
        };
        let mut from = 0;
        let values = self.ends.iter().map(|(end, null)| {
            let value = self.values.get(from..*end).unwrap_or(&[]);
            from = *end;
            if *null { TupleValue::Null } else { TupleValue::Text(value) }
        });
        let batch = self.out.batch(table)?;
        push_new(table, batch, Op::Snapshot, self.at, &origin, values);
        self.out.appended(1, held.line.len(), self.at);
        self.status.snapshot_rows.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

/// Hands the open delivery over; waits while the consumer is slow.
pub(crate) async fn hand_over(out: &mut Assembler, events: &Events) -> Result<(), Fault> {
    let sent = events.send(Ok(SourceEvent::Delivery(out.take()))).await;
    sent.map_err(|_| Fault::new(FaultKind::Stopped, "the reader is gone"))
}

/// Takes a line of COPY's text format apart: tabs between values, `\N` for null, backslash
/// escapes (PostgreSQL manual, COPY, "Text Format").
fn unescape(line: &[u8], values: &mut Vec<u8>, ends: &mut Vec<(usize, bool)>) {
    values.clear();
    ends.clear();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // No columns: an empty line holds no value. One column: it holds one empty value.
    for field in line.split(|b| *b == b'\t') {
        if field == b"\\N" {
            ends.push((values.len(), true));
            continue;
        }
        let mut rest = field;
        while let Some(at) = rest.iter().position(|b| *b == b'\\') {
            let (plain, escape) = rest.split_at(at);
            values.extend_from_slice(plain);
            let Some((&[_, letter], after)) = escape.split_first_chunk::<2>() else { break };
            values.push(match letter {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                other => other,
            });
            rest = after;
        }
        values.extend_from_slice(rest);
        ends.push((values.len(), false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_text_is_taken_apart() {
        type Case = (&'static [u8], &'static [Option<&'static [u8]>]);
        let cases: &[Case] = &[
            (b"1\tabc\n", &[Some(b"1"), Some(b"abc")]),
            (b"\\N\t\t\\\\N\n", &[None, Some(b""), Some(b"\\N")]),
            (b"a\\tb\\nc\\\\\\rd\\b\\f\\v\n", &[Some(b"a\tb\nc\\\rd\x08\x0c\x0b")]),
            (b"\n", &[Some(b"")]),
            (b"\\\\x00\\\\\n", &[Some(b"\\x00\\")]),
        ];
        let (mut values, mut ends) = (Vec::new(), Vec::new());
        for (line, want) in cases {
            unescape(line, &mut values, &mut ends);
            let mut from = 0;
            let got: Vec<_> = ends
                .iter()
                .map(|(end, null)| {
                    let value = values.get(from..*end);
                    from = *end;
                    value.filter(|_| !null)
                })
                .collect();
            assert_eq!(&got, want, "{}", line.escape_ascii());
        }
    }
}
