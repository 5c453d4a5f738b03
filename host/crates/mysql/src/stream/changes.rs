//! Rows events to records.

use wasmgate_codec::mysqlvalue::{Malformed, RowsEvent, RowsKind};
use wasmgate_model::{Fault, Position};

use super::held::{Removed, aside, hold_unread, look, put};
use super::{Known, Mapped, Raw, Stream};
use crate::assemble::Assembler;
use crate::catalog::TableName;
use crate::event::{inflate, kind};
use crate::fault::protocol;
use crate::incremental::Watch;
use crate::rows::{Block, Origin, numbers, push_change, splits};
use crate::settings::Settings;
use crate::state::Place;
use crate::table::Table;
use crate::transaction::Transaction;

/// Records of one rows event at most: their numbers stand below those of the events.
pub(super) const EVENT_BITS: u32 = 32;

impl Stream {
    pub(super) fn rows(
        &mut self,
        change: RowsKind,
        v2: bool,
        raw: &Raw<'_>,
        start: &Place,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let Some(transaction) = &mut self.transaction else {
            return Err(protocol("a change outside of a transaction"));
        };
        transaction.event += 1;
        if transaction.seen {
            return Ok(());
        }
        if transaction.foreign {
            out.reached(Position::new(transaction.major, transaction.event << EVENT_BITS));
            return Ok(());
        }
        let event = RowsEvent::parse(change, v2, raw.body).map_err(malformed)?;
        let table = match self.mapped.get(&event.table_id) {
            Some(Mapped { table: Some(Known::Table(table)), .. }) => table,
            Some(Mapped { table: Some(Known::Unknown(name)), .. }) => {
                return unread(transaction, name, event.kind, (raw, start), out);
            }
            Some(_) => {
                let end = transaction.event << EVENT_BITS;
                out.reached(Position::new(transaction.major, end));
                return Ok(());
            }
            None if event.table_id == NO_TABLE => return Ok(()),
            None => return Err(protocol("a change of a table that was not described")),
        };
        if !event.is_whole() || event.columns != table.wires.len() {
            let (database, name) = &table.name;
            let reason = format!(
                "a change of {database}.{name} does not carry every column; run: SET GLOBAL \
                 binlog_row_image = 'FULL', let clients connect again, and read the table again \
                 (signal `resume-table`)"
            );
            let at = (transaction.event << EVENT_BITS) + 1;
            out.hold(&table.name, Position::new(transaction.major, at), reason);
            return unread(transaction, &table.name, event.kind, (raw, start), out);
        }
        if raw.kind >= kind::MARIA_ROWS_COMPRESSED {
            let unpacked = inflate(event.rows_bytes());
            let unpacked = unpacked.ok_or_else(|| protocol("cannot unpack a compressed change"))?;
            let event = event.with_rows(&unpacked);
            let told = (raw, start, &mut self.watch);
            let last_row = &mut self.last_row;
            return records(&self.settings, transaction, table, event, told, (out, last_row));
        }
        let told = (raw, start, &mut self.watch);
        let last_row = &mut self.last_row;
        records(&self.settings, transaction, table, event, told, (out, last_row))
    }
}

/// An event of a table that is held back, because its rows cannot be read.
fn unread(
    transaction: &Transaction,
    name: &TableName,
    kind: RowsKind,
    (raw, start): (&Raw<'_>, &Place),
    out: &mut Assembler,
) -> Result<(), Fault> {
    let origin = origin(transaction, raw, start);
    let minor = (transaction.event << EVENT_BITS) + 1;
    if minor <= transaction.settled {
        return Ok(());
    }
    hold_unread(name, kind, (&origin, Position::new(transaction.major, minor)), out)
}

/// What all records of an event say of where they come from.
fn origin<'a>(transaction: &'a Transaction, raw: &Raw<'_>, start: &'a Place) -> Origin<'a> {
    Origin {
        time_us: transaction.time_us,
        snapshot: "false",
        server_id: raw.server_id,
        gtid: transaction.gtid_text.as_deref(),
        file: &start.file,
        offset: start.offset,
        row: 0,
        thread: transaction.thread,
        query: None,
        transaction: None,
    }
}

/// The number of a rows event without a table, which only ends a statement.
const NO_TABLE: u64 = 0xff_ffff;

fn malformed(error: Malformed) -> Fault {
    protocol("cannot read a change").because(error)
}

/// Appends the records of every row that was not settled before a restart.
fn records(
    settings: &Settings,
    transaction: &mut Transaction,
    table: &Table,
    mut event: RowsEvent<'_>,
    (raw, start, watch): (&Raw<'_>, &Place, &mut Watch),
    (out, last_row): (&mut Assembler, &mut u32),
) -> Result<(), Fault> {
    let watched = watch.wants(&table.name);
    let (major, base) = (transaction.major, transaction.event << EVENT_BITS);
    let gtid = transaction.gtid_text.clone();
    let query = transaction.query.clone();
    let told = settings.transaction_metadata;
    let id: std::sync::Arc<str> = if told { transaction.id() } else { "".into() };
    let mut origin = Origin {
        time_us: transaction.time_us,
        snapshot: "false",
        server_id: raw.server_id,
        gtid: gtid.as_deref(),
        file: &start.file,
        offset: start.offset,
        row: 0,
        thread: transaction.thread,
        query: query.as_deref(),
        transaction: None,
    };
    let step = numbers(event.kind);
    let mut last = base;
    let held = out.holds(table, Position::new(major, base + 1))?;
    let (mut aside, mut removed) = (held.then(|| aside(table)), Removed::new());
    let batch = match &mut aside {
        Some(batch) => batch,
        None => out.batch(table)?,
    };
    let before = batch.len();
    while let Some(images) = event.next(&table.wires).map_err(malformed)? {
        let at = Position::new(major, last + 1);
        last += step;
        if told {
            let changes = 1 + u64::from(splits(table, &images));
            let (total_order, table_order) = transaction.count(&table.name, changes);
            origin.transaction = Some(Block { id: &id, total_order, table_order });
        }
        // Also what was settled: signals are followed at the end of their transaction.
        if watched {
            watch.change(table, event.kind == RowsKind::Insert, &images);
        }
        if at.minor > transaction.settled {
            if held {
                look(&mut removed, batch.len(), table, event.kind, &images);
            }
            let tombstone = settings.tombstones_on_delete;
            push_change(table, batch, event.kind, at, &origin, images, tombstone);
        }
        origin.row = origin.row.saturating_add(1);
    }
    *last_row = origin.row.saturating_sub(1);
    let rows = batch.len() - before;
    if event.ends_statement {
        transaction.query = None;
    }
    let end = Position::new(major, last);
    match aside {
        Some(batch) => put(&table.name, &batch, removed, out)?,
        None if rows > 0 => out.appended(rows, raw.body.len(), end),
        None => {}
    }
    out.reached(end);
    Ok(())
}
