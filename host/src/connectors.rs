//! The one place that names every connector: checked settings become sources and sinks. What a
//! connector refuses, checking the configuration refused before.

use std::sync::Arc;

use wasmgate_connector::{DeadLetterConnector, SinkConnector, Source};
use wasmgate_file::{
    BlackholeSink, ConsoleSink, FileDeadLetters, FileSink, FileSource, SampleSource,
};
use wasmgate_kafka::{KafkaDeadLetters, KafkaSink, KafkaSource};
use wasmgate_model::Fault;
use wasmgate_postgres::PostgresSource;

use crate::config::checked;

pub(crate) fn source(settings: &checked::Source) -> Result<Arc<dyn Source>, Fault> {
    Ok(match settings {
        checked::Source::Postgres(settings) => Arc::new(PostgresSource::new((**settings).clone())),
        checked::Source::Kafka(settings) => Arc::new(KafkaSource::new(settings.clone())?),
        checked::Source::File(settings) => Arc::new(FileSource::new(settings.clone())),
        checked::Source::Sample(settings) => Arc::new(SampleSource::new(settings.clone())),
    })
}

pub(crate) fn sink(settings: &checked::SinkKind) -> Result<Arc<dyn SinkConnector>, Fault> {
    Ok(match settings {
        checked::SinkKind::Kafka(settings) => Arc::new(KafkaSink::new(settings.clone())?),
        checked::SinkKind::File(settings) => Arc::new(FileSink::new(settings.clone())),
        checked::SinkKind::Console => Arc::new(ConsoleSink::new()),
        checked::SinkKind::Blackhole => Arc::new(BlackholeSink::new()),
    })
}

pub(crate) fn dead_letters(
    settings: &checked::DeadLetters,
) -> Result<Arc<dyn DeadLetterConnector>, Fault> {
    Ok(match settings {
        checked::DeadLetters::File(settings) => Arc::new(FileDeadLetters::new(settings.clone())),
        checked::DeadLetters::Kafka(settings) => Arc::new(KafkaDeadLetters::new(settings.clone())?),
    })
}
