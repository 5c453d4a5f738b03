//! A whole copy: readers beside each other, and one place where their batches are put in order,
//! marked and handed over.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wasmgate_model::{Batch, Fault};
use wasmgate_replication::Notifier;

use super::copied::Stamp;
use super::marks::Marks;
use super::reader::{Job, Part, Work, read};
use super::{DOING, Events, Planned, hand_over};
use crate::assemble::Assembler;
use crate::session::{Session, number};
use crate::stream::sequence;

/// Full batches that wait to be put in order, beside the one that each reader fills.
const AHEAD: usize = 2;

/// A copy that can start.
pub(crate) struct Copy<'a> {
    /// Connections in the snapshot; each becomes a reader.
    pub sessions: Vec<Session>,
    pub tables: Vec<Planned>,
    pub stamp: Stamp,
    pub out: &'a mut Assembler,
    pub events: &'a Events,
    pub notifier: &'a mut Notifier,
}

impl Stamp {
    /// What the source block says of rows copied at a place of the log, in a transaction that is
    /// open on `session`.
    pub(crate) async fn ask(session: &mut Session, lsn: u64) -> Result<Self, Fault> {
        let sql = "SELECT (extract(epoch FROM now()) * 1000000)::int8, \
                   pg_snapshot_xmax(pg_current_snapshot())";
        let rows = session.query(DOING, sql).await?;
        let asked = |i| rows.first().map_or(0, |row| number(row, i));
        let mut text = Vec::new();
        sequence(b"null", lsn, &mut text);
        Ok(Self {
            time_us: asked(0),
            snapshot: "true",
            sequence: text,
            transaction: Some(asked(1)),
            lsn: Some(lsn),
        })
    }
}

impl Copy<'_> {
    /// Copies every table; all but the last deliveries are handed over.
    pub(crate) async fn run(self) -> Result<(), Fault> {
        let Self { sessions, tables, stamp, out, events, notifier } = self;
        let mut missing: Vec<usize> = tables.iter().map(|t| t.pieces.len()).collect();
        let jobs: VecDeque<Job> = tables
            .iter()
            .enumerate()
            .flat_map(|(table, t)| (0..t.pieces.len()).map(move |piece| Job { table, piece }))
            .collect();
        let (context, jobs) = (out.context().clone(), Mutex::new(jobs));
        let held = tables.iter().map(|_| AtomicBool::default()).collect();
        let work = Arc::new(Work { context, tables, stamp, jobs, held });
        let mut copying = notifier.copying(work.tables.iter().map(|t| &t.table.name));
        let (sender, mut parts) = mpsc::channel(AHEAD);
        // Dropping the set ends the readers.
        let mut readers = JoinSet::new();
        for session in sessions {
            readers.spawn(read(session, Arc::clone(&work), sender.clone()));
        }
        drop(sender);
        let mut marks = Marks::default();
        copying.started(out)?;
        while let Some(part) = parts.recv().await {
            let Part { table, batch, bytes, last } = part?;
            copying.in_progress(table, out)?;
            if !work.is_held(table) {
                work.look(table, &batch, out)?;
                let mut ready = Vec::new();
                marks.take(table, batch, bytes, |batch, bytes| ready.push((batch, bytes)));
                deliver(ready, out, events).await?;
            }
            if let Some(missing) = missing.get_mut(table).filter(|_| last) {
                *missing -= 1;
                if *missing == 0 {
                    marks.end_table(table);
                    let progress = work.tables.get(table).map(|t| &t.progress);
                    let copied = progress.map_or(0, |p| p.rows.load(Ordering::Relaxed));
                    if let Some(progress) = progress {
                        progress.done.store(true, Ordering::Relaxed);
                    }
                    copying.scanned(table, copied, out)?;
                }
            }
        }
        let mut ready = Vec::new();
        marks.end(|batch, bytes| ready.push((batch, bytes)));
        for (batch, bytes) in ready {
            out.add(batch, bytes);
        }
        copying.completed(out)
    }
}

impl Work {
    fn is_held(&self, table: usize) -> bool {
        self.held.get(table).is_some_and(|held| held.load(Ordering::Relaxed))
    }

    /// Holds a table back whose rows cannot be decoded, one after the other.
    fn look(&self, table: usize, batch: &Batch, out: &mut Assembler) -> Result<(), Fault> {
        let (Some(planned), Some(held)) = (self.tables.get(table), self.held.get(table)) else {
            return Ok(());
        };
        let at = out.place();
        if out.hold_undecodable(&planned.table.name, (batch, 0), at)? {
            held.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

async fn deliver(
    ready: Vec<(Batch, usize)>,
    out: &mut Assembler,
    events: &Events,
) -> Result<(), Fault> {
    for (batch, bytes) in ready {
        out.add(batch, bytes);
        if out.is_full() {
            hand_over(out, events).await?;
        }
    }
    Ok(())
}
