//! What the group asks of the thread. An assignment is answered once the brokers said where to
//! start; a revocation once the pipeline has settled what is in flight and the group knows it,
//! or the time is over.

use std::time::Instant;

use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use wasmgate_connector::SourceEvent;
use wasmgate_model::Fault;

use super::Worker;
use crate::fault::{self, Side};
use crate::source::context::{self, Rebalance};
use crate::source::filling::Reading;
use crate::source::offsets;
use crate::source::place::{self, Beginning};

/// A rebalance that is being worked on; the group waits for the answer.
pub(super) enum Duty {
    /// Partitions to start, as soon as the brokers answer.
    Assign(TopicPartitionList),
    Revoke(Revoking),
}

/// Partitions that are given up.
pub(super) struct Revoking {
    list: TopicPartitionList,
    /// The pipeline drops the other end when the partition is settled.
    waits: Vec<oneshot::Receiver<()>>,
    deadline: Instant,
    /// The last commit was sent.
    committed: bool,
}

impl Worker {
    /// Goes on with what the group asked for.
    pub(super) fn serve_group(&mut self) -> Result<(), Fault> {
        if self.duty.is_none() {
            self.duty = match self.consumer.context().rebalance() {
                None => None,
                Some(Rebalance::Assign(list)) => Some(Duty::Assign(list)),
                Some(Rebalance::Revoke { partitions, lost }) => Some(self.revoke(partitions, lost)),
            };
        }
        self.duty = match self.duty.take() {
            None => None,
            Some(Duty::Assign(list)) => self.assign(list)?.map(Duty::Assign),
            Some(Duty::Revoke(revoking)) => self.settle(revoking)?.map(Duty::Revoke),
        };
        Ok(())
    }

    /// Answers at once whatever the group waits for: it would keep the consumer from closing.
    pub(super) fn answer_group(&mut self) {
        let duty = match self.duty.take() {
            Some(Duty::Assign(list)) => Some(Rebalance::Assign(list)),
            Some(Duty::Revoke(Revoking { list, .. })) => {
                Some(Rebalance::Revoke { partitions: list, lost: false })
            }
            None => None,
        };
        let context = std::sync::Arc::clone(self.consumer.context());
        for open in duty.into_iter().chain(std::iter::from_fn(|| context.rebalance())) {
            let answered = match open {
                Rebalance::Assign(_) => context::assign(&self.consumer, &TopicPartitionList::new()),
                Rebalance::Revoke { partitions, .. } => {
                    context::unassign(&self.consumer, &partitions)
                }
            };
            if let Err(error) = answered {
                tracing::debug!(error = %error, "the group did not take the last answer");
            }
        }
    }

    /// Starts partitions. Gives the list back while the brokers do not answer.
    fn assign(
        &mut self,
        mut list: TopicPartitionList,
    ) -> Result<Option<TopicPartitionList>, Fault> {
        self.take_settled();
        let start = self.settings.start;
        let checkpoint = self.settled.as_ref().unwrap_or(&self.context.checkpoint);
        let placed = match offsets::place(&self.consumer, &mut list, checkpoint, start) {
            Ok(placed) => placed,
            Err(error) if fault::is_refusal(fault::code(&error)) => {
                let message = "the brokers refuse to tell the group's offsets";
                return Err(Side::Source.fault(fault::code(&error), message));
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot ask where to start; trying again");
                return Ok(Some(list));
            }
        };
        for one in placed {
            warn_of_loss(&one.topic, one.number, one.beginning);
            let offset = one.beginning.offset();
            let reading = Reading::new(&one.topic, one.number, offset, self.settings.format);
            let (partition, at) = (reading.partition.clone(), place::before(offset));
            self.partitions.retain(|known| known.partition != partition);
            self.partitions.push(reading);
            let event = SourceEvent::Assigned { partition, at, state: None };
            self.shared.handover.push(event, 0);
        }
        context::assign(&self.consumer, &list).map_err(|error| not_answered(&error))?;
        if self.paused {
            self.mark_paused(&list, true);
        }
        self.context.status.phase("streaming");
        Ok(None)
    }

    /// Stops reading partitions and tells the pipeline. librdkafka fetches nothing meanwhile.
    fn revoke(&mut self, list: TopicPartitionList, lost: bool) -> Duty {
        let mut waits = Vec::new();
        for element in list.elements() {
            let partition = place::partition(element.topic(), element.partition());
            // Records that were not handed over yet are the next owner's.
            for reading in self.partitions.iter_mut().filter(|r| r.partition == partition) {
                reading.give_up();
                let (done, settled) = oneshot::channel();
                waits.push(settled);
                let partition = partition.clone();
                self.shared.handover.push(SourceEvent::Revoked { partition, done }, 0);
            }
        }
        let deadline = Instant::now() + self.settings.revoke_timeout;
        if lost {
            // The next owner reads already: there is nothing to wait for.
            waits.clear();
        }
        Duty::Revoke(Revoking { list, waits, deadline, committed: lost })
    }

    /// Gives partitions up once they are settled. Gives the work back while they are not.
    fn settle(&mut self, mut revoking: Revoking) -> Result<Option<Revoking>, Fault> {
        let late = Instant::now() >= revoking.deadline;
        revoking.waits.retain_mut(|wait| matches!(wait.try_recv(), Err(TryRecvError::Empty)));
        if late && !revoking.waits.is_empty() {
            let partitions = revoking.waits.len();
            tracing::warn!(partitions, "giving partitions up unsettled; their next owner repeats");
            revoking.waits.clear();
        }
        if !revoking.waits.is_empty() {
            return Ok(Some(revoking));
        }
        let committing = self.consumer.context().committing.load(super::Ordering::Relaxed);
        if committing && !late {
            return Ok(Some(revoking));
        }
        let given_up = |reading: &Reading| {
            let topic = &*reading.schemas.topic;
            revoking.list.find_partition(topic, reading.number).is_some()
        };
        if !revoking.committed {
            self.take_settled();
            self.commit(given_up);
            revoking.committed = true;
            return Ok(Some(revoking));
        }
        self.partitions.retain(|reading| !given_up(reading));
        self.last = 0;
        if self.paused {
            // A pause outlives the loss of a partition: it would come back paused.
            self.mark_paused(&revoking.list, false);
        }
        context::unassign(&self.consumer, &revoking.list).map_err(|error| not_answered(&error))?;
        Ok(None)
    }
}

fn warn_of_loss(topic: &str, number: i32, beginning: Beginning) {
    match beginning {
        Beginning::At(offset) => tracing::info!(topic, number, offset, "reading a partition"),
        Beginning::Expired(offset) => tracing::warn!(
            topic,
            number,
            offset,
            "retention deleted records that were not read; reading on at the oldest"
        ),
        Beginning::Replaced(offset) => tracing::warn!(
            topic,
            number,
            offset,
            "the log ends before our place: another log; reading it from the oldest record"
        ),
    }
}

fn not_answered(error: &rdkafka::error::KafkaError) -> Fault {
    Side::Source.fault(fault::code(error), format!("the group did not take the answer ({error})"))
}
