//! The one place that names every connector: checked settings become sources and sinks. What a
//! connector refuses, checking the configuration refused before.

use std::path::Path;
use std::sync::Arc;

use wasmgate_clickhouse::{ClickHouseSink, LedgerPlace};
use wasmgate_connector::{DeadLetterConnector, SinkConnector, Source};
use wasmgate_file::{
    BlackholeSink, ConsoleSink, FileDeadLetters, FileSink, FileSource, SampleSource,
};
use wasmgate_kafka::{KafkaDeadLetters, KafkaSink, KafkaSource};
use wasmgate_model::Fault;
use wasmgate_mysql::MySqlSource;
use wasmgate_postgres::PostgresSource;

use crate::config::checked;

/// `dir` is the pipeline's own directory for what a source keeps on disk; sources make it.
pub(crate) fn source(settings: &checked::Source, dir: &Path) -> Result<Arc<dyn Source>, Fault> {
    Ok(match settings {
        checked::Source::Postgres(settings) => {
            let mut settings = (**settings).clone();
            settings.stream.dir = Some(dir.join("transactions"));
            settings.quarantine.dir = Some(dir.join("quarantine"));
            Arc::new(PostgresSource::new(settings))
        }
        checked::Source::MySql(settings) => {
            let mut settings = (**settings).clone();
            settings.history_dir = dir.join("schemas");
            Arc::new(MySqlSource::new(settings))
        }
        checked::Source::Kafka(settings) => Arc::new(KafkaSource::new(settings.clone())?),
        checked::Source::File(settings) => Arc::new(FileSource::new(settings.clone())),
        checked::Source::Sample(settings) => Arc::new(SampleSource::new(settings.clone())),
    })
}

/// What reads the signals of a channel, and the key that its records have to have.
pub(crate) fn signals(
    channel: &checked::SignalChannel,
) -> Result<(Arc<dyn Source>, Option<String>), Fault> {
    Ok(match channel {
        checked::SignalChannel::File(settings) => {
            (Arc::new(FileSource::new(settings.clone())), None)
        }
        checked::SignalChannel::Kafka(settings, key) => {
            (Arc::new(KafkaSource::new(settings.clone())?), Some(key.clone()))
        }
    })
}

/// `place`: where a sink keeps notes of its own; `None` where it is only looked at.
pub(crate) fn sink(
    settings: &checked::SinkKind,
    place: Option<LedgerPlace>,
) -> Result<Arc<dyn SinkConnector>, Fault> {
    Ok(match settings {
        checked::SinkKind::Kafka(settings) => Arc::new(KafkaSink::new(settings.clone())?),
        checked::SinkKind::ClickHouse(settings) => {
            Arc::new(ClickHouseSink::new((**settings).clone(), place)?)
        }
        checked::SinkKind::File(settings) => Arc::new(FileSink::new(settings.clone())),
        checked::SinkKind::Console(json) => Arc::new(ConsoleSink::new(*json)),
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
