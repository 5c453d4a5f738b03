//! MySQL's side of snapshots beside the stream: where they meet the stream and its records.

use std::sync::Arc;

use wasmgate_connector::{Refusal, SourceStatus};
use wasmgate_model::{Fault, Position};
use wasmgate_replication::incremental::{Chunk, StreamSide, Windows};
use wasmgate_replication::{Kind, Signal, TableName, Work};

use super::blocking::Blocking;
use super::chunk::{NO_GTIDS, Rows};
use super::window::{Columns, Told, Tracked, Window};
use crate::assemble::Assembler;
use crate::catalog::{Server, tables};
use crate::connect::Connector;
use crate::definition::TableDefinition;
use crate::settings::{Settings, Watermarks};
use crate::snapshot::{Events, Stamp, hand_over, push_row};
use crate::stream::Stream;
use crate::table::Table;

/// What is MySQL's own.
pub(super) struct Own {
    pub settings: Arc<Settings>,
    pub server: Arc<Server>,
    pub connector: Connector,
    pub status: Arc<SourceStatus>,
    pub blocking: Option<Box<Blocking>>,
    /// The state is another than the last one handed over.
    pub news: bool,
}

/// The stream, where its records go, and what is our own. No transaction is open.
pub(super) struct Side<'a> {
    pub own: &'a mut Own,
    pub stream: &'a mut Stream,
    pub out: &'a mut Assembler,
    pub events: &'a Events,
}

impl Side<'_> {
    /// Hands the open delivery over, with the state as it is now.
    pub(super) async fn hand_over(&mut self) -> Result<(), Fault> {
        let state = self.stream.state(self.out);
        hand_over(self.out, state, self.events).await
    }
}

impl StreamSide for Side<'_> {
    type Rows = Rows;
    type Columns = Columns;
    type Sight = Told;
    type Out = Assembler;
    type Table = (Table, TableDefinition);

    fn out(&mut self) -> &mut Assembler {
        self.out
    }

    fn place(&self) -> Position {
        self.out.place()
    }

    fn store(&mut self, work: &Work) {
        self.stream.work = work.stored();
        self.own.news = true;
    }

    fn windows(&mut self) -> &mut Windows<Columns, Told> {
        &mut self.stream.watch.windows
    }

    fn open(&mut self, window: u64, table: Tracked) {
        let told = (self.stream.executed.clone(), self.stream.read_to().clone());
        self.stream.watch.windows.open(window, vec![table], told);
    }

    fn read(&mut self, chunk: &Chunk<Rows>) {
        self.stream.watch.read(chunk.window, &chunk.rows.saw);
    }

    fn is_held(&self, name: &TableName) -> bool {
        self.out.is_held(&(name.schema.clone(), name.table.clone()))
    }

    fn hold(&mut self, name: &TableName, reason: String) -> Result<(), Fault> {
        let name = (name.schema.clone(), name.table.clone());
        self.out.hold(&name, self.out.place(), reason);
        Ok(())
    }

    fn holds(&mut self, chunk: &Chunk<Rows>) -> Result<bool, Fault> {
        self.out.holds(&chunk.rows.table, self.out.place())
    }

    fn is_any_stale(&self, chunk: &Chunk<Rows>, window: &Window) -> bool {
        chunk.rows.rows.iter().any(|row| window.is_stale(0, row.key.as_ref()))
    }

    async fn deliver(&mut self, chunk: Chunk<Rows>, window: Window) -> Result<bool, Fault> {
        // Rows of one delivery are in no order but by position: what the stream told goes first.
        if self.out.has_rows() {
            self.hand_over().await?;
        }
        let Rows { table, rows, time_us, .. } = chunk.rows;
        let place = self.stream.place.clone();
        for row in rows {
            if window.is_stale(0, row.key.as_ref()) {
                continue;
            }
            if !self.out.has_room() {
                self.stream.skip_number(self.out);
            }
            let stamp = Stamp { snapshot: "incremental", place: &place, time_us };
            push_row(&table, &row.values, &stamp, self.out)?;
            if self.out.is_full() {
                self.hand_over().await?;
            }
        }
        Ok(false)
    }

    async fn captured(&mut self) -> Result<Vec<TableName>, Fault> {
        let captured = tables(self.stream.session().await?, &self.own.settings).await?;
        Ok(captured.iter().map(TableName::from).collect())
    }

    fn refusal(&self, signal: &Signal) -> Option<Refusal> {
        let execute = match signal {
            Signal::Execute(execute) => execute,
            Signal::ResumeTable { discard: true, .. } => {
                let why = "`kept` is Postgres' only: changes of a MySQL table that is held back \
                           are dead letters";
                return Some(Refusal::Invalid(why.into()));
            }
            _ => return None,
        };
        let Own { settings, server, .. } = &*self.own;
        let read_only = settings.snapshots.watermarks == Watermarks::ReadOnly;
        let compares = server.maria || server.gtids;
        let blocking = execute.kind == Kind::Blocking;
        (!blocking && read_only && !compares).then(|| Refusal::Conflict(NO_GTIDS.into()))
    }

    async fn fit(
        &mut self,
        name: &TableName,
        _discard: bool,
    ) -> Result<Result<Self::Table, String>, Fault> {
        self.now(&(name.schema.clone(), name.table.clone())).await
    }

    async fn goes_on(&mut self, name: &TableName, _discard: bool) -> Result<(), Fault> {
        self.resume(name).await
    }

    fn due(&self) -> Vec<(TableName, bool)> {
        let read_to = self.stream.read_to();
        let due = self.out.held().iter().filter(|held| held.is_due(read_to));
        due.map(|held| (held.table(), held.discard)).collect()
    }

    async fn release(
        &mut self,
        _name: &TableName,
        (table, definition): (Table, TableDefinition),
        _discard: bool,
    ) -> Result<(), Fault> {
        self.stream.defined(&table.name, definition, self.out.place())?;
        let place = self.stream.place.clone();
        self.out.release(&table, &place, self.own.settings.tombstones_on_delete)
    }

    fn stays(&mut self, name: &TableName, why: &str) {
        self.out.quarantine(|all| {
            let held = all.iter_mut().filter(|held| held.is(name));
            held.for_each(|held| (held.resume_at, held.reason) = (None, why.to_owned()));
        });
        self.own.news = true;
    }

    fn give_up(&mut self) -> bool {
        self.own.blocking.take().is_some()
    }
}
