//! librdkafka's callbacks on the consumer's thread. They only take notes: the thread acts on them
//! between two polls, with its own state at hand. (librdkafka waits for the answer to a rebalance
//! for as long as `max.poll.interval.ms`.)

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use wasmgate_connector::SourceStatus;

use crate::client::{self, LastError};

/// What the group wants.
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke {
        partitions: TopicPartitionList,
        /// Others own them already: nothing can be committed.
        lost: bool,
    },
}

/// Notes of the callbacks.
pub(super) struct Context {
    pub(super) status: Arc<SourceStatus>,
    pub(super) last: LastError,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// The thread is through: rebalances are answered here.
    pub(super) closing: AtomicBool,
    /// A commit is on its way.
    pub(super) committing: AtomicBool,
    /// The last commit failed.
    pub(super) commit_failed: AtomicBool,
}

impl Context {
    pub(super) fn new(status: Arc<SourceStatus>) -> Self {
        Self {
            status,
            last: LastError::default(),
            rebalances: Mutex::default(),
            closing: AtomicBool::new(false),
            committing: AtomicBool::new(false),
            commit_failed: AtomicBool::new(false),
        }
    }

    /// The next rebalance that nobody acted on.
    pub(super) fn rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.last.keep(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let up = statistics.brokers.values().any(|b| b.nodeid >= 0 && b.state == "UP");
        self.status.connected.store(up, Ordering::Relaxed);
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values());
        let mut lag = -1;
        for partition in partitions.filter(|p| p.app_offset >= 0 && p.ls_offset >= 0) {
            lag = lag.max(0) + (partition.ls_offset - partition.app_offset).max(0);
        }
        self.status.lag_records.store(lag, Ordering::Relaxed);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let assign = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            let answered = match assign {
                true => self::assign(consumer, &TopicPartitionList::new()),
                false => unassign(consumer, partitions),
            };
            if let Err(error) = answered {
                tracing::debug!(error = %error, "the group did not take the last answer");
            }
            return;
        }
        let partitions = partitions.clone();
        let note = match assign {
            true => Rebalance::Assign(partitions),
            false => Rebalance::Revoke { partitions, lost: consumer.assignment_lost() },
        };
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push_back(note);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::info!(error = %error, "the group did not take the offsets; trying again");
            self.commit_failed.store(true, Ordering::Relaxed);
        }
        self.committing.store(false, Ordering::Relaxed);
    }
}

/// Answers the group: these partitions are read from now on.
pub(super) fn assign(
    consumer: &BaseConsumer<Context>,
    partitions: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(partitions),
    }
}

/// Answers the group: these partitions are given up.
pub(super) fn unassign(
    consumer: &BaseConsumer<Context>,
    partitions: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}
