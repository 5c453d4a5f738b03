//! How much is on its way, how often, and what happens when something fails.

use crate::finding::Verdict;
use crate::setting::Setting;
use crate::translate::Work;
use crate::value;

use super::{Row, Rule, ignored, lacking, only, row};

pub(super) const ROWS: &[Row] = &[
    row("max.batch.size", "2048", Rule::Whole("/batch.rows", 1, 65_536), ""),
    ignored("max.queue.size", "8192", "what is read ahead is bounded in bytes (`read_ahead`)"),
    ignored("max.queue.size.in.bytes", "0", "what is read ahead is bounded anyway (`read_ahead`)"),
    ignored("queue.provider.type", "memory", "a class of Java"),
    ignored("poll.interval.ms", "500", "records go on as they come, nobody polls"),
    ignored("poll.dispatch.interval.ms", "100", "records go on as they come, nobody polls"),
    row("heartbeat.interval.ms", "0", Rule::Own(heartbeat), "`events.heartbeat`; 0: none"),
    row("heartbeat.action.query", "", Rule::Own(query), "`events.heartbeat_query`"),
    only(
        "event.processing.failure.handling.mode",
        &["fail", "warn"],
        "a record that cannot be read becomes a dead letter; none is dropped",
    ),
    only(
        "event.deserialization.failure.handling.mode",
        &["fail", "warn"],
        "a record that cannot be read becomes a dead letter; none is dropped",
    ),
    ignored(
        "event.converting.failure.handling.mode",
        "warn",
        "a value that cannot be written makes its record a dead letter",
    ),
    ignored("errors.max.retries", "-1", "tried again until it works, with growing pauses"),
    ignored(
        "retriable.restart.connector.wait.ms",
        "10000",
        "tried again with growing pauses, up to 10 s apart",
    ),
    ignored("custom.retriable.exception", "", "a class of Java"),
    lacking("guardrail.collections.max", "0", "the number of tables is not limited"),
    lacking("guardrail.collections.limit.action", "warn", "the number of tables is not limited"),
    ignored(
        "executor.shutdown.timeout.ms",
        "4000",
        "the end waits up to 25 s for what is on its way",
    ),
    lacking("custom.metric.tags", "", "metrics have the pipeline's name as a label"),
    ignored("custom.sanitize.pattern", "", "no value of a property is ever logged"),
    ignored("advanced.metrics.enable", "false", "see the metrics at `/metrics`"),
    ignored("statistics.metrics.enabled", "true", "see the metrics at `/metrics`"),
    ignored("offset.activity.monitor.interval.ms", "", "see the metrics at `/metrics`"),
    ignored("log.position.check.enable", "true", "the slot's place is always checked"),
    lacking(
        "openlineage.*",
        "",
        "lineage is not reported; the interface shows each module's fields",
    ),
    ignored("internal.*", "", "not for users of Debezium"),
];

/// Milliseconds between heartbeat records; 0 for none.
fn heartbeat(work: &mut Work, index: usize, row: &Row) {
    let Some((_, property)) = work.find(row.name) else { return };
    match value::whole(property, 0, 3_600_000) {
        Ok(0) => work.honoured(index, "no heartbeat records"),
        // Nothing is written more often here.
        Ok(ms) => {
            let every = format!("{}ms", ms.max(100));
            work.put("events.heartbeat", Setting::text(every, index), row.name);
            let how = format!("`{}`", work.path("events.heartbeat"));
            work.honoured(index, how);
        }
        Err(what) => work.wrong(index, what),
    }
}

/// Runs with every heartbeat record.
fn query(work: &mut Work, index: usize, row: &Row) {
    let text = work.text_or(row.name, "").to_owned();
    if text.is_empty() || work.text_or("heartbeat.interval.ms", "0") == "0" {
        work.answer(index, Verdict::Ignored, "counts with `heartbeat.interval.ms`");
        return;
    }
    work.put("events.heartbeat_query", Setting::text(text, index), row.name);
    let how = format!("`{}`", work.path("events.heartbeat_query"));
    work.honoured(index, how);
}
