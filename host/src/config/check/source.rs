//! Sources: raw to the connectors' settings.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use secrecy::SecretString;
use wasmgate_codec::document::Format;
use wasmgate_model::Fault;

use super::Checks;
use crate::config::problem::Problem;
use crate::config::units::Secret;
use crate::config::{Field, checked, raw};

impl Checks<'_> {
    pub(super) fn source(&mut self, field: &Field, raw: raw::Source) -> Option<checked::Source> {
        let kinds = [
            ("postgres", raw.postgres.is_some()),
            ("mysql", raw.mysql.is_some()),
            ("kafka", raw.kafka.is_some()),
            ("file", raw.file.is_some()),
            ("sample", raw.sample.is_some()),
        ];
        if !self.one_of(field, "the kinds of source", &kinds) {
            return None;
        }
        let raw::Source { postgres, mysql, kafka, file, sample } = raw;
        postgres
            .map(|raw| self.postgres(&field.member("postgres"), raw))
            .or_else(|| mysql.map(|raw| self.mysql(&field.member("mysql"), raw)))
            .or_else(|| kafka.map(|raw| self.kafka_source(&field.member("kafka"), raw)))
            .or_else(|| file.map(|raw| self.file_source(&field.member("file"), raw)))
            .or_else(|| sample.map(|raw| self.sample(&field.member("sample"), raw)))
    }

    /// What may stand in front of a Kafka topic's name.
    pub(super) fn topic_prefix(&mut self, field: &Field, prefix: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        self.spelled(field, prefix, allowed, "letters, digits, `.`, `_` and `-`");
    }

    fn kafka_source(&mut self, field: &Field, raw: raw::KafkaSource) -> checked::Source {
        let format = self.format(field, raw.format, raw.bare_envelopes);
        let session = field.member("session_timeout");
        let revoke = field.member("revoke_timeout");
        let settings = wasmgate_kafka::SourceSettings {
            bootstrap_servers: raw.bootstrap_servers,
            topics: raw.topics,
            group: raw.group,
            format,
            start: match raw.start {
                raw::KafkaStart::Earliest => wasmgate_kafka::Start::Earliest,
                raw::KafkaStart::Latest => wasmgate_kafka::Start::Latest,
            },
            instance_id: raw.instance_id,
            session_timeout: self.time_ms(&session, raw.session_timeout, 1_000, 3_600_000),
            revoke_timeout: self.time_ms(&revoke, raw.revoke_timeout, 0, 600_000),
            properties: properties(raw.properties),
        };
        self.accepted(field, settings.validate());
        checked::Source::Kafka(settings)
    }

    fn format(&mut self, field: &Field, raw: raw::Format, bare: Option<bool>) -> Format {
        if bare.is_some() && raw != raw::Format::DebeziumJson {
            let problem = Problem::new("means something only with `format: debezium-json`");
            self.refuse(&field.member("bare_envelopes"), problem);
        }
        match raw {
            raw::Format::Json => Format::Json,
            raw::Format::DebeziumJson => {
                Format::DebeziumJson { bare_envelopes: bare.unwrap_or(false) }
            }
            raw::Format::Bytes => Format::Bytes,
        }
    }

    /// A connector's own look at its settings; its message begins with the member.
    pub(super) fn accepted(&mut self, field: &Field, result: Result<(), Fault>) {
        let Err(fault) = result else { return };
        let text = fault.chain();
        let member = text
            .split_once(": ")
            .filter(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        match member {
            Some((name, rest)) => self.refuse(&field.member(name), Problem::new(rest)),
            None => self.refuse(field, Problem::new(text)),
        }
    }

    fn file_source(&mut self, field: &Field, raw: raw::FileSource) -> checked::Source {
        if let Some(topic) = &raw.topic {
            self.filled(&field.member("topic"), topic);
        }
        if raw.path.is_dir() {
            let message = format!("`{}` is a directory, expected a file", raw.path.display());
            self.refuse(&field.member("path"), Problem::new(message));
        }
        let format = self.format(field, raw.format, raw.bare_envelopes);
        checked::Source::File(wasmgate_file::FileSourceSettings {
            path: raw.path,
            format,
            topic: raw.topic.map(Into::into),
            follow: raw.follow,
            max_line: self.size(&field.member("max_line"), raw.max_line, 1 << 10, 256 << 20),
        })
    }

    fn sample(&mut self, field: &Field, raw: raw::SampleSource) -> checked::Source {
        if raw.rate == Some(0) {
            let problem = Problem::new("found `0`, expected at least 1")
                .help("leave `rate` out for as many as are taken");
            self.refuse(&field.member("rate"), problem);
        }
        if let Some(prefix) = &raw.topic_prefix {
            self.topic_prefix(&field.member("topic_prefix"), prefix);
        }
        checked::Source::Sample(wasmgate_file::SampleSettings {
            system: match raw.system {
                raw::SampleSystem::Orders => wasmgate_file::SampleSystem::Orders,
                raw::SampleSystem::Telecom => wasmgate_file::SampleSystem::Telecom,
            },
            rate: raw.rate.and_then(NonZeroU32::new),
            seed: raw.seed,
            rows: raw.rows,
            topic_prefix: raw.topic_prefix,
        })
    }
}

pub(super) fn properties(raw: BTreeMap<String, Secret>) -> BTreeMap<String, SecretString> {
    raw.into_iter().map(|(name, value)| (name, value.0)).collect()
}
