//! A real Apache Kafka from Maven jars.
