//! What every database is told about signals and notifications: raw to the connectors'
//! settings.

use wasmgate_codec::document::Format;
use wasmgate_file::FileSourceSettings;
use wasmgate_kafka::SourceSettings;
use wasmgate_postgres as postgres;

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, checked, raw};

impl Checks<'_> {
    /// Where signals come from that the source does not look at itself.
    pub(super) fn signal_channels(
        &mut self,
        field: &Field,
        pipeline: &str,
        source: &raw::Source,
    ) -> Vec<checked::SignalChannel> {
        let (kind, signals, prefix) = match (&source.postgres, &source.mysql) {
            (Some(source), _) => ("postgres", &source.signals, &source.topic_prefix),
            (_, Some(source)) => ("mysql", &source.signals, &source.topic_prefix),
            _ => return Vec::new(),
        };
        let field = field.member(kind).member("signals");
        let mut channels = Vec::new();
        if let Some(path) = &signals.file {
            let mut settings = FileSourceSettings::new(path.clone(), Format::Json);
            (settings.topic, settings.follow) = (Some("signals".into()), true);
            channels.push(checked::SignalChannel::File(settings));
        }
        if let Some(kafka) = &signals.kafka {
            let group = kafka.group.clone();
            let group = group.unwrap_or_else(|| format!("wasmgate-signals-{pipeline}"));
            let topics = vec![kafka.topic.clone()];
            let servers = kafka.bootstrap_servers.clone();
            let mut settings = SourceSettings::new(servers, topics, group, Format::Json);
            let properties = kafka.properties.iter();
            settings.properties = properties.map(|(n, v)| (n.clone(), v.0.clone())).collect();
            self.accepted(&field.member("kafka"), settings.validate());
            let key = prefix.clone();
            channels.push(checked::SignalChannel::Kafka(settings, key));
        }
        channels
    }

    /// `form`: how a table is named.
    pub(super) fn signals(
        &mut self,
        field: &Field,
        raw: raw::Signals,
        form: &str,
    ) -> postgres::Signals {
        if let Some(table) = &raw.table {
            let parts = table.split_once('.');
            if parts.is_none_or(|(schema, name)| schema.is_empty() || name.is_empty()) {
                let message = format!("found `{table}`, expected `{form}`");
                self.refuse(&field.member("table"), Problem::new(message));
            }
        }
        postgres::Signals { table: raw.table }
    }

    pub(super) fn notifications(
        &mut self,
        field: &Field,
        raw: raw::Notifications,
    ) -> postgres::Notifications {
        if let Some(topic) = &raw.topic {
            self.topic_prefix(&field.member("topic"), topic);
        }
        postgres::Notifications { topic: raw.topic, log: raw.log }
    }
}
