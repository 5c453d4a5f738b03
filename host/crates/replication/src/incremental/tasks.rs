//! Signals and commands: what is put on the list, taken off it, paused.

use wasmgate_connector::{Refusal, SourceCommand};
use wasmgate_model::Fault;

use super::{Incremental, StreamSide};
use crate::name::TableName;
use crate::notify::About;
use crate::signal::{Execute, Kind, Signal, means};
use crate::work::{Item, TableItem};

impl<R: Send + 'static> Incremental<R> {
    /// A row of the signal table; what is wrong with it is told by the log.
    ///
    /// # Errors
    /// The server does not answer, or a notification cannot be put.
    pub async fn signal(
        &mut self,
        [id, kind, data]: [&str; 3],
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        let followed = match Signal::parse(kind, data) {
            Ok(signal) => self.follow(id, signal, side).await?,
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
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        let SourceCommand { id, kind, data, answer } = command;
        let followed = match Signal::parse(&kind, &data) {
            Ok(Signal::Window) => {
                let why = format!("signal `{kind}` is only for the signal table");
                Err(Refusal::Invalid(why))
            }
            Ok(signal) => self.follow(&id, signal, side).await?,
            Err(refusal) => Err(refusal),
        };
        match followed {
            Ok(()) => {
                self.work.commands += 1;
                self.taken.wait(self.work.commands, answer);
                side.store(&self.work);
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
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<Result<(), Refusal>, Fault> {
        if let Some(refusal) = side.refusal(&signal) {
            return Ok(Err(refusal));
        }
        match signal {
            Signal::Window => {}
            Signal::Log(message) => {
                let at = side.place().to_string();
                tracing::info!(id, message = message.replacen("{}", &at, 1), "signal");
            }
            Signal::ResumeTable { table, discard } => {
                return self.resume_table(id, (&table, discard), side).await;
            }
            Signal::Execute(execute) => return self.execute(id, &execute, side).await,
            Signal::Pause => self.pause(true, side)?,
            Signal::Resume => self.pause(false, side)?,
            Signal::Stop(tables) => self.stop(id, &tables, side)?,
        }
        Ok(Ok(()))
    }

    async fn execute(
        &mut self,
        id: &str,
        execute: &Execute,
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<Result<(), Refusal>, Fault> {
        let captured = side.captured().await?;
        let mut tables: Vec<&TableName> = Vec::new();
        for pattern in &execute.tables {
            let pattern = std::slice::from_ref(pattern);
            for name in captured.iter().filter(|name| means(pattern, &name.to_string())) {
                if !tables.contains(&name) {
                    tables.push(name);
                }
            }
        }
        if tables.is_empty() {
            let asked = execute.tables.join(",");
            tracing::warn!(id, asked, "a signal names no table that is captured");
            return Ok(Ok(()));
        }
        let with = |name: &TableName| {
            let condition = execute.condition(&name.to_string()).map(str::to_owned);
            TableItem { condition, ..TableItem::of(name) }
        };
        let tables = tables.into_iter().map(with).collect();
        let (blocking, surrogate) = (execute.kind == Kind::Blocking, execute.surrogate.clone());
        self.work.queue.push(Item { blocking, surrogate, ..Item::of(id, tables) });
        side.store(&self.work);
        Ok(Ok(()))
    }

    fn pause(&mut self, pause: bool, side: &mut impl StreamSide<Rows = R>) -> Result<(), Fault> {
        if self.work.paused == pause {
            return Ok(());
        }
        self.work.paused = pause;
        side.store(&self.work);
        if let Some(item) = self.work.queue.first() {
            let kind = if pause { "PAUSED" } else { "RESUMED" };
            let data = [("data_collections", item.all.as_str())];
            let what = (About::Incremental, Some(item.id.as_str()), kind);
            self.notifier.tell(what, &data, side.out())?;
        }
        Ok(())
    }

    /// Takes tables off the list; none named: all.
    fn stop(
        &mut self,
        id: &str,
        tables: &[String],
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        let goes = |table: &TableItem| tables.is_empty() || means(tables, &table.name());
        let reads = self.opening || self.reading.is_some() || !self.ready.is_empty();
        let current = self.work.queue.first().and_then(|item| item.tables.first());
        if reads && current.is_some_and(goes) {
            self.forget(side);
            self.opening = false;
        }
        // A snapshot that the stream waits for begins again with the tables that stay, if any do.
        let first = self.work.queue.first();
        if first.is_some_and(|item| item.tables.iter().any(goes)) && side.give_up() {
            self.forget(side);
        }
        for item in &mut self.work.queue {
            item.tables.retain(|table| !goes(table));
        }
        let ended: Vec<Item> = self.work.queue.extract_if(.., |i| i.tables.is_empty()).collect();
        for item in ended {
            let data = [("data_collections", item.all.as_str())];
            let what = (About::Incremental, Some(item.id.as_str()), "ABORTED");
            self.notifier.tell(what, &data, side.out())?;
            tracing::info!(id, stopped = item.id, "a snapshot beside the stream is stopped");
        }
        if self.work.queue.is_empty() {
            self.work.paused = false;
        }
        side.store(&self.work);
        Ok(())
    }
}
