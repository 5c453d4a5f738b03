//! The consumer's thread: polls without pause, fills deliveries, hands them over, answers the
//! group and commits what is settled.
//!
//! A delivery goes out when it is full, when librdkafka's queue is drained and the pipeline waits
//! for more, or at the latest after `limits.wait`: an idle pipeline gets every record at once, a
//! busy one gets batches that grow with load. While the pipeline is slow the thread first just
//! waits; a fetch queue that is paused is thrown away and read again, so it pauses only after
//! [`PATIENCE`], to answer the group meanwhile.

mod group;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use wasmgate_connector::{SourceContext, SourceEvent};
use wasmgate_model::{Checkpoint, Fault, FaultKind};

use super::Shared;
use super::context::Context;
use super::filling::Reading;
use super::offsets;
use crate::fault::{self, Side};
use crate::settings::SourceSettings;
use group::Duty;

/// The longest sleep in a poll: bounds how late a commit or the stop is seen when nothing comes.
const IDLE: Duration = Duration::from_millis(50);
/// The same while the group waits for an answer.
const ON_DUTY: Duration = Duration::from_millis(5);
/// How long a full queue is waited for before the partitions are paused.
const PATIENCE: Duration = Duration::from_secs(1);
/// Records between two looks at the clock while records keep coming.
const GLANCE: u32 = 256;
/// Offsets are committed at most so often; the checkpoint is the record, this is for the group.
const COMMIT_EVERY: Duration = Duration::from_millis(100);
/// Bound on the last commit, at close.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Everything the thread owns.
pub(super) struct Worker {
    consumer: BaseConsumer<Context>,
    shared: Arc<Shared>,
    settings: Arc<SourceSettings>,
    context: SourceContext,
    /// What is settled, as last told; only that is committed.
    settled: Option<Checkpoint>,
    partitions: Vec<Reading>,
    /// The partition of the last record: the next one is likely of the same.
    last: usize,
    /// What the group waits for.
    duty: Option<Duty>,
    /// Since when the queue has been full.
    full_since: Option<Instant>,
    paused: bool,
    /// Records until the next look at the clock.
    glance: u32,
    next_commit: Instant,
}

impl Worker {
    pub(super) fn new(
        consumer: BaseConsumer<Context>,
        shared: Arc<Shared>,
        settings: Arc<SourceSettings>,
        context: SourceContext,
    ) -> Self {
        Self {
            consumer,
            shared,
            settings,
            settled: None,
            context,
            partitions: Vec::new(),
            last: 0,
            duty: None,
            full_since: None,
            paused: false,
            glance: GLANCE,
            next_commit: Instant::now(),
        }
    }

    /// Runs until told to stop, or a fault.
    pub(super) fn run(mut self) {
        let mut fault = None;
        while fault.is_none() && !self.shared.stop.load(Ordering::Relaxed) {
            fault = self.turn().err();
        }
        self.finish(fault);
    }

    /// One round: duties, then records until the queue is drained or full.
    fn turn(&mut self) -> Result<(), Fault> {
        self.commit_settled();
        self.serve_group()?;
        if !self.has_room()? {
            return Ok(());
        }
        // Polls without waiting while records are there, then once with.
        let mut wait = Duration::ZERO;
        loop {
            match self.poll(wait)? {
                true => {
                    wait = Duration::ZERO;
                    self.glance -= 1;
                    if self.glance == 0 {
                        self.flush_due();
                        return Ok(());
                    }
                }
                false if wait.is_zero() => {
                    self.flush_drained();
                    wait = self.patience();
                    if wait.is_zero() {
                        self.flush_due();
                        return Ok(());
                    }
                }
                false => {
                    self.flush_due();
                    return Ok(());
                }
            }
        }
    }

