//! Chunks on their way: asked for, read, and delivered once the stream has told what they saw.

use std::sync::atomic::Ordering;

use wasmgate_model::{Fault, FaultKind};
use wasmgate_replication::About;

use super::chunk::{Answer, Ask, Chunk, Opened};
use super::window::{Tracked, Window};
use super::{AHEAD, Beside, Reading};
use crate::assemble::Assembler;
use crate::snapshot::{Events, Stamp, hand_over, push_row};
use crate::stream::Stream;

impl Beside {
    /// Takes an answer of the reading connection.
    pub(super) fn answered(
        &mut self,
        answer: Answer,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        self.asked = self.asked.saturating_sub(1);
        match answer {
            Answer::Table(opened) => {
                if std::mem::take(&mut self.opening) {
                    self.opened(opened, stream, out)?;
                }
            }
            Answer::Chunk(chunk) => self.read(chunk, stream),
            Answer::NotRead(status) => {
                self.marking = false;
                if std::mem::take(&mut self.opening) || self.reading.is_some() {
                    self.forget(stream);
                    self.finish_table(status, stream, out)?;
                }
            }
            Answer::Marks => self.marking = false,
            Answer::Failed(_) => {}
        }
        Ok(())
    }

    fn opened(
        &mut self,
        opened: Opened,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let Opened { key, max, estimate } = opened;
        let Some(max) = max else { return self.finish_table("EMPTY", stream, out) };
        let Some(table) = self.work.queue.first_mut().and_then(|item| item.tables.first_mut())
        else {
            return Ok(());
        };
        let progress = self.status.copying(table.name(), estimate);
        progress.rows.store(table.rows, Ordering::Relaxed);
        table.max = Some(max.clone());
        let from = table.last.clone();
        self.reading = Some(Reading { key, max, from, end: false, progress });
        self.store(stream);
        Ok(())
    }

    /// Asks for the next chunk, where one may be asked for. No transaction is open.
    pub(super) fn ask_more(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        let ahead = self.asked + self.ready.len();
        let Some(reading) = self.reading.as_ref().filter(|r| !r.end) else { return Ok(()) };
        // Where a chunk begins is known when the one before it was read.
        if self.work.paused || self.asked > 0 || ahead >= AHEAD {
            return Ok(());
        }
        let table = self.work.queue.first().and_then(|item| item.tables.first());
        let Some(table) = table else { return Ok(()) };
        let name = (table.schema.clone(), table.table.clone());
        self.windows += 1;
        let window = self.windows;
        let told = (stream.executed.clone(), stream.read_to().clone());
        stream.watch.open(window, vec![Tracked::new(name, reading.key.clone())], told);
        self.ask(Ask::Chunk { window, from: reading.from.clone() })
    }

    pub(super) fn ask(&mut self, ask: Ask) -> Result<(), Fault> {
        self.asked += 1;
        // There is room for all that may be asked at a time.
        let asked = self.asks.try_send(ask);
        asked.map_err(|_| Fault::new(FaultKind::Internal, "the reader of chunks is gone"))
    }

    fn read(&mut self, chunk: Box<Chunk>, stream: &mut Stream) {
        if chunk.window <= self.forgotten {
            return;
        }
        stream.watch.read(chunk.window, &chunk.saw);
        if let Some(reading) = &mut self.reading {
            reading.end = chunk.end;
            if chunk.last.is_some() {
                reading.from.clone_from(&chunk.last);
            }
        }
        self.ready.push_back(chunk);
    }

    /// Forgets what is under way; the state says where to begin again.
    pub(super) fn forget(&mut self, stream: &mut Stream) {
        stream.watch.close_all();
        self.forgotten = self.windows;
        self.ready.clear();
        self.reading = None;
    }

