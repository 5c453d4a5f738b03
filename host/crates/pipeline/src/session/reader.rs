//! The reader's part: takes what the source has, gives each partition to its lane.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Duration, MissedTickBehavior};
use wasmgate_connector::{SourceEvent, SourceReader};
use wasmgate_model::{Delivery, Delta, Fault, Partition};

use super::{End, IN_FLIGHT_KIB, Progress, Queued, Shared};
use crate::pipeline::Command;

/// How often the source's own figures are shown.
const REFRESH: Duration = Duration::from_secs(1);

pub(super) struct Reading {
    pub(super) reader: Box<dyn SourceReader>,
    pub(super) lanes: LaneQueues,
    pub(super) progress: mpsc::UnboundedSender<Progress>,
    pub(super) command: watch::Receiver<Command>,
}

/// The queues before the lanes.
pub(super) struct LaneQueues {
    queues: Vec<mpsc::Sender<Queued>>,
    shared: Arc<Shared>,
    /// In KiB.
    room: Arc<Semaphore>,
}

impl Reading {
    /// Reads until the source ends or a stop is asked for. Dropping `self` lets the lanes drain.
    pub(super) async fn run(mut self) -> Result<End, Fault> {
        let shared = Arc::clone(&self.lanes.shared);
        let held = shared.until_held();
        tokio::pin!(held);
        let mut tick = tokio::time::interval(REFRESH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = *self.command.borrow_and_update();
            match now {
                Command::Stop => return Ok(End::Stopped),
                Command::Pause => tokio::select! {
                    () = &mut held => return Ok(End::Held),
                    changed = self.command.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return Ok(End::Stopped),
                    },
                },
                Command::Run => {}
            }
            tokio::select! {
                biased;
                changed = self.command.changed() => {
                    if changed.is_err() {
                        return Ok(End::Stopped);
                    }
                }
                () = &mut held => return Ok(End::Held),
                _ = tick.tick() => self.lanes.refresh(),
                event = self.reader.next() => match event? {
                    SourceEvent::Delivery(delivery) => tokio::select! {
                        biased;
                        () = &mut held => return Ok(End::Held),
                        taken = self.lanes.deliver(delivery) => {
                            if !taken {
                                return Ok(End::Stopped);
                            }
                        }
                    },
                    SourceEvent::Assigned { partition, at, state } => {
                        let (saved, wait) = oneshot::channel();
                        self.tell(Progress::Assigned { partition, at, state, saved });
                        // An error means that the session is ending; the next send will tell.
                        drop(wait.await);
                    }
                    SourceEvent::Revoked { partition, done } => {
                        self.tell(Progress::Revoked { partition, done });
                    }
                    SourceEvent::Completed => return Ok(End::Completed),
                },
            }
        }
    }

    fn tell(&self, progress: Progress) {
        // The checkpoint's part outlives the reader unless the session is ending by a fault.
        drop(self.progress.send(progress));
    }
}

impl LaneQueues {
    pub(super) fn new(queues: Vec<mpsc::Sender<Queued>>, shared: Arc<Shared>) -> Self {
        Self { queues, shared, room: Arc::new(Semaphore::new(IN_FLIGHT_KIB)) }
    }

    /// Shows what the source says about itself.
    fn refresh(&self) {
        let (metrics, source) = (&self.shared.metrics, &self.shared.source);
        let lag_ms = source.lag_ms.load(Ordering::Relaxed);
        metrics.lag_seconds.set(if lag_ms < 0 { -1.0 } else { lag_ms as f64 / 1000.0 });
        for copy in source.copies() {
            let (rows, expected) = (&copy.rows, &copy.estimate);
            let (rows, expected) = (rows.load(Ordering::Relaxed), expected.load(Ordering::Relaxed));
            metrics.copied(&copy.table, rows, expected);
        }
        metrics.quarantined.set(source.quarantined().len() as i64);
        metrics.retained_bytes.set(source.retained_bytes.load(Ordering::Relaxed));
        let safe = source.safe_bytes.load(Ordering::Relaxed);
        metrics.safe_bytes.set(if safe == 0 { f64::INFINITY } else { safe as f64 });
        metrics.place_health.set(source.place_health.load(Ordering::Relaxed));
    }

    async fn deliver(&self, delivery: Delivery) -> bool {
        let records = delivery.rows() as i64;
        let metrics = &self.shared.metrics;
        metrics.records_in.inc_by(records as u64);
        metrics.in_flight.add(records);
        let delta = Delta {
            partition: delivery.partition.clone(),
            from: delivery.from,
            to: delivery.to,
            state: delivery.state.clone(),
        };
        let Some(lane) = self.queues.get(self.lane(&delivery.partition)) else {
            return false;
        };
        let lane = lane.clone();
        let share = (delivery.weight() >> 10).clamp(1, IN_FLIGHT_KIB) as u32;
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(share).await else { return false };
        let ticket = self.shared.tracker().begin(delta);
        // A lane that is gone has told its fault.
        lane.send(Queued { ticket, delivery, room }).await.is_ok()
    }

    fn lane(&self, partition: &Partition) -> usize {
        let mut hasher = DefaultHasher::new();
        partition.hash(&mut hasher);
        (hasher.finish() % self.queues.len().max(1) as u64) as usize
    }
}
