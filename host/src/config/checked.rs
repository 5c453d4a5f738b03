//! The configuration after checking: nothing in here can be wrong by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use secrecy::SecretString;
use wasmgate_admin::Role;
use wasmgate_connector::BatchLimits;
use wasmgate_pipeline::GuardSpec;

pub(crate) use super::raw::{LogFormat, LogLevel};

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) http: Http,
    pub(crate) log: Log,
    pub(crate) modules: Modules,
    /// By name, ascending.
    pub(crate) pipelines: Vec<Pipeline>,
}

#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    pub(crate) tokens: Vec<(SecretString, Role)>,
    pub(crate) hosts: Vec<String>,
    /// Bytes of a component.
    pub(crate) upload_max: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
}

#[derive(Debug)]
pub(crate) struct Modules {
    pub(crate) dir: PathBuf,
    pub(crate) memory_bytes: u64,
    pub(crate) batch_time: Duration,
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// Where signals for the source come from, beside HTTP and what it looks at itself.
    pub(crate) signals: Vec<SignalChannel>,
    pub(crate) transforms: Vec<Transform>,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) policy: Option<Policy>,
    pub(crate) limits: BatchLimits,
    pub(crate) lanes: usize,
}

#[derive(Debug)]
pub(crate) enum Source {
    Postgres(Box<wasmgate_postgres::Settings>),
    MySql(Box<wasmgate_mysql::Settings>),
    Kafka(wasmgate_kafka::SourceSettings),
    File(wasmgate_file::FileSourceSettings),
    Sample(wasmgate_file::SampleSettings),
}

#[derive(Debug)]
pub(crate) enum SignalChannel {
    File(wasmgate_file::FileSourceSettings),
    /// Only records with this key count.
    Kafka(wasmgate_kafka::SourceSettings, String),
}

#[derive(Debug)]
pub(crate) struct Transform {
    pub(crate) module: String,
    pub(crate) topics: Option<Vec<Regex>>,
    /// JSON.
    pub(crate) config: String,
    pub(crate) guard: GuardSpec,
}

#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) topics: Regex,
    pub(crate) kind: SinkKind,
}

#[derive(Debug)]
pub(crate) enum SinkKind {
    Kafka(wasmgate_kafka::SinkSettings),
    ClickHouse(Box<wasmgate_clickhouse::SinkSettings>),
    File(wasmgate_file::FileSinkSettings),
    Console(wasmgate_codec::encode::JsonOptions),
    Blackhole,
}

#[derive(Debug)]
pub(crate) enum DeadLetters {
    File(wasmgate_file::FileDeadLetterSettings),
    Kafka(wasmgate_kafka::DeadLetterSettings),
}

#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) module: String,
    /// JSON.
    pub(crate) config: String,
}
