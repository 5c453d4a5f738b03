//! Chunks on their way: asked for, read, and delivered once the stream has told what they saw.

use std::sync::atomic::Ordering;

use wasmgate_model::{Fault, FaultKind};

use super::reader::{Answer, Ask, Chunk, Opened};
use super::window::Tracked;
use super::{AHEAD, Incremental, Reading, StreamSide};
use crate::notify::About;

impl<R: Send + 'static> Incremental<R> {
    /// Takes an answer of the reading connection.
    pub(super) fn answered(
        &mut self,
        answer: Answer<R>,
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        self.asked = self.asked.saturating_sub(1);
        match answer {
            Answer::Table(opened) => {
                if std::mem::take(&mut self.opening) {
                    self.opened(opened, side)?;
                }
            }
            Answer::Chunk(chunk) => self.read(chunk, side),
            Answer::NotRead(status, why) => {
                self.marking = false;
                if std::mem::take(&mut self.opening) || self.reading.is_some() {
                    self.forget(side);
                    self.hold_again(&why, side)?;
                    self.finish_table(status, side)?;
                }
            }
            Answer::Marks => self.marking = false,
            Answer::Failed(fault) => return Err(fault),
        }
        Ok(())
    }

    /// A table that was held back goes on only with its rows.
    fn hold_again(&self, why: &str, side: &mut impl StreamSide<Rows = R>) -> Result<(), Fault> {
        let Some(item) = self.work.queue.first().filter(|item| item.resumes) else { return Ok(()) };
        let Some(table) = item.tables.first() else { return Ok(()) };
        let reason = format!("its rows could not be read anew: {why}");
        side.hold(&table.table_name(), reason)
    }

    fn opened(
        &mut self,
        opened: Opened,
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        let Opened { key, max, estimate } = opened;
        let Some(max) = max else { return self.finish_table("EMPTY", side) };
        let Some(table) = self.work.queue.first_mut().and_then(|item| item.tables.first_mut())
        else {
            return Ok(());
        };
        let progress = self.status.copying(table.name(), estimate);
        progress.rows.store(table.rows, Ordering::Relaxed);
        table.max = Some(max.clone());
        let from = table.last.clone();
        self.reading = Some(Reading { key, max, from, end: false, progress });
        side.store(&self.work);
        Ok(())
    }

    /// Asks for the next chunk, where one may be asked for.
    ///
    /// # Errors
    /// The reader is gone.
    pub fn ask_more(&mut self, side: &mut impl StreamSide<Rows = R>) -> Result<(), Fault> {
        let ahead = self.asked + self.ready.len();
        let Some(reading) = self.reading.as_ref().filter(|r| !r.end) else { return Ok(()) };
        // Where a chunk begins is known when the one before it was read.
        if self.work.paused || self.asked > 0 || ahead >= AHEAD {
            return Ok(());
        }
        let table = self.work.queue.first().and_then(|item| item.tables.first());
        let Some(table) = table else { return Ok(()) };
        let (tracked, from) =
            (Tracked::new(table.table_name(), reading.key.clone()), reading.from.clone());
        let window = self.next_window();
        side.open(window, tracked);
        self.ask(Ask::Chunk { window, from })
    }

    fn ask(&mut self, ask: Ask) -> Result<(), Fault> {
        self.asked += 1;
        // There is room for all that may be asked at a time.
        let asked = self.asks.try_send(ask);
        asked.map_err(|_| Fault::new(FaultKind::Internal, "the reader of chunks is gone"))
    }

    fn read(&mut self, chunk: Chunk<R>, side: &mut impl StreamSide<Rows = R>) {
        if chunk.window <= self.forgotten {
            return;
        }
        side.read(&chunk);
        if let Some(reading) = &mut self.reading {
            reading.end = chunk.end;
            if chunk.last.is_some() {
                reading.from.clone_from(&chunk.last);
            }
        }
        self.ready.push_back(chunk);
    }

    /// Forgets what is under way; the state says where to begin again.
    pub(super) fn forget(&mut self, side: &mut impl StreamSide<Rows = R>) {
        side.windows().close_all();
        self.forgotten = self.windows;
        self.ready.clear();
        self.reading = None;
    }

    /// Delivers the next chunk: the stream has told all that it saw. False: it was not, its table
    /// is held back or it is read again.
    ///
    /// # Errors
    /// Rows or notifications cannot be delivered.
    pub async fn deliver<S: StreamSide<Rows = R>>(&mut self, side: &mut S) -> Result<bool, Fault> {
        let Some(chunk) = self.ready.pop_front() else { return Ok(false) };
        if side.holds(&chunk)? {
            self.forget(side);
            return self.finish_table("STOPPED", side).map(|()| false);
        }
        let Some(window) = side.windows().close(chunk.window) else {
            self.read_again(side);
            return Ok(false);
        };
        // Several rows may have one value of a surrogate key, and the stream changed one of them.
        let surrogate = self.work.queue.first().is_some_and(|item| item.surrogate.is_some());
        if surrogate && side.is_any_stale(&chunk, &window) {
            self.read_again(side);
            return Ok(false);
        }
        if let Some(last) = &chunk.last {
            self.tell_progress(last, side)?;
        }
        let (count, last, end) = (chunk.count, chunk.last.clone(), chunk.end);
        if side.deliver(chunk, window).await? {
            self.forget(side);
            return self.finish_table("STOPPED", side).map(|()| false);
        }
        if let Some(reading) = &self.reading {
            reading.progress.rows.fetch_add(count, Ordering::Relaxed);
        }
        self.status.snapshot_rows.fetch_add(count, Ordering::Relaxed);
        if let Some(table) = self.work.queue.first_mut().and_then(|item| item.tables.first_mut()) {
            table.rows += count;
            if last.is_some() {
                table.last = last;
            }
        }
        side.store(&self.work);
        if end {
            self.finish_table("SUCCEEDED", side)?;
        }
        Ok(true)
    }

    /// The stream's changes could not be told from the chunk's rows: it is read once more.
    fn read_again(&mut self, side: &mut impl StreamSide<Rows = R>) {
        let reading = self.reading.take();
        self.forget(side);
        let table = self.work.queue.first().and_then(|item| item.tables.first());
        if let (Some(mut reading), Some(table)) = (reading, table) {
            (reading.from, reading.end) = (table.last.clone(), false);
            self.reading = Some(reading);
        }
    }

    fn tell_progress(
        &mut self,
        last: &[String],
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        let Some(item) = self.work.queue.first() else { return Ok(()) };
        let Some(table) = item.tables.first() else { return Ok(()) };
        let max = self.reading.as_ref().map(|r| r.max.join(",")).unwrap_or_default();
        let (name, last) = (table.name(), last.join(","));
        let data = [
            ("current_collection_in_progress", name.as_str()),
            ("maximum_key", max.as_str()),
            ("last_processed_key", last.as_str()),
            ("data_collections", item.all.as_str()),
        ];
        let what = (About::Incremental, Some(item.id.as_str()), "IN_PROGRESS");
        self.notifier.tell(what, &data, side.out())
    }

    /// The table being read gives no more; `status` is Debezium's word for how it went.
    fn finish_table(
        &mut self,
        status: &str,
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        if let Some(reading) = self.reading.take() {
            reading.progress.done.store(true, Ordering::Relaxed);
        }
        let Some(item) = self.work.queue.first_mut().filter(|item| !item.tables.is_empty()) else {
            return Ok(());
        };
        let table = item.tables.remove(0);
        let (name, rows) = (table.name(), table.rows.to_string());
        let data = [
            ("scanned_collection", name.as_str()),
            ("total_rows_scanned", rows.as_str()),
            ("status", status),
            ("data_collections", item.all.as_str()),
        ];
        let what = (About::Incremental, Some(item.id.as_str()), "TABLE_SCAN_COMPLETED");
        self.notifier.tell(what, &data, side.out())?;
        if item.tables.is_empty() {
            let what = (About::Incremental, Some(item.id.as_str()), "COMPLETED");
            self.notifier.tell(what, &[], side.out())?;
            self.work.queue.remove(0);
            self.marking = true;
            self.ask(Ask::Marks)?;
        }
        side.store(&self.work);
        Ok(())
    }

    /// Whether a snapshot that the stream waits for is next, and may begin.
    #[must_use]
    pub fn is_blocking_next(&self) -> bool {
        self.is_idle() && self.work.queue.first().is_some_and(|item| item.blocking)
    }

    /// A snapshot that the stream waits for and that the server refuses (a condition that is no
    /// SQL) is given up: the stream goes on.
    ///
    /// # Errors
    /// It failed otherwise, or a notification cannot be put.
    pub fn unless_refused(
        &mut self,
        done: Result<(), Fault>,
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        let Err(fault) = done else { return Ok(()) };
        if fault.kind != FaultKind::SourceRefused || self.work.queue.is_empty() {
            return Err(fault);
        }
        let item = self.work.queue.remove(0);
        // Nothing else is under way: a window that was opened for it is of no use.
        side.give_up();
        self.forget(side);
        tracing::warn!(id = item.id, error = fault.chain(), "a blocking snapshot is given up");
        let what = (About::Initial, Some(item.id.as_str()), "ABORTED");
        self.notifier.tell(what, &[("data_collections", item.all.as_str())], side.out())?;
        side.store(&self.work);
        Ok(())
    }

    /// Begins what is next, where it may begin.
    ///
    /// # Errors
    /// A notification cannot be put, or the reader is gone.
    pub fn go_on(&mut self, side: &mut impl StreamSide<Rows = R>) -> Result<(), Fault> {
        if !self.is_idle() {
            return Ok(());
        }
        let Some(item) = self.work.queue.first_mut() else { return Ok(()) };
        let Some(table) = item.tables.first().cloned() else {
            self.work.queue.remove(0);
            return Ok(());
        };
        if side.is_held(&table.table_name()) {
            return self.finish_table("STOPPED", side);
        }
        let surrogate = item.surrogate.clone();
        if !std::mem::replace(&mut item.told, true) {
            let data = [("data_collections", item.all.as_str())];
            let what = (About::Incremental, Some(item.id.as_str()), "STARTED");
            self.notifier.tell(what, &data, side.out())?;
            side.store(&self.work);
        }
        self.opening = true;
        self.ask(Ask::Table { item: table, surrogate })
    }
}