    /// Takes one record, if one is there within `wait`.
    fn poll(&mut self, wait: Duration) -> Result<bool, Fault> {
        let Some(polled) = self.consumer.poll(wait) else { return Ok(false) };
        match polled {
            Ok(message) => {
                let place = place_of(&self.partitions, self.last, &message);
                let Some(at) = place else { return Ok(true) };
                self.last = at;
                // A record of a partition that was just given up belongs to its next owner.
                let reading = self.partitions.get_mut(at).filter(|reading| !reading.given_up);
                let Some(reading) = reading else { return Ok(true) };
                if !reading.follows(message.offset().unsigned_abs()) {
                    return Err(replaced(&reading.schemas.topic));
                }
                reading.take(&message, self.settings.format, &self.context)?;
                let limits = self.context.limits;
                if reading.rows >= limits.rows || reading.bytes >= limits.bytes {
                    drop(message);
                    self.flush(at);
                    self.glance = 1;
                }
                Ok(true)
            }
            Err(error) => self.report(&error).map(|()| false),
        }
    }

    /// Hands a partition's records over.
    fn flush(&mut self, at: usize) {
        let Some(reading) = self.partitions.get_mut(at) else { return };
        let lag = reading.lag_ms();
        if let Some((delivery, bytes)) = reading.finish() {
            let status = &self.context.status;
            status.lag_ms.store(lag, Ordering::Relaxed);
            status.connected.store(true, Ordering::Relaxed);
            self.shared.handover.push(SourceEvent::Delivery(delivery), bytes);
        }
    }

    /// Hands over what has waited long enough.
    fn flush_due(&mut self) {
        self.glance = GLANCE;
        let wait = self.context.limits.wait;
        for at in 0..self.partitions.len() {
            let due =
                self.partitions.get(at).is_some_and(|r| r.rows > 0 && r.since.elapsed() >= wait);
            if due {
                self.flush(at);
            }
        }
    }

    /// librdkafka has nothing more: if the pipeline has nothing either, it gets what there is.
    fn flush_drained(&mut self) {
        if self.shared.handover.is_drained() {
            (0..self.partitions.len()).for_each(|at| self.flush(at));
        }
    }

    /// How long the next poll may sleep.
    fn patience(&self) -> Duration {
        let wait = self.context.limits.wait;
        let filled = self.partitions.iter().filter(|reading| reading.rows > 0);
        let soonest = filled.map(|reading| wait.saturating_sub(reading.since.elapsed())).min();
        let longest = if self.duty.is_some() { ON_DUTY } else { IDLE };
        soonest.map_or(longest, |left| left.min(longest))
    }

    /// Whether the pipeline takes more. While it does not, waits a moment; after a while pauses
    /// the partitions and polls for the group alone.
    fn has_room(&mut self) -> Result<bool, Fault> {
        if self.shared.handover.wait_for_room(Duration::ZERO) {
            self.full_since = None;
            if self.paused {
                self.pause(false);
            }
            return Ok(true);
        }
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if since.elapsed() < PATIENCE && self.duty.is_none() {
            self.shared.handover.wait_for_room(IDLE);
            return Ok(false);
        }
        if !self.paused {
            self.pause(true);
        }
        self.poll(IDLE)?;
        Ok(false)
    }

    /// Pauses or resumes everything that is assigned.
    fn pause(&mut self, pause: bool) {
        match self.consumer.assignment() {
            Ok(list) => self.paused = self.mark_paused(&list, pause) == pause,
            Err(error) => tracing::warn!(error = %error, "cannot list the assigned partitions"),
        }
    }

    /// Pauses or resumes partitions; answers whether they are paused now. Only what is paused may
    /// be resumed: resuming another drops the records that librdkafka holds, unread.
    fn mark_paused(&self, list: &TopicPartitionList, pause: bool) -> bool {
        let done = match pause {
            true => self.consumer.pause(list),
            false => self.consumer.resume(list),
        };
        match done {
            Ok(()) => pause,
            Err(error) => {
                tracing::warn!(error = %error, pause, "cannot pause or resume");
                !pause
            }
        }
    }

