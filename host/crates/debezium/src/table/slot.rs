//! The replication slot and the publication.

use super::{Row, Rule, always, ignored, only, prefers, row};
use crate::translate::Work;

pub(super) const ROWS: &[Row] = &[
    row("plugin.name", "decoderbufs", Rule::Own(plugin), "`pgoutput`; also when it is not given"),
    always("slot.name", "debezium", Rule::Text("slot"), ""),
    prefers("slot.drop.on.stop", &["false"], "the slot is kept"),
    prefers("slot.failover", &["false"], "slots that move to a standby are not supported"),
    ignored("slot.seek.to.known.offset.on.start", "false", "see `offset.mismatch.strategy`"),
    only("slot.stream.params", &[""], "parameters of the output plugin"),
    ignored("slot.max.retries", "6", "tried again until it works, with growing pauses"),
    ignored("slot.retry.delay.ms", "10000", "tried again with growing pauses, up to 10 s apart"),
    ignored("create.slot.command.timeout", "90", "the server waits for open transactions"),
    ignored(
        "offset.mismatch.strategy",
        "no_validation",
        "a checkpoint that the slot is ahead of stops the pipeline: changes would be missing",
    ),
    always("publication.name", "dbz_publication", Rule::Text("publication"), ""),
    row(
        "publication.autocreate.mode",
        "all_tables",
        Rule::Own(autocreate),
        "a publication that exists is used; one that is missing is created for the tables of \
         `table.include.list`, unless the mode is `disabled`",
    ),
    prefers(
        "publish.via.partition.root",
        &["false"],
        "a publication that exists is used as it is; make it with `publish_via_partition_root`",
    ),
    only("replica.identity.autoset.values", &[""], "write `ALTER TABLE … REPLICA IDENTITY …`"),
    only(
        "lsn.flush.mode",
        &["connector"],
        "the slot is always told what the sinks have made durable",
    ),
    ignored("lsn.flush.timeout.ms", "30000", "telling the position does not wait"),
    ignored("lsn.flush.timeout.action", "fail", "telling the position does not wait"),
    row("status.update.interval.ms", "10000", Rule::Millis("status_interval", 100, 300_000), ""),
    only("xmin.fetch.interval.ms", &["0"], "`source.xmin` stays null"),
    ignored("schema.refresh.mode", "columns_diff", "the stream brings every schema with it"),
    row(
        "message.prefix.include.list",
        "",
        Rule::Patterns("stream.messages.include"),
        "regular expressions for the whole prefix",
    ),
    row(
        "message.prefix.exclude.list",
        "",
        Rule::Patterns("stream.messages.exclude"),
        "regular expressions for the whole prefix",
    ),
];

/// Absent means pgoutput here, as nobody installs Debezium's own default any more.
fn plugin(work: &mut Work, index: usize, _: &Row) {
    let found = work.text_or("plugin.name", "pgoutput").to_ascii_lowercase();
    match found.as_str() {
        "pgoutput" => {}
        "decoderbufs"
        | "wal2json"
        | "wal2json_streaming"
        | "wal2json_rds"
        | "wal2json_rds_streaming" => {
            let found = work.shown(index, &found);
            let why = format!(
                "found `{found}`: only `pgoutput` is read, which every server has; a slot cannot \
                 change its plugin"
            );
            let help = "write `pgoutput`, and a `slot.name` of its own";
            work.refuse(index, why, help);
        }
        _ => {
            let found = work.shown(index, &found).to_owned();
            work.wrong(index, format!("found `{found}`, expected `pgoutput`"));
        }
    }
}

fn autocreate(work: &mut Work, index: usize, _: &Row) {
    match work.text_or("publication.autocreate.mode", "all_tables").to_ascii_lowercase().as_str() {
        "all_tables" | "filtered" => work.honoured(
            index,
            "a publication that is missing is created for the tables of `table.include.list`; one \
             that exists is used as it is",
        ),
        "disabled" | "no_tables" => work.honoured(index, "a publication that exists is used"),
        found => {
            let allowed = "`all_tables`, `filtered`, `disabled` or `no_tables`";
            let found = work.shown(index, found);
            work.wrong(index, format!("found `{found}`, expected {allowed}"));
        }
    }
}
