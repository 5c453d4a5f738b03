//! Snapshots of MySQL and MariaDB.

use super::super::{Row, Rule, ignored, only, row};
use crate::setting::Setting;
use crate::translate::Work;

pub(super) const ROWS: &[Row] = &[
    row(
        "snapshot.mode",
        "initial",
        Rule::Own(mode),
        "`snapshot`: `initial`, `initial_only`, `always`, `no_data`, `when_needed`, `recovery`; \
         `never` of old also starts at the oldest change; others are refused",
    ),
    ignored("snapshot.mode.*", "", "counts in modes only that are refused"),
    ignored("snapshot.isolation.mode", "repeatable_read", "one consistent snapshot, without locks"),
    ignored("snapshot.locking.mode*", "minimal", "nothing is locked"),
    ignored("snapshot.lock.timeout.ms", "10000", "nothing is locked"),
    only("snapshot.query.mode", &["select_all"], "a class of Java writes the statements"),
    ignored("snapshot.query.mode.custom.name", "", "counts in one mode only, which is refused"),
    ignored("snapshot.delay.ms", "0", "the snapshot starts at once"),
    ignored("streaming.delay.ms", "0", "the stream starts at once"),
    ignored("snapshot.fetch.size", "10240", "rows are streamed"),
    ignored("query.fetch.size", "10000", "rows are streamed"),
    ignored("min.row.count.to.stream.results", "1000", "rows are streamed"),
    row("snapshot.max.threads", "1", Rule::Whole("snapshots.threads", 1, 64), ""),
    ignored("snapshot.max.threads.multiplier", "1", "tables are shared out as they come"),
    ignored("legacy.snapshot.max.threads", "false", "tables are shared out as they come"),
    ignored("snapshot.tables.order.by.row.count", "disabled", "in the order of their names"),
    ignored("snapshot.scan.all.columns.force", "false", "the catalog is read per table"),
    row(
        "snapshot.include.collection.list",
        "",
        Rule::Patterns("snapshots.include"),
        "regular expressions for the whole `database.table`",
    ),
];

fn mode(work: &mut Work, index: usize, row: &Row) {
    let found = work.text_or(row.name, row.default).to_ascii_lowercase();
    let allowed = "`initial`, `initial_only`, `always`, `no_data`, `when_needed` or `recovery`";
    let ours = match found.as_str() {
        "initial" | "initial_only" | "always" | "when_needed" => found.as_str(),
        "recovery" | "schema_only_recovery" => "recovery",
        "no_data" | "schema_only" | "never" => "never",
        "custom" | "configuration_based" => {
            let why = format!("found `{}`: no such mode here", work.shown(index, &found));
            return work.refuse(index, why, &format!("write {allowed}"));
        }
        _ => {
            let found = work.shown(index, &found);
            return work.wrong(index, format!("found `{found}`, expected {allowed}"));
        }
    };
    work.put("snapshot", Setting::text(ours, index), row.name);
    match found.as_str() {
        // Before Debezium 2.0 this mode read the whole log that was there.
        "never" => {
            work.put("start", Setting::text("earliest", index), row.name);
            work.honoured(index, "`snapshot: never`, from the oldest change on");
        }
        "schema_only" => work.honoured(index, "`snapshot: never` (`no_data` since Debezium 2.0)"),
        _ => work.honoured(index, format!("`source.mysql.snapshot: {ours}`")),
    }
}
