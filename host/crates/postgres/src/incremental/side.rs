//! Postgres' side of snapshots beside the stream: where they meet the stream and its records.

use std::sync::Arc;

use tokio::time::Instant;
use wasmgate_connector::Refusal;
use wasmgate_model::{Batch, Fault, Position};
use wasmgate_replication::incremental::{Chunk, StreamSide, Windows};
use wasmgate_replication::{Signal, Work};

use super::NUDGE;
use super::blocking::Blocking;
use super::chunk::Rows;
use super::window::{Sight, Tracked, Window};
use crate::assemble::Assembler;
use crate::catalog::TableName;
use crate::connect::Connector;
use crate::replication::Confirmed;
use crate::settings::Settings;
use crate::snapshot::copied::{Filling, Stamp};
use crate::snapshot::{Events, hand_over};
use crate::stream::Stream;
use crate::table::{Naming, Table};

/// What is Postgres' own.
pub(super) struct Own {
    pub settings: Arc<Settings>,
    pub naming: Naming,
    pub connector: Connector,
    pub confirmed: Arc<Confirmed>,
    pub blocking: Option<Box<Blocking>>,
    /// A table that was held back waits for its place in the log.
    pub resuming: bool,
    pub late_at: Instant,
}

/// The stream, where its records go, and what is our own.
pub(super) struct Side<'a> {
    pub own: &'a mut Own,
    pub stream: &'a mut Stream,
    pub out: &'a mut Assembler,
    pub events: &'a Events,
}

impl StreamSide for Side<'_> {
    type Rows = Rows;
    type Columns = Vec<usize>;
    type Sight = Sight;
    type Out = Assembler;
    type Table = Table;

    fn out(&mut self) -> &mut Assembler {
        self.out
    }

    fn place(&self) -> Position {
        self.out.place()
    }

    fn store(&mut self, work: &Work) {
        self.out.state().work = work.stored();
    }

    fn windows(&mut self) -> &mut Windows<Vec<usize>, Sight> {
        &mut self.stream.watch.windows
    }

    fn open(&mut self, window: u64, table: Tracked) {
        self.stream.watch.open(window, vec![table]);
    }

    fn read(&mut self, chunk: &Chunk<Rows>) {
        self.stream.watch.read(chunk.window, chunk.rows.visible.clone());
        self.own.late_at = Instant::now() + NUDGE;
    }

    fn is_held(&self, name: &TableName) -> bool {
        self.out.is_held(name)
    }

    fn hold(&mut self, name: &TableName, reason: String) -> Result<(), Fault> {
        self.out.hold(name, self.out.place(), reason)
    }

    fn holds(&mut self, chunk: &Chunk<Rows>) -> Result<bool, Fault> {
        let table = &chunk.rows.table;
        Ok(self.out.is_held(&table.name) || self.out.hold_misfit(table, self.out.place())?)
    }

    fn is_any_stale(&self, chunk: &Chunk<Rows>, window: &Window) -> bool {
        chunk.rows.rows.iter().any(|row| window.is_stale(0, Some(&row.key)))
    }

    async fn deliver(&mut self, chunk: Chunk<Rows>, window: Window) -> Result<bool, Fault> {
        let last_commit = self.stream.last_commit();
        deliver_rows(&chunk.rows, &window, last_commit, (self.out, self.events)).await
    }

    async fn captured(&mut self) -> Result<Vec<TableName>, Fault> {
        let Settings { publication, tables, .. } = &*self.own.settings;
        let published = self.stream.catalog().published(publication).await?.unwrap_or_default();
        let known = |name: &TableName| tables.is_empty() || tables.contains(&name.to_string());
        Ok(published.into_iter().map(|p| p.name).filter(known).collect())
    }

    fn refusal(&self, _: &Signal) -> Option<Refusal> {
        None
    }

    async fn fit(
        &mut self,
        name: &TableName,
        discard: bool,
    ) -> Result<Result<Table, String>, Fault> {
        self.now(name, discard).await
    }

    async fn goes_on(&mut self, name: &TableName, discard: bool) -> Result<(), Fault> {
        self.resume(name, discard).await
    }

    fn due(&self) -> Vec<(TableName, bool)> {
        let here = self.out.place().major;
        let due = self.out.held().iter().filter(|held| held.is_due(&here));
        due.map(|held| (held.table(), held.discard)).collect()
    }

    async fn release(
        &mut self,
        name: &TableName,
        table: Table,
        discard: bool,
    ) -> Result<(), Fault> {
        Box::pin(self.replay(name, discard)).await?;
        self.out.release(&table, self.own.settings.tombstones_on_delete)
    }

    fn stays(&mut self, name: &TableName, why: &str) {
        self.out.quarantine(|all| {
            let held = all.iter_mut().filter(|held| held.is(name));
            held.for_each(|held| (held.resume_at, held.reason) = (None, why.to_owned()));
        });
    }

    fn give_up(&mut self) -> bool {
        self.own.blocking.take().is_some()
    }
}

/// Delivers the rows of a chunk. True: its table is held back now, for they cannot be decoded.
async fn deliver_rows(
    chunk: &Rows,
    window: &Window,
    last_commit: &[u8],
    (out, events): (&mut Assembler, &Events),
) -> Result<bool, Fault> {
    let mut sequence = b"[".to_vec();
    sequence.extend_from_slice(last_commit);
    sequence.extend_from_slice(b",null]");
    let (time_us, snapshot) = (chunk.time_us, "incremental");
    let stamp = Stamp { time_us, snapshot, sequence, transaction: None, lsn: None };
    let context = out.context().clone();
    let mut filling = Filling::new(&context, &chunk.table, &stamp, chunk.format)?;
    let name = &chunk.table.name;
    for row in chunk.rows.iter().filter(|row| !window.is_stale(0, Some(&row.key))) {
        filling.row(&row.values);
        if filling.is_full() {
            let bytes = filling.bytes;
            let held = add_rows(filling.take()?, bytes, name, out)?;
            hand_over(out, events).await?;
            if held {
                return Ok(true);
            }
        }
    }
    if filling.rows() == 0 {
        return Ok(false);
    }
    let bytes = filling.bytes;
    add_rows(filling.take()?, bytes, name, out)
}

/// Adds rows of a table; answers whether it is held back after them.
fn add_rows(
    batch: Batch,
    bytes: usize,
    name: &TableName,
    out: &mut Assembler,
) -> Result<bool, Fault> {
    let held = out.hold_undecodable(name, (&batch, 0), out.place())?;
    out.add(batch, bytes);
    Ok(held)
}
