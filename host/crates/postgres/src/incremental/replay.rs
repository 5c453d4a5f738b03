//! Kept changes of a table that goes on: looked at before, then delivered in their order, each
//! under the description that it was written under. They stand between two transactions, before
//! everything that the stream brings of the table from here on.

use wasmgate_codec::pgoutput::decode;
use wasmgate_model::{Batch, Fault, FaultKind, Position};

use super::side::Side;
use crate::assemble::{Assembler, append_letter};
use crate::catalog::TableName;
use crate::quarantine::kept::Records;
use crate::quarantine::record::{Record, Stamp};
use crate::quarantine::streak::Streak;
use crate::snapshot::hand_over;
use crate::stream::{Change, Letter};
use crate::table::Table;

/// Changes that are looked at under one batch.
const LOOKED_AT: usize = 1024;

/// Changes on their way.
struct Filling {
    batch: Batch,
    bytes: usize,
    changes: u64,
}

impl Filling {
    fn new(table: &Table, discard: bool, out: &mut Assembler) -> Result<Self, Fault> {
        let batch = match discard {
            true => out.batch_of_letters(table),
            false => out.empty_batch(&table.schema)?,
        };
        Ok(Self { batch, bytes: 0, changes: 0 })
    }

    fn letter(
        &mut self,
        table: &Table,
        stamp: &Stamp,
        message: &[u8],
        out: &Assembler,
    ) -> Result<(), Fault> {
        let change = decode(message).ok().and_then(Change::kept).ok_or_else(damaged)?;
        let letter = Letter::of(table, &change, &stamp.origin());
        let record = letter.record(Position::default());
        append_letter(&mut self.batch, &record, out.cause_of(&table.name));
        self.bytes += letter.bytes();
        Ok(())
    }

    /// Adds them to the delivery, which says how far they go.
    fn add(self, name: &TableName, records: &Records, out: &mut Assembler) {
        out.add(self.batch, self.bytes);
        out.kept_delivered(name, self.changes, records);
    }
}

fn damaged() -> Fault {
    let what = "a kept change cannot be read, or stands before any description of its table";
    Fault::new(FaultKind::Disk, what).coded("kept-changes-lost")
}

impl Side<'_> {
    /// Why kept changes cannot be delivered as the chain and the settings are now.
    pub(super) async fn unfit_kept(&mut self, name: &TableName) -> Result<Option<String>, Fault> {
        let Some(mut records) = self.out.kept_records(name)? else { return Ok(None) };
        let (limit, mut streak) = (self.out.undecodable_rows(), Streak::default());
        let (mut table, mut batch): (Option<Table>, Option<Batch>) = (None, None);
        while let Some(record) = records.next()? {
            match record {
                Record::Description(d) => {
                    let (described, info) = (&d.described, &d.info);
                    let now = self.own.naming.table(name.clone(), described, info, table.as_ref());
                    if let Some(why) = self.out.context().planner.refusal(&now.schema)? {
                        return Ok(Some(format!("its kept changes: {why}")));
                    }
                    (table, batch) = (Some(now), None);
                }
                Record::Change(stamp, message) => {
                    let Some(table) = &table else { return Err(damaged()) };
                    let mut looked = match batch.take() {
                        Some(batch) => batch,
                        None => self.out.empty_batch(&table.schema)?,
                    };
                    let from = looked.len();
                    self.push(table, &mut looked, &stamp, &message)?;
                    if let Some(why) = streak.count(&looked, from, limit) {
                        return Ok(Some(format!("its kept changes: {why}")));
                    }
                    if looked.len() < LOOKED_AT {
                        batch = Some(looked);
                    } else {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        Ok(None)
    }

    /// Delivers what is kept of a table, or makes dead letters of it.
    pub(super) async fn replay(&mut self, name: &TableName, discard: bool) -> Result<(), Fault> {
        let Some(mut records) = self.out.kept_records(name)? else { return Ok(()) };
        let limits = self.out.context().limits;
        let (mut table, mut filling): (Option<Table>, Option<Filling>) = (None, None);
        while let Some(record) = records.next()? {
            match record {
                Record::Description(d) => {
                    let (described, info) = (&d.described, &d.info);
                    let now = self.own.naming.table(name.clone(), described, info, table.as_ref());
                    table = Some(now);
                    if let Some(before) = filling.take() {
                        before.add(name, &records, self.out);
                        hand_over(self.out, self.events).await?;
                    }
                }
                Record::Change(stamp, message) => {
                    let Some(table) = &table else { return Err(damaged()) };
                    let mut next = match filling.take() {
                        Some(filling) => filling,
                        None => Filling::new(table, discard, self.out)?,
                    };
                    if discard {
                        next.letter(table, &stamp, &message, self.out)?;
                    } else {
                        self.push(table, &mut next.batch, &stamp, &message)?;
                        next.bytes += message.len();
                    }
                    next.changes += 1;
                    if next.batch.len() >= limits.rows || next.bytes >= limits.bytes {
                        next.add(name, &records, self.out);
                        hand_over(self.out, self.events).await?;
                    } else {
                        filling = Some(next);
                    }
                }
            }
        }
        // The last go with the word that the table is not held back any more.
        if let Some(last) = filling {
            last.add(name, &records, self.out);
        }
        Ok(())
    }

    fn push(
        &self,
        table: &Table,
        batch: &mut Batch,
        stamp: &Stamp,
        message: &[u8],
    ) -> Result<(), Fault> {
        let change = decode(message).ok().and_then(Change::kept).ok_or_else(damaged)?;
        let tombstones = self.own.settings.tombstones_on_delete;
        change.push((table, batch), Position::default(), &stamp.origin(), tombstones);
        Ok(())
    }
}
