//! Snapshots, signals and notifications.

use super::{Row, Rule, ignored, only, prefers, row};
use crate::finding::Verdict;
use crate::setting::{Setting, Value};
use crate::translate::Work;
use crate::value;

/// Tables with a SELECT of their own.
const OVERRIDES: &str = "snapshot.select.statement.overrides";

pub(super) const ROWS: &[Row] = &[
    row(
        "snapshot.mode",
        "initial",
        Rule::Own(mode),
        "`snapshot`: `initial`, `initial_only`, `always`, `no_data`, `when_needed`; others are \
         refused",
    ),
    ignored(
        "snapshot.mode.configuration.based*",
        "false",
        "counts in one mode only, which is refused",
    ),
    ignored("snapshot.mode.custom.name", "", "counts in one mode only, which is refused"),
    ignored(
        "snapshot.isolation.mode",
        "serializable",
        "one read-only transaction on the slot's own snapshot: nothing can change under it",
    ),
    prefers("snapshot.locking.mode", &["none"], "tables are not locked"),
    ignored("snapshot.locking.mode.custom.name", "", "counts in one mode only"),
    only("snapshot.query.mode", &["select_all"], "a class of Java writes the statements"),
    ignored("snapshot.query.mode.custom.name", "", "counts in one mode only, which is refused"),
    ignored("snapshot.delay.ms", "0", "the snapshot starts at once"),
    ignored("streaming.delay.ms", "0", "the stream starts at once"),
    ignored("snapshot.fetch.size", "10240", "rows are streamed with COPY"),
    ignored("query.fetch.size", "10000", "rows are streamed with COPY"),
    row("snapshot.max.threads", "1", Rule::Whole("snapshots.threads", 1, 64), ""),
    ignored("snapshot.max.threads.multiplier", "1", "ranges of tables are shared out as they come"),
    ignored("legacy.snapshot.max.threads", "false", "ranges of tables are shared out as they come"),
    row(
        "snapshot.include.collection.list",
        "",
        Rule::Patterns("snapshots.include"),
        "regular expressions for the whole `schema.table`",
    ),
    row(OVERRIDES, "", Rule::Own(overridden), "the tables that have a statement"),
    row(
        "snapshot.select.statement.overrides.*",
        "",
        Rule::Own(statement),
        "`snapshots.select`, by table",
    ),
    ignored("snapshot.lock.timeout.ms", "10000", "tables are not locked"),
    ignored(
        "snapshot.tables.order.by.row.count",
        "disabled",
        "tables are read in the order of their names",
    ),
    ignored("snapshot.scan.all.columns.force", "false", "the catalog is read per table"),
    ignored("incremental.snapshot.*", "", "counts for signals, which are not supported"),
    only("signal.data.collection", &[""], "signals are not supported by this version"),
    prefers("signal.enabled.channels", &["source", ""], "signals are not supported"),
    ignored("signal.*", "", "signals are not supported by this version"),
    row(
        "notification.enabled.channels",
        "",
        Rule::Own(notifications),
        "`notifications`: `sink` and `log`; others are passed over",
    ),
    row(
        "notification.sink.topic.name",
        "",
        Rule::Own(notification_topic),
        "`notifications.topic`, with the channel `sink`",
    ),
    ignored("notification.*", "", "channels are `sink` and `log`"),
    ignored("read.only", "false", "nothing is written to the database"),
];

fn mode(work: &mut Work, index: usize, row: &Row) {
    let found = work.text_or(row.name, row.default).to_ascii_lowercase();
    let ours = match found.as_str() {
        "initial" | "initial_only" | "always" | "when_needed" => found.as_str(),
        "no_data" | "never" | "schema_only" => "never",
        "custom"
        | "configuration_based"
        | "recovery"
        | "schema_only_recovery"
        | "exported"
        | "parallel" => {
            let why = format!("found `{}`: no such mode here", work.shown(index, &found));
            let help = "write `initial`, `initial_only`, `always`, `no_data` or `when_needed`";
            work.refuse(index, why, help);
            return;
        }
        _ => {
            let allowed = "`initial`, `initial_only`, `always`, `no_data` or `when_needed`";
            let found = work.shown(index, &found);
            work.wrong(index, format!("found `{found}`, expected {allowed}"));
            return;
        }
    };
    let note = match found.as_str() {
        "never" | "schema_only" => " (`no_data` since Debezium 2.0)",
        _ => "",
    };
    let how = format!("`source.postgres.snapshot: {ours}`{note}");
    work.put("snapshot", Setting::text(ours, index), row.name);
    work.honoured(index, how);
}

/// Each table that is named has to have its statement.
fn overridden(work: &mut Work, index: usize, row: &Row) {
    for table in value::list(work.text_or(row.name, "")) {
        if work.find(&format!("{OVERRIDES}.{table}")).is_none() {
            let shown = work.shown(index, &table).to_owned();
            work.missing(&format!("{OVERRIDES}.{shown}"), "add the SELECT for the table's rows");
        }
    }
}

fn statement(work: &mut Work, index: usize, _: &Row) {
    let Some(property) = work.properties.get(index).cloned() else { return };
    let table = property.name.strip_prefix(OVERRIDES).and_then(|rest| rest.strip_prefix('.'));
    let Some(table) = table.map(str::to_owned) else { return };
    if !value::list(work.text_or(OVERRIDES, "")).contains(&table) {
        let why = format!("`{OVERRIDES}` does not name `{table}`");
        work.answer(index, Verdict::Ignored, why);
        return;
    }
    let earlier = work.pipeline.get("source.postgres.snapshots.select").cloned();
    let mut select = earlier.unwrap_or_else(|| Setting::map(None));
    select.set(&table, Setting::text(property.value(), index));
    work.put("snapshots.select", select, OVERRIDES);
    work.stands_for(format!("source.postgres.snapshots.select.{table}"), &property.name);
}

fn notifications(work: &mut Work, index: usize, row: &Row) {
    let mut passed = Vec::new();
    for channel in value::list(work.text_or(row.name, "")) {
        match channel.as_str() {
            "log" => {
                let setting = Setting { value: Value::Flag(true), from: Some(index) };
                work.put("notifications.log", setting, row.name);
            }
            "sink" if work.find("notification.sink.topic.name").is_some() => {}
            "sink" => work.missing("notification.sink.topic.name", "add the topic's name"),
            "jmx" => passed.push("`jmx`: see the metrics and the status".to_owned()),
            other => passed.push(format!("`{}` is a class of Java", work.shown(index, other))),
        }
    }
    if !passed.is_empty() {
        let verdict = Verdict::Unsupported { changes_data: false };
        work.answer(index, verdict, format!("not done: {}", passed.join("; ")));
    }
}

fn notification_topic(work: &mut Work, index: usize, row: &Row) {
    let channels = value::list(work.text_or("notification.enabled.channels", ""));
    if !channels.iter().any(|channel| channel == "sink") {
        work.answer(index, Verdict::Ignored, "the channel `sink` is not enabled");
        return;
    }
    let topic = work.text_or(row.name, "").to_owned();
    work.put("notifications.topic", Setting::text(topic, index), row.name);
}
