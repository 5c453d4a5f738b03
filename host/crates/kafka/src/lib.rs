//! F3: Kafka source, sink and dead letters, on librdkafka.
//!
//! [`KafkaSource`] reads topics as a member of a consumer group; [`KafkaSink`] and
//! [`KafkaDeadLetters`] write with an idempotent producer and Java's partitioner. Progress is the
//! pipeline's checkpoint; the group's committed offsets follow it.

mod check;
mod client;
mod dead_letters;
mod fault;
mod settings;
mod sink;
mod source;

pub use dead_letters::KafkaDeadLetters;
pub use settings::{
    Compression, DeadLetterSettings, Format, Properties, SinkSettings, SourceSettings, Start,
};
pub use sink::KafkaSink;
pub use source::KafkaSource;
