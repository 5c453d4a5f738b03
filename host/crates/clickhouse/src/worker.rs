//! One table's worker: gathers rows per partition and topic, and writes them one insert after the
//! other, so that order holds inside the table while tables go side by side. While an insert
//! travels, the next whole batch is bound and encoded; nothing of it is noted or sent before its
//! turn.

mod insert;
mod queue;
mod ready;
mod target;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use wasmgate_model::Fault;

use crate::context::Context;
use crate::lane::Job;
use crate::piece::Piece;
use crate::settings::TableSettings;
use insert::{Inserter, Work};
use queue::Queue;
use ready::Early;

/// What a worker is told.
pub(crate) enum Message {
    Piece(Piece),
    /// What is gathered goes now.
    Flush,
}

type Inbox = mpsc::UnboundedReceiver<Message>;

/// Longest time between two inserts of a table whose server cannot keep up.
const INTERVAL_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Worker {
    context: Arc<Context>,
    queue: Queue,
    inserter: Inserter,
    /// The next insert, on its way to being encoded.
    ahead: Option<(Work, Early)>,
    interval: Duration,
}

impl Worker {
    pub(crate) fn new(context: Arc<Context>, settings: TableSettings, table: &str) -> Self {
        let settings = Arc::new(settings);
        Self {
            queue: Queue::new(Arc::clone(&context), settings.truncate, table),
            interval: context.settings.batch.interval,
            inserter: Inserter::new(Arc::clone(&context), settings, table),
            context,
            ahead: None,
        }
    }

    /// Works until the sink is gone. After a fault every row that comes fails.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        loop {
            let due = self.queue.due();
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some(message) => self.queue.take(message),
                    None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            while let Ok(message) = inbox.try_recv() {
                self.queue.take(message);
            }
            if let Err(fault) = self.work(&mut inbox).await {
                self.context.fail(&fault);
                self.refuse(&fault, &mut inbox).await;
                return;
            }
        }
    }

    /// Does what is due.
    async fn work(&mut self, inbox: &mut Inbox) -> Result<(), Fault> {
        loop {
            let started = Instant::now();
            let number = match self.ahead.take() {
                Some((work, early)) => {
                    let number = work.number;
                    self.insert(work, Some(early), inbox).await?;
                    number
                }
                None => match self.queue.next(started) {
                    None => return Ok(()),
                    Some((number, place, Job::Batch(batch))) => {
                        self.insert(Work::new(number, place, batch), None, inbox).await?;
                        number
                    }
                    Some((number, place, Job::Truncate(piece, range))) => {
                        self.inserter.truncate(piece, range, place).await?;
                        number
                    }
                },
            };
            self.queue.is_ready_from(number, started + self.interval);
        }
    }

    /// Writes a batch, and prepares the next one meanwhile.
    async fn insert(
        &mut self,
        work: Work,
        early: Option<Early>,
        inbox: &mut Inbox,
    ) -> Result<(), Fault> {
        let pieces = Arc::clone(&work.pieces);
        let done = self.insert_while_encoding(work, early, inbox).await;
        if let Err(fault) = &done {
            // Before the pieces go: whoever waits for them asks why.
            self.context.fail(fault);
        }
        drop(pieces);
        self.space(done?);
        Ok(())
    }

    async fn insert_while_encoding(
        &mut self,
        work: Work,
        early: Option<Early>,
        inbox: &mut Inbox,
    ) -> Result<bool, Fault> {
        let prepared = self.inserter.prepare(&work, early).await?;
        let encoder = self.inserter.encoder();
        let (queue, ahead) = (&mut self.queue, &mut self.ahead);
        let mut insert = std::pin::pin!(self.inserter.insert(work, prepared));
        let mut is_open = true;
        loop {
            if ahead.is_none() {
                *ahead = queue.whole(Instant::now(), |shape| encoder.knows(shape)).and_then(
                    |(number, place, batch)| {
                        let work = Work::new(number, place, batch);
                        let early = encoder.begin(&work)?;
                        Some((work, early))
                    },
                );
            }
            tokio::select! {
                biased;
                done = &mut insert => return done,
                message = inbox.recv(), if is_open => match message {
                    Some(message) => queue.take(message),
                    None => is_open = false,
                },
            }
        }
    }

    /// Inserts move apart while the server cannot merge them, and together again.
    fn space(&mut self, larger: bool) {
        let usual = self.context.settings.batch.interval;
        self.interval = match larger {
            true => {
                (self.interval.max(Duration::from_millis(100)) * 2).min(INTERVAL_MAX.max(usual))
            }
            false => (self.interval / 2).max(usual),
        };
        let spacing = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        self.context.health.counts.spacing_ms.store(spacing, Ordering::Relaxed);
    }

    /// Everything that is here or comes fails.
    async fn refuse(&mut self, fault: &Fault, inbox: &mut Inbox) {
        let (kind, message) = (fault.kind, fault.chain());
        let fail = |piece: &Piece| piece.ticket().fail(kind, &message);
        if let Some((work, _)) = self.ahead.take() {
            work.pieces.iter().for_each(fail);
        }
        self.queue.empty().iter().for_each(fail);
        while let Some(message) = inbox.recv().await {
            if let Message::Piece(piece) = message {
                fail(&piece);
            }
        }
    }
}

#[cfg(test)]
mod tests;