    /// An error of the consumer: most heal by themselves.
    fn report(&self, error: &KafkaError) -> Result<(), Fault> {
        let code = fault::code(error);
        let (_, reason) = self.consumer.context().last.take().unwrap_or((code, String::new()));
        let fault = |message: String| Err(Side::Source.fault(code, message));
        match code {
            Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
                self.context.status.connected.store(false, Ordering::Relaxed);
                tracing::warn!(reason, "kafka cannot be reached; trying again");
                Ok(())
            }
            Code::UnknownTopic | Code::UnknownTopicOrPartition => {
                // Opening again looks whether it is really gone.
                fault(format!("a topic has gone ({reason})"))
            }
            // Opening again starts at the oldest record and warns of what was lost.
            Code::AutoOffsetReset | Code::OffsetOutOfRange => {
                fault(format!("retention deleted records before they were read ({reason})"))
            }
            // Wrong credentials at the first contact are found by opening; later ones may be a
            // broker that is not ready yet.
            Code::Authentication | Code::SaslAuthenticationFailed => Err(Fault::new(
                FaultKind::SourceUnavailable,
                format!("the brokers refuse the credentials ({reason})"),
            )),
            code if fault::is_refusal(code) => fault(format!("the brokers refuse us ({reason})")),
            Code::Fatal => fault(format!("the consumer ended ({reason})")),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                fault(format!("the consumer ended ({reason})"))
            }
            _ => {
                tracing::warn!(reason, "the consumer reports an error");
                Ok(())
            }
        }
    }

    /// Commits what is settled: one commit at a time, not too often.
    fn commit_settled(&mut self) {
        let now = Instant::now();
        let context = Arc::clone(self.consumer.context());
        if now < self.next_commit || context.committing.load(Ordering::Relaxed) {
            return;
        }
        self.next_commit = now + COMMIT_EVERY;
        self.take_settled();
        if context.commit_failed.swap(false, Ordering::Relaxed) {
            self.partitions.iter_mut().for_each(|reading| reading.committed = 0);
        }
        self.commit(|_| true);
    }

    /// Looks what the pipeline settled.
    fn take_settled(&mut self) {
        if let Some(settled) = self.shared.take_settled() {
            self.settled = Some(settled);
        }
    }

    /// Commits the settled offsets of these partitions that the group does not know yet. The
    /// answer comes to the commit callback.
    fn commit(&mut self, of: impl Fn(&Reading) -> bool) {
        let Some(settled) = &self.settled else { return };
        let news = self.partitions.iter_mut().filter(|reading| of(reading)).filter_map(|reading| {
            let offset = settled.get(&reading.partition)?.0.major;
            (offset > reading.committed).then(|| {
                reading.committed = offset;
                (&*reading.schemas.topic, reading.number, offset)
            })
        });
        let mut news = news.peekable();
        if news.peek().is_none() {
            return;
        }
        let committing = &self.consumer.context().committing;
        committing.store(true, Ordering::Relaxed);
        if let Err(error) = offsets::commit(&self.consumer, news) {
            committing.store(false, Ordering::Relaxed);
            tracing::info!(error = %error, "cannot commit offsets; trying again");
            self.consumer.context().commit_failed.store(true, Ordering::Relaxed);
        }
    }

    /// Waits for the answer to a commit. Records that still come are dropped unread.
    fn await_commit(&self, deadline: Instant) {
        let committing = &self.consumer.context().committing;
        while committing.load(Ordering::Relaxed) && Instant::now() < deadline {
            drop(self.consumer.poll(IDLE));
        }
    }

    /// The last commit, then out of the group.
    fn finish(mut self, fault: Option<Fault>) {
        let deadline = Instant::now() + LAST_COMMIT;
        let context = Arc::clone(self.consumer.context());
        self.await_commit(deadline);
        self.take_settled();
        self.commit(|_| true);
        self.await_commit(deadline);
        context.closing.store(true, Ordering::Relaxed);
        self.answer_group();
        drop(self.consumer);
        self.context.status.connected.store(false, Ordering::Relaxed);
        self.shared.handover.end(fault);
        self.shared.finished.notify_one();
    }
}

/// Which of the partitions a record belongs to.
fn place_of(partitions: &[Reading], last: usize, message: &BorrowedMessage<'_>) -> Option<usize> {
    let (topic, number) = (message.topic(), message.partition());
    let is = |reading: &Reading| reading.number == number && &*reading.schemas.topic == topic;
    match partitions.get(last) {
        Some(reading) if is(reading) => Some(last),
        _ => partitions.iter().position(is),
    }
}

fn replaced(topic: &str) -> Fault {
    let message = format!(
        "offsets of topic {topic} went back: it was deleted and created again, or its log lost \
         its end; opening again"
    );
    Fault::new(FaultKind::SourceUnavailable, message)
}
