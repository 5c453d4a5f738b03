//! Which tables and which operations.

use crate::java;
use crate::setting::Setting;
use crate::table::Row;
use crate::translate::Work;
use crate::value;

/// `table.include.list`: patterns, most of which are names.
pub(crate) fn tables(work: &mut Work, index: usize, row: &Row) {
    let Some((_, property)) = work.find(row.name) else { return };
    let entries = value::list(property.value());
    let mut names = Vec::new();
    for entry in &entries {
        match java::literal(entry) {
            Some(name) if name.split('.').count() == 2 => names.push(name),
            Some(name) => {
                let name = work.shown(index, &name);
                let what = format!("`{name}` names no table, expected `schema.table`");
                work.wrong(index, what);
                return;
            }
            None => {
                let entry = work.shown(index, entry);
                let why = format!("`{entry}` is a pattern; tables are given by name");
                work.refuse(index, why, "write the tables' names, parted by commas");
                return;
            }
        }
    }
    if names.is_empty() {
        work.honoured(index, "the tables of the publication");
        return;
    }
    work.put("tables", Setting::texts(names, index), row.name);
    work.honoured(index, "`source.postgres.tables`");
}

/// `snapshot.include.collection.list`: patterns.
pub(crate) fn snapshot(work: &mut Work, index: usize, row: &Row) {
    if let Some(patterns) = patterns(work, index, row.name) {
        work.put("snapshots.include", Setting::texts(patterns, index), row.name);
    }
}

/// The patterns of a list, unless one of them cannot be understood.
fn patterns(work: &mut Work, index: usize, name: &str) -> Option<Vec<String>> {
    let patterns = value::list(work.text_or(name, ""));
    if let Some(lacking) = patterns.iter().find_map(|pattern| java::lacking(pattern)) {
        let why = format!("{lacking} is not supported in patterns");
        work.refuse(index, why, "write the patterns without it");
        return None;
    }
    Some(patterns)
}

/// `skipped.operations`: c, u, d, t, or none.
pub(crate) fn operations(work: &mut Work, index: usize, row: &Row) {
    let found = value::list(work.text_or(row.name, row.default));
    let known = ["c", "u", "d", "t", "none"];
    if let Some(other) = found.iter().find(|op| !known.contains(&op.as_str())) {
        let other = work.shown(index, other);
        work.wrong(index, format!("found `{other}`, expected `c`, `u`, `d`, `t` or `none`"));
        return;
    }
    if found.iter().any(|op| matches!(op.as_str(), "c" | "u" | "d")) {
        let why = "only truncates can be skipped";
        work.refuse(index, why, "write `t` or `none`; a publication's `publish` skips the others");
        return;
    }
    let truncate = found.iter().any(|op| op == "t");
    let setting = Setting { value: crate::Value::Flag(truncate), from: Some(index) };
    work.put("skip_truncate", setting, row.name);
    work.honoured(index, "`source.postgres.skip_truncate`");
}
