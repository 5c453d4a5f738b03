//! Signals and commands: what is put on the list, taken off it, paused.

use wasmgate_connector::{Refusal, SourceCommand};
use wasmgate_model::Fault;
use wasmgate_replication::{About, Execute, Item, Kind, Signal, TableItem, TableName, means};

use super::Beside;
use super::chunk::NO_GTIDS;
use crate::assemble::Assembler;
use crate::catalog::tables;
use crate::settings::Watermarks;
use crate::stream::Stream;

impl Beside {
    /// A row of the signal table; what is wrong with it is told by the log.
    pub(super) async fn signal(
        &mut self,
        id: &str,
        kind: &str,
        data: &str,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let followed = match Signal::parse(kind, data) {
            Ok(signal) => self.follow(id, signal, stream, out).await?,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = followed {
            tracing::warn!(id, %refusal, "a signal is passed over");
        }
        Ok(())
    }

    /// A command; answered once it is in the checkpoint.
    pub(super) async fn command(
        &mut self,
        command: SourceCommand,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let SourceCommand { id, kind, data, answer } = command;
        let followed = match Signal::parse(&kind, &data) {
            Ok(Signal::Window) => {
                let why = format!("signal `{kind}` is only for the signal table");
                Err(Refusal::Invalid(why))
            }
            Ok(signal) => self.follow(&id, signal, stream, out).await?,
            Err(refusal) => Err(refusal),
        };
        match followed {
            Ok(()) => {
                self.work.commands += 1;
                self.taken.wait(self.work.commands, answer);
                self.store(stream);
            }
            // Whoever asked may not wait any more.
            Err(refusal) => drop(answer.send(Err(refusal))),
        }
        Ok(())
    }

    async fn follow(
        &mut self,
        id: &str,
        signal: Signal,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<Result<(), Refusal>, Fault> {
        match signal {
            Signal::Window => {}
            Signal::Log(message) => {
                let at = out.place().to_string();
                tracing::info!(id, message = message.replacen("{}", &at, 1), "signal");
            }
            Signal::ResumeTable { discard: true, .. } => {
                let why = "`kept` is Postgres' only: changes of a MySQL table that is held back \
                           are dead letters";
                return Ok(Err(Refusal::Invalid(why.into())));
            }
            Signal::ResumeTable { table, .. } => {
                return self.resume_table(id, &table, stream, out).await;
            }
            Signal::Execute(execute) => return self.execute(id, &execute, stream).await,
            Signal::Pause => self.pause(true, stream, out)?,
            Signal::Resume => self.pause(false, stream, out)?,
            Signal::Stop(tables) => self.stop(id, &tables, stream, out)?,
        }
        Ok(Ok(()))
    }

    async fn execute(
        &mut self,
        id: &str,
        execute: &Execute,
        stream: &mut Stream,
    ) -> Result<Result<(), Refusal>, Fault> {
        let blocking = execute.kind == Kind::Blocking;
        let read_only = self.settings.snapshots.watermarks == Watermarks::ReadOnly;
        if !blocking && read_only && !self.server.maria && !self.server.gtids {
            return Ok(Err(Refusal::Conflict(NO_GTIDS.into())));
        }
        let settings = std::sync::Arc::clone(&self.settings);
        let captured = tables(stream.session().await?, &settings).await?;
        let mut found: Vec<TableName> = Vec::new();
        for pattern in &execute.tables {
            let pattern = std::slice::from_ref(pattern);
            for (schema, table) in &captured {
                let name = TableName { schema: schema.clone(), table: table.clone() };
                if means(pattern, &name.to_string()) && !found.contains(&name) {
                    found.push(name);
                }
            }
        }
        if found.is_empty() {
            let asked = execute.tables.join(",");
            tracing::warn!(id, asked, "a signal names no table that is captured");
            return Ok(Ok(()));
        }
        let with = |name: TableName| {
            let condition = execute.condition(&name.to_string()).map(str::to_owned);
            TableItem { condition, ..TableItem::of(&name) }
        };
        let tables = found.into_iter().map(with).collect();
        let surrogate = execute.surrogate.clone();
        self.work.queue.push(Item { blocking, surrogate, ..Item::of(id, tables) });
        self.store(stream);
        Ok(Ok(()))
    }

    fn pause(
        &mut self,
        pause: bool,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        if self.work.paused == pause {
            return Ok(());
        }
        self.work.paused = pause;
        self.store(stream);
        if let Some(item) = self.work.queue.first() {
            let kind = if pause { "PAUSED" } else { "RESUMED" };
            let data = [("data_collections", item.all.as_str())];
            let what = (About::Incremental, Some(item.id.as_str()), kind);
            self.notifier.tell(what, &data, out)?;
        }
        Ok(())
    }

    /// Takes tables off the list; none named: all.
    fn stop(
        &mut self,
        id: &str,
        tables: &[String],
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let goes = |table: &TableItem| tables.is_empty() || means(tables, &table.name());
        let reads = self.opening || self.reading.is_some() || !self.ready.is_empty();
        let current = self.work.queue.first().and_then(|item| item.tables.first());
        if reads && current.is_some_and(goes) {
            self.forget(stream);
            self.opening = false;
        }
        if tables.is_empty() {
            self.blocking = None;
        }
        for item in &mut self.work.queue {
            item.tables.retain(|table| !goes(table));
        }
        let ended: Vec<Item> = self.work.queue.extract_if(.., |i| i.tables.is_empty()).collect();
        for item in ended {
            let data = [("data_collections", item.all.as_str())];
            let what = (About::Incremental, Some(item.id.as_str()), "ABORTED");
            self.notifier.tell(what, &data, out)?;
            tracing::info!(id, stopped = item.id, "a snapshot beside the stream is stopped");
        }
        if self.work.queue.is_empty() {
            self.work.paused = false;
        }
        self.store(stream);
        Ok(())
    }
}