    /// Delivers the next chunk: the stream has told all that it saw.
    pub(super) async fn deliver(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        let Some(chunk) = self.ready.pop_front() else { return Ok(()) };
        if out.holds(&chunk.table, out.place())? {
            self.forget(stream);
            return self.finish_table("STOPPED", stream, out);
        }
        let window = stream.watch.close(chunk.window).filter(|window| !window.is_spoiled());
        let Some(window) = window else {
            self.read_again(stream);
            return Ok(());
        };
        // Several rows may have one value of a surrogate key, and the stream changed one of them.
        let surrogate = self.work.queue.first().is_some_and(|item| item.surrogate.is_some());
        if surrogate && chunk.rows.iter().any(|row| window.is_stale(0, row.key.as_ref())) {
            self.read_again(stream);
            return Ok(());
        }
        if let Some(last) = &chunk.last {
            self.tell_progress(last, out)?;
        }
        // Rows of one delivery are in no order but by position: what the stream told goes first.
        if out.has_rows() {
            let state = stream.state(out);
            hand_over(out, state, events).await?;
        }
        let rows = chunk.rows.len() as u64;
        let (last, end) = (chunk.last.clone(), chunk.end);
        deliver_rows(*chunk, &window, stream, (out, events)).await?;
        if let Some(reading) = &self.reading {
            reading.progress.rows.fetch_add(rows, Ordering::Relaxed);
        }
        self.status.snapshot_rows.fetch_add(rows, Ordering::Relaxed);
        if let Some(table) = self.work.queue.first_mut().and_then(|item| item.tables.first_mut()) {
            table.rows += rows;
            if last.is_some() {
                table.last = last;
            }
        }
        self.store(stream);
        if end {
            self.finish_table("SUCCEEDED", stream, out)?;
        }
        let state = stream.state(out);
        hand_over(out, state, events).await?;
        self.news = false;
        self.ask_more(stream)
    }

    /// The stream's changes could not be told from the chunk's rows: it is read once more.
    fn read_again(&mut self, stream: &mut Stream) {
        let reading = self.reading.take();
        self.forget(stream);
        let table = self.work.queue.first().and_then(|item| item.tables.first());
        if let (Some(mut reading), Some(table)) = (reading, table) {
            (reading.from, reading.end) = (table.last.clone(), false);
            self.reading = Some(reading);
        }
    }

    fn tell_progress(&mut self, last: &[String], out: &mut Assembler) -> Result<(), Fault> {
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
        self.notifier.tell(what, &data, out)
    }

    /// The table being read gives no more; `status` is Debezium's word for how it went.
    pub(super) fn finish_table(
        &mut self,
        status: &str,
        stream: &mut Stream,
        out: &mut Assembler,
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
        self.notifier.tell(what, &data, out)?;
        if item.tables.is_empty() {
            let what = (About::Incremental, Some(item.id.as_str()), "COMPLETED");
            self.notifier.tell(what, &[], out)?;
            self.work.queue.remove(0);
            self.marking = true;
            self.ask(Ask::Marks)?;
        }
        self.store(stream);
        Ok(())
    }

    /// Begins what is next. No transaction is open.
    pub(super) async fn go_on(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let busy = self.opening || self.reading.is_some() || self.blocking.is_some();
        if self.work.paused || busy || self.asked > 0 {
            return Ok(());
        }
        let Some(item) = self.work.queue.first_mut() else { return Ok(()) };
        if item.blocking {
            let begun = Box::pin(self.begin_blocking(stream)).await;
            return self.unless_refused(begun, stream, out);
        }
        let Some(table) = item.tables.first().cloned() else {
            self.work.queue.remove(0);
            return Ok(());
        };
        if out.is_held(&(table.schema.clone(), table.table.clone())) {
            return self.finish_table("STOPPED", stream, out);
        }
        let surrogate = item.surrogate.clone();
        if !std::mem::replace(&mut item.told, true) {
            let data = [("data_collections", item.all.as_str())];
            let what = (About::Incremental, Some(item.id.as_str()), "STARTED");
            self.notifier.tell(what, &data, out)?;
            self.store(stream);
        }
        self.opening = true;
        self.ask(Ask::Table { item: table, surrogate })
    }
}

async fn deliver_rows(
    chunk: Chunk,
    window: &Window,
    stream: &mut Stream,
    (out, events): (&mut Assembler, &Events),
) -> Result<(), Fault> {
    let Chunk { table, rows, time_us, .. } = chunk;
    let place = stream.place.clone();
    for row in rows {
        if window.is_stale(0, row.key.as_ref()) {
            continue;
        }
        if !out.has_room() {
            stream.skip_number(out);
        }
        push_row(
            &table,
            &row.values,
            &Stamp { snapshot: "incremental", place: &place, time_us },
            out,
        )?;
        if out.is_full() {
            let state = stream.state(out);
            hand_over(out, state, events).await?;
        }
    }
    Ok(())
}
