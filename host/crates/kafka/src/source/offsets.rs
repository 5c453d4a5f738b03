//! Questions to the brokers about offsets. Each blocks for a round trip.

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use wasmgate_model::Checkpoint;

use super::context::Context;
use super::place::{self, Beginning, Log};
use crate::check::ANSWER;
use crate::settings::Start;

/// Where reading of a partition starts.
pub(super) struct Placed {
    pub(super) topic: String,
    pub(super) number: i32,
    pub(super) beginning: Beginning,
}

/// Decides where reading of each assigned partition starts, and sets it in the list.
///
/// # Errors
/// A broker does not answer; ask again.
pub(super) fn place(
    consumer: &BaseConsumer<Context>,
    partitions: &mut TopicPartitionList,
    checkpoint: &Checkpoint,
    start: Start,
) -> KafkaResult<Vec<Placed>> {
    if partitions.count() == 0 {
        // A cooperative group also says that nothing is added; brokers do not answer that.
        return Ok(Vec::new());
    }
    let committed = consumer.committed_offsets(partitions.clone(), ANSWER)?;
    let low = edge(consumer, partitions, Offset::Beginning)?;
    let high = edge(consumer, partitions, Offset::End)?;
    let mut placed = Vec::new();
    for element in partitions.elements() {
        let (topic, number) = (element.topic().to_owned(), element.partition());
        let of = |list: &TopicPartitionList| offset(list, &topic, number);
        let log = Log { low: of(&low)?.unwrap_or(0), high: of(&high)?.unwrap_or(0) };
        let checkpoint = checkpoint.get(&place::partition(&topic, number));
        let places = [of(&committed)?, checkpoint.map(|(position, _)| position.major)];
        let beginning = Beginning::choose(places, log, start);
        placed.push(Placed { topic, number, beginning });
    }
    for one in &placed {
        let offset = Offset::Offset(one.beginning.offset().cast_signed());
        partitions.set_partition_offset(&one.topic, one.number, offset)?;
    }
    Ok(placed)
}

/// The oldest or newest offset of every partition: Kafka's lookup by time knows both ends as
/// special times, and asks each broker once for all its partitions.
fn edge(
    consumer: &BaseConsumer<Context>,
    partitions: &TopicPartitionList,
    end: Offset,
) -> KafkaResult<TopicPartitionList> {
    let mut asked = partitions.clone();
    asked.set_all_offsets(end)?;
    consumer.offsets_for_times(asked, ANSWER)
}

/// The offset of a partition in an answer; `None` where the broker knows none.
fn offset(list: &TopicPartitionList, topic: &str, number: i32) -> KafkaResult<Option<u64>> {
    let Some(element) = list.find_partition(topic, number) else { return Ok(None) };
    element.error()?;
    match element.offset() {
        Offset::Offset(offset) => Ok(u64::try_from(offset).ok()),
        _ => Ok(None),
    }
}

/// Commits without waiting for the answer: the commit callback gets it.
pub(super) fn commit<'a>(
    consumer: &BaseConsumer<Context>,
    offsets: impl Iterator<Item = (&'a str, i32, u64)>,
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    for (topic, number, offset) in offsets {
        list.add_partition_offset(topic, number, Offset::Offset(offset.cast_signed()))?;
    }
    consumer.commit(&list, rdkafka::consumer::CommitMode::Async)
}
