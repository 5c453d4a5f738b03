//! One table's worker: gathers rows per partition and topic, and writes them one insert after the
//! other, so that order holds inside the table while tables go side by side.

mod insert;
mod target;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use wasmgate_model::Fault;

use crate::context::Context;
use crate::lane::{Job, Lane};
use crate::ledger::BETWEEN;
use crate::piece::Piece;
use crate::settings::TableSettings;
use target::Target;

/// What a worker is told.
pub(crate) enum Message {
    Piece(Piece),
    /// What is gathered goes now.
    Flush,
}

/// Longest time between two inserts of a table whose server cannot keep up.
const INTERVAL_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Worker {
    context: Arc<Context>,
    settings: Arc<TableSettings>,
    target: Target,
    lanes: Vec<Lane>,
    /// (partition, topic) to its lane.
    numbers: HashMap<(Arc<str>, Arc<str>), usize>,
    /// The next lane to look at first.
    turn: usize,
    interval: Duration,
    flush: bool,
}

impl Worker {
    pub(crate) fn new(context: Arc<Context>, settings: TableSettings, table: &str) -> Self {
        let interval = context.settings.batch.interval;
        Self {
            target: Target::new(&context.settings.database, table),
            settings: Arc::new(settings),
            context,
            lanes: Vec::new(),
            numbers: HashMap::new(),
            turn: 0,
            interval,
            flush: false,
        }
    }

    /// Works until the sink is gone. After a fault every row that comes fails.
    pub(crate) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            while let Ok(message) = inbox.try_recv() {
                self.take(message);
            }
            if let Err(fault) = self.work().await {
                self.context.fail(&fault);
                self.refuse(&fault, &mut inbox).await;
                return;
            }
        }
    }

    fn take(&mut self, message: Message) {
        let piece = match message {
            Message::Flush => {
                self.flush = true;
                return;
            }
            Message::Piece(piece) => piece,
        };
        let key = (Arc::clone(&piece.delivery.partition.0), Arc::clone(&piece.shape.topic));
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => {
                let (partition, topic) = key.clone();
                let name: Arc<str> = format!("{}{BETWEEN}{topic}", self.target.name).into();
                let noted = self.context.ledger.of(&partition, &name);
                self.lanes.push(Lane::new(partition, name, noted));
                self.numbers.insert(key, self.lanes.len() - 1);
                self.lanes.len() - 1
            }
        };
        let (limits, weight) = (&self.context.settings.batch, piece.weight);
        let Some(lane) = self.lanes.get_mut(number) else { return };
        let waiting = lane.take(piece, limits, self.settings.truncate);
        self.context.gathered.fetch_sub(weight.saturating_sub(waiting), Ordering::Relaxed);
    }

    /// When the next job is to be done.
    fn due(&self) -> Option<Instant> {
        if self.flush {
            return Some(Instant::now());
        }
        let limits = &self.context.settings.batch;
        self.lanes.iter().filter_map(|lane| lane.due(limits)).min()
    }

    /// Does what is due.
    async fn work(&mut self) -> Result<(), Fault> {
        loop {
            let now = Instant::now();
            let limits = &self.context.settings.batch;
            let count = self.lanes.len();
            let due = |n: &usize| {
                let lane = self.lanes.get((self.turn + n) % count);
                lane.is_some_and(|lane| match self.flush {
                    true => !lane.is_empty(),
                    false => lane.due(limits).is_some_and(|due| due <= now),
                })
            };
            let Some(n) = (0..count).find(due) else {
                self.flush = false;
                return Ok(());
            };
            let number = (self.turn + n) % count;
            self.turn = number + 1;
            let Some(lane) = self.lanes.get_mut(number) else { return Ok(()) };
            let Some(job) = lane.next() else { return Ok(()) };
            let place = (Arc::clone(&lane.partition), Arc::clone(&lane.name));
            let started = Instant::now();
            match job {
                Job::Batch(batch) => {
                    self.context.gathered.fetch_sub(batch.weight(), Ordering::Relaxed);
                    let larger = self.insert(batch, place).await?;
                    self.space(larger);
                }
                Job::Truncate(piece, range) => self.truncate(piece, range, place).await?,
            }
            if let Some(lane) = self.lanes.get_mut(number) {
                lane.ready = started + self.interval;
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
    async fn refuse(&mut self, fault: &Fault, inbox: &mut mpsc::UnboundedReceiver<Message>) {
        let (kind, message) = (fault.kind, fault.chain());
        for lane in &mut self.lanes {
            while let Some(job) = lane.next() {
                let pieces = match job {
                    Job::Batch(batch) => batch.pieces,
                    Job::Truncate(piece, _) => vec![piece],
                };
                pieces.iter().for_each(|piece| piece.ticket().fail(kind, &message));
            }
        }
        while let Some(message_in) = inbox.recv().await {
            if let Message::Piece(piece) = message_in {
                piece.ticket().fail(kind, &message);
            }
        }
    }
}
