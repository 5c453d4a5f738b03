//! Snapshots of Postgres.

use super::{Row, Rule, ignored, only, prefers, row};
use crate::setting::Setting;
use crate::translate::Work;

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
    ignored("snapshot.lock.timeout.ms", "10000", "tables are not locked"),
    ignored(
        "snapshot.tables.order.by.row.count",
        "disabled",
        "tables are read in the order of their names",
    ),
    ignored("snapshot.scan.all.columns.force", "false", "the catalog is read per table"),
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
