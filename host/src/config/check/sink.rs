//! Sinks and dead letters: raw to the connectors' settings.

use std::path::Path;

use wasmgate_codec::encode::JsonOptions;
use wasmgate_file::{FileDeadLetterSettings, FileSinkSettings, Target};

use super::Checks;
use super::source::properties;
use crate::config::problem::Problem;
use crate::config::{Field, checked, raw};

fn json(raw: raw::Json) -> JsonOptions {
    JsonOptions {
        value_schemas: raw.schemas,
        key_schemas: raw.key_schemas.unwrap_or(raw.schemas),
        header_schemas: raw.header_schemas,
        replace_nulls: raw.replace_null_with_default,
        numeric_decimals: raw.decimals == raw::DecimalFormat::Numeric,
    }
}

impl Checks<'_> {
    pub(super) fn sinks(&mut self, field: &Field, raw: Vec<raw::Sink>) -> Vec<checked::Sink> {
        if raw.is_empty() {
            let problem = Problem::new("names no sink, expected at least one")
                .help("add `{ topics: '.*', console: {} }` to see the records");
            self.refuse(field, problem);
        }
        let entries = raw.into_iter().enumerate();
        entries.filter_map(|(index, sink)| self.sink(&field.entry(index), sink)).collect()
    }

    fn sink(&mut self, field: &Field, raw: raw::Sink) -> Option<checked::Sink> {
        let kinds = [
            ("kafka", raw.kafka.is_some()),
            ("clickhouse", raw.clickhouse.is_some()),
            ("file", raw.file.is_some()),
            ("console", raw.console.is_some()),
            ("blackhole", raw.blackhole.is_some()),
        ];
        if !self.one_of(field, "the kinds of sink", &kinds) {
            return None;
        }
        let kind = if let Some(kafka) = raw.kafka {
            self.kafka_sink(&field.member("kafka"), kafka)
        } else if let Some(clickhouse) = raw.clickhouse {
            self.clickhouse(&field.member("clickhouse"), clickhouse)
        } else if let Some(file) = raw.file {
            let json = json(file.json);
            let target = self.target(&field.member("file"), file)?;
            checked::SinkKind::File(FileSinkSettings { target, json })
        } else if let Some(console) = raw.console {
            checked::SinkKind::Console(json(console.json))
        } else {
            checked::SinkKind::Blackhole
        };
        Some(checked::Sink { topics: raw.topics.0, kind })
    }

    fn kafka_sink(&mut self, field: &Field, raw: raw::KafkaSink) -> checked::SinkKind {
        let settings = wasmgate_kafka::SinkSettings {
            bootstrap_servers: raw.bootstrap_servers,
            topic: raw.topic,
            json: json(raw.json),
            compression: match raw.compression {
                raw::Compression::None => wasmgate_kafka::Compression::None,
                raw::Compression::Gzip => wasmgate_kafka::Compression::Gzip,
                raw::Compression::Snappy => wasmgate_kafka::Compression::Snappy,
                raw::Compression::Lz4 => wasmgate_kafka::Compression::Lz4,
                raw::Compression::Zstd => wasmgate_kafka::Compression::Zstd,
            },
            linger: self.time_ms(&field.member("linger"), raw.linger, 0, 900_000),
            properties: properties(raw.properties),
        };
        self.accepted(field, settings.validate());
        checked::SinkKind::Kafka(settings)
    }

    fn target(&mut self, field: &Field, raw: raw::FileSink) -> Option<Target> {
        match (raw.dir, raw.path) {
            (Some(dir), None) => Some(Target::Dir(dir)),
            (None, Some(path)) => Some(Target::Path(path)),
            (dir, _) => {
                let found = if dir.is_some() { "both `dir` and `path`" } else { "neither" };
                let problem = Problem::new(format!("found {found}, expected one of them"))
                    .help("`dir` for one file per topic, `path` for one file in order");
                self.refuse(field, problem);
                None
            }
        }
    }

    /// `letters` is the default directory, `broker` that of the pipeline's first Kafka sink.
    pub(super) fn dead_letters(
        &mut self,
        field: &Field,
        raw: Option<raw::DeadLetters>,
        letters: &Path,
        broker: Option<String>,
    ) -> Option<checked::DeadLetters> {
        let Some(raw) = raw else {
            let settings = FileDeadLetterSettings { dir: letters.to_owned() };
            return Some(checked::DeadLetters::File(settings));
        };
        let kinds = [("file", raw.file.is_some()), ("kafka", raw.kafka.is_some())];
        if !self.one_of(field, "the places for dead letters", &kinds) {
            return None;
        }
        if let Some(file) = raw.file {
            return Some(checked::DeadLetters::File(FileDeadLetterSettings { dir: file.dir }));
        }
        let kafka = raw.kafka?;
        let field = field.member("kafka");
        let Some(bootstrap_servers) = kafka.bootstrap_servers.or(broker) else {
            let problem =
                Problem::new("is missing, and the pipeline has no Kafka sink to take it from");
            self.refuse(&field.member("bootstrap_servers"), problem);
            return None;
        };
        let settings = wasmgate_kafka::DeadLetterSettings {
            bootstrap_servers,
            topic: kafka.topic,
            properties: properties(kafka.properties),
        };
        self.accepted(&field, settings.validate());
        Some(checked::DeadLetters::Kafka(settings))
    }
}
