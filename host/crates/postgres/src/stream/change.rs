//! Changes of rows: numbered, counted, left out where they are settled or not wanted, and appended
//! to the batch of their table.

use std::sync::Arc;

use wasmgate_codec::json::write_int;
use wasmgate_codec::pgoutput::{Message, OldKind, Tuple};
use wasmgate_model::{Batch, Fault, Op, Position};

use super::held::{hold_back, keep};
use super::{Known, Stream, known, protocol, sequence};
use crate::assemble::Assembler;
use crate::incremental::Touched;
use crate::quarantine::record::Description;
use crate::rows::{
    Origin, TransactionBlock, is_unchanged, key_differs, push_delete, push_new, push_truncate,
    push_updated,
};
use crate::table::Table;

/// What a change does.
pub(crate) enum Change<'a> {
    Insert(Tuple<'a>),
    Update(Option<(OldKind, Tuple<'a>)>, Tuple<'a>),
    Delete(OldKind, Tuple<'a>),
    Truncate,
}

impl<'a> Change<'a> {
    /// The change of one row that a message tells, and its relation.
    pub(crate) fn of(message: Message<'a>) -> Option<(u32, Self)> {
        match message {
            Message::Insert { relation, new } => Some((relation, Self::Insert(new))),
            Message::Update { relation, old, new } => Some((relation, Self::Update(old, new))),
            Message::Delete { relation, kind, old } => Some((relation, Self::Delete(kind, old))),
            _ => None,
        }
    }

    /// The change that a message tells; a truncate of one table.
    pub(crate) fn kept(message: Message<'a>) -> Option<Self> {
        match message {
            Message::Truncate { .. } => Some(Self::Truncate),
            row => Self::of(row).map(|(_, change)| change),
        }
    }

    /// The message that [`Change::kept`] reads it from.
    pub(super) fn message(&self) -> Vec<u8> {
        const RELATION: [u8; 4] = [0; 4];
        let old = |kind: OldKind| match kind {
            OldKind::Key => b'K',
            OldKind::Full => b'O',
        };
        let mut out = vec![match self {
            Self::Insert(_) => b'I',
            Self::Update(..) => b'U',
            Self::Delete(..) => b'D',
            Self::Truncate => b'T',
        }];
        if let Self::Truncate = self {
            out.extend_from_slice(&1_u32.to_be_bytes());
            out.push(0);
        }
        out.extend_from_slice(&RELATION);
        let (before, after) = match *self {
            Self::Insert(new) => (None, Some(new)),
            Self::Update(old, new) => (old, Some(new)),
            Self::Delete(kind, tuple) => (Some((kind, tuple)), None),
            Self::Truncate => (None, None),
        };
        if let Some((kind, tuple)) = before {
            out.push(old(kind));
            tuple.write(&mut out);
        }
        if let Some(tuple) = after {
            out.push(b'N');
            tuple.write(&mut out);
        }
        out
    }
}

impl Change<'_> {
    /// Numbers it takes.
    fn numbers(&self) -> u64 {
        match self {
            Self::Insert(_) | Self::Truncate => 1,
            Self::Update(..) => 3,
            Self::Delete(..) => 2,
        }
    }

    pub(super) fn op(&self) -> Op {
        match self {
            Self::Insert(_) => Op::Create,
            Self::Update(..) => Op::Update,
            Self::Delete(..) => Op::Delete,
            Self::Truncate => Op::Truncate,
        }
    }

    /// An update that changes nothing of what the records hold.
    fn is_unchanged(&self, table: &Table) -> bool {
        let Self::Update(Some((OldKind::Full, old)), new) = self else { return false };
        table.skip_unchanged && is_unchanged(table, *old, *new)
    }

    /// Its images.
    fn touched(&self) -> Touched<'_> {
        match *self {
            Self::Insert(new) => Touched { inserted: true, old: None, new: Some(new) },
            Self::Update(old, new) => {
                Touched { inserted: false, old: old.map(|(_, old)| old), new: Some(new) }
            }
            Self::Delete(_, old) => Touched { inserted: false, old: Some(old), new: None },
            Self::Truncate => Touched { inserted: false, old: None, new: None },
        }
    }

    /// Appends its records.
    pub(crate) fn push(
        &self,
        (table, batch): (&Table, &mut Batch),
        at: Position,
        origin: &Origin<'_>,
        tombstone: bool,
    ) {
        match *self {
            Self::Insert(new) => push_new(table, batch, Op::Create, at, origin, new.iter()),
            Self::Update(old, new) => push_updated(table, batch, at, origin, old, new, tombstone),
            Self::Delete(kind, old) => {
                push_delete(table, batch, at, origin, (kind, old), tombstone);
            }
            Self::Truncate => push_truncate(table, batch, at, origin),
        }
    }

    /// Events in Debezium's count: tombstones are none, a change of the key is two.
    fn events(&self, table: &Table) -> i64 {
        match self {
            Self::Update(Some((kind, old)), new) if key_differs(table, *kind, *old, *new) => 2,
            _ => 1,
        }
    }
}

