//! F3: Kafka source and sink.
