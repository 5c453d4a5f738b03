//! Properties about columns: keys, and those whose names carry a number or an
//! algorithm: masks and truncation.

use crate::filters::patterns;
use crate::java;
use crate::setting::{Setting, Value};
use crate::table::Row;
use crate::translate::Work;

/// `message.key.columns`: `table:column,column;table:column`.
pub(crate) fn keys(work: &mut Work, index: usize, row: &Row) {
    let text = work.text_or(row.name, "").to_owned();
    let mut keys = Setting { value: Value::List(Vec::new()), from: Some(index) };
    for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
        let parts = entry.rsplit_once(':').filter(|(_, columns)| !columns.trim().is_empty());
        let Some((table, columns)) = parts else {
            let entry = work.shown(index, entry);
            work.wrong(
                index,
                format!("`{entry}` names no columns, expected `table:column,column`"),
            );
            return;
        };
        if let Some(lacking) = java::lacking(table) {
            let why = format!("{lacking} is not supported in patterns");
            return work.refuse(index, why, "write the patterns without it");
        }
        let columns = columns.split(',').map(str::trim).filter(|column| !column.is_empty());
        let mut key = Setting::map(Some(index));
        key.set("tables", Setting::text(table.trim(), index));
        key.set("columns", Setting::texts(columns, index));
        keys.push(key);
    }
    work.put("columns.keys", keys, row.name);
    let how = format!("`{}`", work.path("columns.keys"));
    work.honoured(index, how);
}

/// `column.mask.with.N.chars`, `column.mask.hash[.v2].ALGORITHM.with.salt.SALT` and
/// `column.truncate.to.N.chars`: the columns in the value.
pub(crate) fn masked(work: &mut Work, index: usize, _: &Row) {
    let Some(name) = work.properties.get(index).map(|property| property.name.clone()) else {
        return;
    };
    let Some((kind, more)) = mask(&name) else {
        let what = "expected `column.mask.with.N.chars`, `column.truncate.to.N.chars` or \
                    `column.mask.hash.ALGORITHM.with.salt.SALT`";
        return work.wrong(index, what);
    };
    let Some(found) = patterns(work, index, &name) else { return };
    let mut mask = Setting::map(Some(index));
    mask.set("columns", Setting::texts(found, index));
    mask.set(kind, Setting { value: more.0, from: Some(index) });
    for (member, value) in more.1 {
        mask.set(member, Setting { value, from: Some(index) });
    }
    let path = work.path("columns.masks");
    let number = work.pipeline.get(&path).map_or(0, Setting::entries);
    work.pipeline.push_at(&path, mask);
    work.stands_for(format!("{path}[{number}]"), &name);
    work.honoured(index, format!("`{path}`"));
}

type Members = Vec<(&'static str, Value)>;

/// What the name of such a property says: a member of a mask, its value and others.
fn mask(name: &str) -> Option<(&'static str, (Value, Members))> {
    let rest = name.strip_prefix("column.")?;
    let count = |text: &str| text.strip_suffix(".chars")?.parse().ok().map(Value::Whole);
    if let Some(number) = rest.strip_prefix("mask.with.") {
        return Some(("stars", (count(number)?, Vec::new())));
    }
    if let Some(number) = rest.strip_prefix("truncate.to.") {
        return Some(("truncate", (count(number)?, Vec::new())));
    }
    let rest = rest.strip_prefix("mask.hash.")?;
    let (version, rest) = match rest.strip_prefix("v2.") {
        Some(rest) => (2, rest),
        None => (1, rest),
    };
    let (algorithm, salt) = rest.split_once(".with.salt.")?;
    let more = vec![("salt", Value::Text(salt.to_owned())), ("version", Value::Whole(version))];
    Some(("hash", (Value::Text(algorithm.to_owned()), more)))
}
