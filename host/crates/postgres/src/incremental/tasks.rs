//! Signals and commands: what is put on the list, taken off it, paused.

use wasmgate_connector::{Refusal, SourceCommand};
use wasmgate_model::Fault;
use wasmgate_replication::{About, Execute, Kind, Signal, means};

use super::{Beside, Item, TableItem};
use crate::assemble::Assembler;
use crate::catalog::TableName;
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
        match Signal::parse(kind, data) {
            Ok(signal) => self.follow(id, signal, stream, out).await,
            Err(refusal) => {
                tracing::warn!(id, %refusal, "a signal is passed over");
                Ok(())
            }
        }
    }

    /// A command; answered once it is in the checkpoint.
    pub(super) async fn command(
        &mut self,
        command: SourceCommand,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let SourceCommand { id, kind, data, answer } = command;
        let refused = match Signal::parse(&kind, &data) {
            Ok(Signal::Window) => {
                Refusal::Invalid(format!("signal `{kind}` is only for the signal table"))
            }
            Ok(Signal::ResumeTable { table, discard }) => {
                match self.resume_table(&id, (&table, discard), stream, out).await? {
                    Ok(()) => {
                        self.work.commands += 1;
                        self.taken.wait(self.work.commands, answer);
                        self.store(out);
                        return Ok(());
                    }
                    Err(refusal) => refusal,
                }
            }
            Ok(signal) => {
                self.work.commands += 1;
                self.taken.wait(self.work.commands, answer);
                self.follow(&id, signal, stream, out).await?;
                self.store(out);
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        // Whoever asked may not wait any more.
        answer.send(Err(refused)).ok();
        Ok(())
    }

    async fn follow(
        &mut self,
        id: &str,
        signal: Signal,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        match signal {
            Signal::Window => {}
            Signal::Log(message) => {
                let at = out.place().to_string();
                tracing::info!(id, message = message.replacen("{}", &at, 1), "signal");
            }
            Signal::ResumeTable { table, discard } => {
                let asked = (&table, discard);
                if let Err(refusal) = self.resume_table(id, asked, stream, out).await? {
                    tracing::warn!(id, %refusal, "a signal is passed over");
                }
            }
            Signal::Execute(execute) => self.execute(id, &execute, stream, out).await?,
            Signal::Pause => self.pause(true, stream, out)?,
            Signal::Resume => self.pause(false, stream, out)?,
            Signal::Stop(tables) => self.stop(id, &tables, stream, out)?,
        }
        Ok(())
    }

    async fn execute(
        &mut self,
        id: &str,
        execute: &Execute,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let publication = self.settings.publication.clone();
        let published = stream.catalog().published(&publication).await?.unwrap_or_default();
        let known =
            |name: &String| self.settings.tables.is_empty() || self.settings.tables.contains(name);
        let mut tables: Vec<TableName> = Vec::new();
        for pattern in &execute.tables {
            let pattern = std::slice::from_ref(pattern);
            let found = published.iter().map(|p| &p.name).filter(|name| {
                let text = name.to_string();
                known(&text) && means(pattern, &text)
            });
            for name in found {
                if !tables.contains(name) {
                    tables.push(name.clone());
                }
            }
        }
        if tables.is_empty() {
            let asked = execute.tables.join(",");
            tracing::warn!(id, asked, "a signal names no table that is captured");
            return Ok(());
        }
        let blocking = execute.kind == Kind::Blocking;
        let with = |name: TableName| {
            let condition = execute.condition(&name.to_string()).map(str::to_owned);
            TableItem { condition, ..TableItem::of(&name) }
        };
        let tables = tables.into_iter().map(with).collect();
        let surrogate = execute.surrogate.clone();
        self.work.queue.push(Item { blocking, surrogate, ..Item::of(id, tables) });
        self.store(out);
        Ok(())
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
        self.store(out);
        if let Some(item) = self.work.queue.first() {
            let kind = if pause { "PAUSED" } else { "RESUMED" };
            let data = [("data_collections", item.all.as_str())];
            let what = (About::Incremental, Some(item.id.as_str()), kind);
            self.notifier.tell(what, &data, out)?;
        }
        self.ask_more(stream)
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
        if self.blocking.is_some() && tables.is_empty() {
            self.forget(stream);
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
        self.store(out);
        Ok(())
    }
}
