//! The replication slot and the publication.

use super::{Row, Rule, always, ignored, only, row};
use crate::setting::Setting;
use crate::translate::Work;
use crate::value;

const MISMATCHES: &[(&str, &str)] = &[
    ("no_validation", "no_validation"),
    ("trust_offset", "trust_offset"),
    ("trust_slot", "trust_slot"),
    ("trust_greater_lsn", "trust_greater_lsn"),
];

const PUBLICATIONS: &[(&str, &str)] = &[
    ("all_tables", "all_tables"),
    ("filtered", "filtered"),
    ("disabled", "disabled"),
    ("no_tables", "no_tables"),
];

pub(super) const ROWS: &[Row] = &[
    row("plugin.name", "decoderbufs", Rule::Own(plugin), "`pgoutput`; also when it is not given"),
    always("slot.name", "debezium", Rule::Text("slot"), ""),
    row("slot.drop.on.stop", "false", Rule::Flag("slot_care.drop_on_stop"), ""),
    row("slot.failover", "false", Rule::Flag("slot_care.failover"), ""),
    ignored("slot.seek.to.known.offset.on.start", "false", "see `offset.mismatch.strategy`"),
    only("slot.stream.params", &[""], "parameters of the output plugin"),
    ignored("slot.max.retries", "6", "tried again until it works, with growing pauses"),
    ignored("slot.retry.delay.ms", "10000", "tried again with growing pauses, up to 10 s apart"),
    ignored("create.slot.command.timeout", "90", "the server waits for open transactions"),
    row(
        "offset.mismatch.strategy",
        "no_validation",
        Rule::Words("slot_care.position_mismatch", MISMATCHES),
        "not given, a slot that is ahead of the checkpoint stops the pipeline: changes are missing",
    ),
    always("publication.name", "dbz_publication", Rule::Text("publication"), ""),
    always(
        "publication.autocreate.mode",
        "all_tables",
        Rule::Words("slot_care.publication_mode", PUBLICATIONS),
        "",
    ),
    row(
        "publish.via.partition.root",
        "false",
        Rule::Flag("slot_care.publish_via_partition_root"),
        "not given, a publication that exists stays as it is",
    ),
    row(
        "replica.identity.autoset.values",
        "",
        Rule::Own(identities),
        "`slot_care.replica_identity`: `schema.table:FULL`, `DEFAULT`, `NOTHING`, `INDEX NAME`",
    ),
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

/// `schema.table:IDENTITY`, parted by commas; the table is a pattern.
fn identities(work: &mut Work, index: usize, row: &Row) {
    let mut rules = Setting::map(Some(index));
    for entry in value::list(work.text_or(row.name, "")) {
        let Some((tables, identity)) = entry.rsplit_once(':') else {
            let entry = work.shown(index, &entry);
            let what = format!("`{entry}` names no identity, expected `schema.table:FULL`");
            return work.wrong(index, what);
        };
        rules.set(tables.trim(), Setting::text(identity.trim(), index));
    }
    work.put("slot_care.replica_identity", rules, row.name);
    let how = format!("`{}`", work.path("slot_care.replica_identity"));
    work.honoured(index, how);
}
