//! Which tables and which operations.

use crate::java;
use crate::setting::{Setting, Value};
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
            None => return work.patterns("filters.tables.include", row, index),
        }
    }
    if names.is_empty() {
        work.honoured(index, "the tables of the publication");
        return;
    }
    work.put("tables", Setting::texts(names, index), row.name);
    work.honoured(index, "`source.postgres.tables`");
}

/// `skipped.operations` where only truncates can be skipped.
pub(crate) fn truncates(work: &mut Work, index: usize, row: &Row) {
    let found = value::list(work.text_or(row.name, row.default));
    let known = ["c", "u", "d", "t", "none"];
    if let Some(other) = found.iter().find(|op| !known.contains(&op.as_str())) {
        let other = work.shown(index, other);
        work.wrong(index, format!("found `{other}`, expected `c`, `u`, `d`, `t` or `none`"));
    } else if found.iter().any(|op| matches!(op.as_str(), "c" | "u" | "d")) {
        work.refuse(index, "only truncates can be skipped", "write `t` or `none`");
    } else {
        let truncate = Value::Flag(found.iter().any(|op| op == "t"));
        work.put("skip_truncate", Setting { value: truncate, from: Some(index) }, row.name);
        work.honoured(index, "`source.mysql.skip_truncate`");
    }
}

/// The patterns of a list, unless one of them cannot be understood.
pub(crate) fn patterns(work: &mut Work, index: usize, name: &str) -> Option<Vec<String>> {
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
    let skipped = found.into_iter().filter(|op| op != "none");
    work.put("records.skipped_operations", Setting::texts(skipped, index), row.name);
    work.honoured(index, "`source.postgres.records.skipped_operations`");
}