/// Sinks keep rows that the table lost.
fn warn_of_truncate(table: &Table, skipped: u64) {
    let why = "truncate not delivered: skipped operations name it";
    tracing::warn!(table = %table.name, skipped, "{why}");
}

/// The name of an event in its transaction, see [`crate::documents::transaction_id`].
fn write_id(xid: i64, lsn: u64, out: &mut Vec<u8>) {
    out.clear();
    write_int(xid, out);
    out.push(b':');
    write_int(lsn as i64, out);
}

impl Stream {
    pub(super) fn change(
        &mut self,
        relation: u32,
        change: &Change<'_>,
        lsn: u64,
        bytes: usize,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        if self.transaction.as_ref().is_some_and(|t| !t.begun) {
            self.tell_begin(lsn, out)?;
        }
        let Some(transaction) = &mut self.transaction else {
            return Err(protocol("a change outside of a transaction"));
        };
        let at = Position::new(transaction.commit_lsn, transaction.minor + 1);
        transaction.minor += change.numbers();
        let end = Position::new(transaction.commit_lsn, transaction.minor);
        let settled = at.minor <= transaction.settled;
        let metadata = self.settings.events.transactions;
        if settled && !metadata {
            return Ok(());
        }
        let Some(Known { table, description, .. }) =
            known(self.replayed.as_ref(), &self.tables, relation)
        else {
            let what = format!("a change of relation {relation}, which was not described");
            return Err(protocol(what));
        };
        let Some(table) = table else {
            out.reached(end);
            return Ok(());
        };
        if !settled {
            self.watch.change(table, transaction.xid, &change.touched());
        }
        if self.settings.shape.skipped.has(change.op()) || change.is_unchanged(table) {
            out.reached(end);
            if matches!(change, Change::Truncate) {
                self.truncates_skipped += 1;
                warn_of_truncate(table, self.truncates_skipped);
            }
            return Ok(());
        }
        let block = metadata.then(|| {
            let events = change.events(table);
            write_id(transaction.xid, lsn, &mut self.id);
            let places = transaction.tally.count(relation, &table.name, events);
            let (id, (total_order, data_collection_order)) = (&*self.id, places);
            TransactionBlock { id, total_order, data_collection_order }
        });
        if settled {
            return Ok(());
        }
        sequence(&self.last_commit, lsn, &mut self.sequence);
        let origin = Origin {
            time_us: transaction.commit_us,
            snapshot: "false",
            sequence: &self.sequence,
            transaction: transaction.xid,
            lsn,
            block,
            replicated: transaction.origin.as_ref().map(|(name, lsn)| (name.as_str(), *lsn)),
        };
        let tombstones = self.settings.tombstones_on_delete;
        let table = (table, description.as_ref());
        deliver((table, change, tombstones), (at, end, bytes), &origin, out)
    }
}

/// A table, and how it was described where changes may be kept.
type Described<'a> = (&'a Table, Option<&'a Arc<Description>>);

/// Appends the records of a change to the batch of its table, or, where that one is held back, to
/// the dead letters or what is kept. Its places: where it begins and ends, and what it weighs.
fn deliver(
    ((table, description), change, tombstones): (Described<'_>, &Change<'_>, bool),
    (at, end, bytes): (Position, Position, usize),
    origin: &Origin<'_>,
    out: &mut Assembler,
) -> Result<(), Fault> {
    let held = out.is_held(&table.name);
    let batch = if held { None } else { out.batch(table, at)? };
    let Some(batch) = batch else {
        if let Some(description) = description.filter(|_| out.keeps_changes_of(&table.name)) {
            keep(table, description, change, origin, out)?;
            out.reached(end);
            return Ok(());
        }
        hold_back(table, change, at, origin, out)?;
        out.appended(1, bytes, end);
        return Ok(());
    };
    let before = batch.len();
    change.push((table, batch), at, origin, tombstones);
    let rows = batch.len() - before;
    let undecodable = rows > 0 && batch.rejects.last().is_some_and(|r| r.row as usize >= before);
    out.appended(rows, bytes, end);
    if undecodable || out.has_streaks() {
        out.hold_undecodable_since(table, before, Position::new(end.major, end.minor + 1))?;
    }
    Ok(())
}
