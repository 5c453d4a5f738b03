//! What Kafka Connect itself reads in a connector's document. Transforms and converters are done
//! before the table is looked at.

use super::{Row, Rule, ignored, lacking, only, row};
use crate::setting::{Setting, Value};
use crate::translate::Work;

pub(super) const ROWS: &[Row] = &[
    row("connector.class", "", Rule::Own(nothing), "which source it is"),
    ignored("connector.plugin.version", "", "there is one version"),
    ignored("tasks.max", "1", "there is one task, as with Debezium"),
    ignored("tasks.max.enforce", "true", "there is one task, as with Debezium"),
    ignored("config.action.reload", "restart", "references are resolved at the start"),
    row("key.converter*", "JsonConverter", Rule::Own(nothing), "see [converters](#converters)"),
    row("value.converter*", "JsonConverter", Rule::Own(nothing), "see [converters](#converters)"),
    row("header.converter*", "", Rule::Own(nothing), "see [converters](#converters)"),
    row("transforms", "", Rule::Own(nothing), "see [transforms](#transforms)"),
    row("transforms.*", "", Rule::Own(nothing), "see [transforms](#transforms)"),
    row("predicates", "", Rule::Own(nothing), "see [transforms](#transforms)"),
    row("predicates.*", "", Rule::Own(nothing), "see [transforms](#transforms)"),
    ignored(
        "errors.tolerance",
        "none",
        "a record that fails becomes a dead letter; a module that fails again and again pauses \
         its pipeline",
    ),
    ignored("errors.log.*", "", "failed records are counted and kept as dead letters"),
    ignored("errors.retry.*", "", "tried again until it works, with growing pauses"),
    ignored("errors.deadletterqueue.*", "", "for sink connectors; see `connectors.dead_letters`"),
    only("exactly.once.support", &["requested"], "delivery is at least once"),
    ignored("transaction.boundary*", "poll", "counts with exactly-once delivery"),
    ignored("offsets.storage.topic", "", "positions are kept in `data_dir`"),
    lacking(
        "topic.creation.*",
        "",
        "topics are made by the broker's `auto.create.topics.enable`, or beforehand",
    ),
    lacking("producer.*", "", "say it at the sink: `connectors.sinks[].kafka.properties`"),
    lacking("admin.*", "", "say it at the sink: `connectors.sinks[].kafka.properties`"),
    ignored("consumer.*", "", "a source does not consume"),
    row(
        "wasmgate.*",
        "",
        Rule::Own(own),
        "any setting of the pipeline for which there is no property: \
         `wasmgate.source.postgres.read_ahead`, `wasmgate.lanes`; Kafka Connect passes over it",
    ),
    ignored("bootstrap.servers", "", "a worker's property; see `connectors.sinks`"),
    ignored("group.id", "", "a worker's property"),
    ignored("offset.*", "", "a worker's property; positions are kept in `data_dir`"),
    ignored("config.storage.*", "", "a worker's property"),
    ignored("status.storage.*", "", "a worker's property"),
    ignored("plugin.path", "", "a worker's property; modules come from `modules.dir`"),
    ignored("config.providers*", "", "a worker's property; `env`, `file` and `dir` are known"),
];

/// A setting under its own name: the rest of the property's name is its path.
fn own(work: &mut Work, index: usize, _: &Row) {
    let Some(property) = work.properties.get(index).cloned() else { return };
    let Some(path) = property.name.strip_prefix("wasmgate.") else { return };
    if work.pipeline.get(path).is_some() {
        work.wrong(index, format!("`{path}` is set by another property"));
        return;
    }
    let value = Value::Any(property.value().trim().to_owned());
    work.put(&format!("/{path}"), Setting { value, from: Some(index) }, &property.name);
    work.honoured(index, format!("`{path}`"));
}

/// Done before the table is looked at.
fn nothing(_: &mut Work, _: usize, _: &Row) {}
