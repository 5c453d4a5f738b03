//! Chunks beside the stream, signals, notifications, statements in place of tables: the same for
//! every database.

use super::{Connector, Row, Rule, ignored, row};
use crate::finding::Verdict;
use crate::setting::{Setting, Value};
use crate::translate::Work;
use crate::value;

/// Tables with a SELECT of their own.
const OVERRIDES: &str = "snapshot.select.statement.overrides";

pub(super) const ROWS: &[Row] = &[
    row(OVERRIDES, "", Rule::Own(overridden), "the tables that have a statement"),
    row(
        "snapshot.select.statement.overrides.*",
        "",
        Rule::Own(statement),
        "`snapshots.select`, by table",
    ),
    row(
        "incremental.snapshot.chunk.size",
        "1024",
        Rule::Whole("snapshots.chunk_rows", 1, 1_000_000),
        "",
    ),
    row(
        "incremental.snapshot.watermarking.strategy",
        "insert_insert",
        Rule::Own(watermarks),
        "`snapshots.watermarks`, where there is a signal table",
    ),
    ignored(
        "incremental.snapshot.allow.schema.changes",
        "false",
        "a table may change while it is read: each chunk has the columns of its time",
    ),
    ignored("incremental.snapshot.*", "", "chunks are read in one way only"),
    row(
        "signal.data.collection",
        "",
        Rule::Own(signal_table),
        "`signals.table`; chunks are marked in it, unless `read.only` is true",
    ),
    row(
        "signal.enabled.channels",
        "source",
        Rule::Own(channels),
        "`source`, `file` and `kafka`; others are passed over. Signals also come by HTTP (`POST \
         /api/v1/pipelines/{pipeline}/signals`)",
    ),
    row("signal.file", "file-signals.txt", Rule::Own(by_channel), "`signals.file`"),
    row("signal.kafka.topic", "", Rule::Own(by_channel), "`signals.kafka.topic`"),
    row(
        "signal.kafka.bootstrap.servers",
        "",
        Rule::Own(by_channel),
        "`signals.kafka.bootstrap_servers`",
    ),
    row("signal.kafka.groupId", "", Rule::Own(by_channel), "`signals.kafka.group`"),
    ignored("signal.*", "", "each channel is read as it is written"),
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
    ignored(
        "read.only",
        "false",
        "with a signal table `snapshots.watermarks` is `read_only`; nothing else is written",
    ),
];

fn signal_table(work: &mut Work, index: usize, row: &Row) {
    let table = work.text_or(row.name, "").to_owned();
    if table.is_empty() {
        work.answer(index, Verdict::Ignored, "no table is named");
        return;
    }
    work.put("signals.table", Setting::text(table, index), row.name);
    if work.find("incremental.snapshot.watermarking.strategy").is_none() {
        let read_only = work.text_or("read.only", "false").eq_ignore_ascii_case("true");
        let ours = if read_only { "read_only" } else { "insert_insert" };
        work.put("snapshots.watermarks", Setting::text(ours, index), row.name);
    }
}

fn channels(work: &mut Work, index: usize, row: &Row) {
    let mut passed = Vec::new();
    for channel in value::list(work.text_or(row.name, row.default)) {
        match channel.as_str() {
            "source" => {}
            "file" => {
                let path = work.text_or("signal.file", "file-signals.txt").to_owned();
                work.put("signals.file", Setting::text(path, index), row.name);
            }
            "kafka" => kafka_channel(work, index, row),
            other => passed.push(format!("`{}`", work.shown(index, other))),
        }
    }
    if !passed.is_empty() {
        let verdict = Verdict::Unsupported { changes_data: false };
        work.answer(index, verdict, format!("no signals come by {}", passed.join(", ")));
    }
}

fn kafka_channel(work: &mut Work, index: usize, row: &Row) {
    const SERVERS: &str = "signal.kafka.bootstrap.servers";
    if work.find(SERVERS).is_none() {
        work.missing(SERVERS, "add the brokers of the topic with signals");
        return;
    }
    let servers = work.text_or(SERVERS, "").to_owned();
    let default = format!("{}-signal", work.text_or("topic.prefix", ""));
    let topic = work.text_or("signal.kafka.topic", &default).to_owned();
    work.put("signals.kafka.bootstrap_servers", Setting::text(servers, index), row.name);
    work.put("signals.kafka.topic", Setting::text(topic, index), row.name);
    let group = work.text_or("signal.kafka.groupId", "").to_owned();
    if !group.is_empty() {
        work.put("signals.kafka.group", Setting::text(group, index), row.name);
    }
}

/// Counts with its channel, which takes it.
fn by_channel(work: &mut Work, index: usize, row: &Row) {
    let channel = row.name.split('.').nth(1).unwrap_or_default();
    let enabled = value::list(work.text_or("signal.enabled.channels", "source"));
    if enabled.iter().any(|enabled| enabled == channel) {
        work.honoured(index, format!("with the channel `{channel}`"));
    } else {
        work.answer(index, Verdict::Ignored, format!("the channel `{channel}` is not enabled"));
    }
}

fn watermarks(work: &mut Work, index: usize, row: &Row) {
    if work.text_or("signal.data.collection", "").is_empty() {
        let why = match work.connector {
            Connector::Postgres => {
                "there is no signal table: chunks are marked by messages in the log"
            }
            Connector::MySql => "there is no signal table: chunks are set against GTIDs",
        };
        work.answer(index, Verdict::Ignored, why);
        return;
    }
    let found = work.text_or(row.name, row.default).to_ascii_lowercase();
    match found.as_str() {
        "insert_insert" | "insert_delete" => {
            work.put("snapshots.watermarks", Setting::text(found, index), row.name);
        }
        _ => {
            let found = work.shown(index, &found);
            let why = format!("found `{found}`, expected `insert_insert` or `insert_delete`");
            work.wrong(index, why);
        }
    }
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
    let source = format!("source.{}", work.connector.source());
    let earlier = work.pipeline.get(&format!("{source}.snapshots.select")).cloned();
    let mut select = earlier.unwrap_or_else(|| Setting::map(None));
    select.set(&table, Setting::text(property.value(), index));
    work.put("snapshots.select", select, OVERRIDES);
    work.stands_for(format!("{source}.snapshots.select.{table}"), &property.name);
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
