//! Names of before Debezium 2.0, and of Kafka Connect's own past, under which documents are still
//! kept. They are taken, translated, and the new name is reported.

use std::borrow::Cow;

/// Old name, new name.
const NAMES: &[(&str, &str)] = &[
    ("database.server.name", "topic.prefix"),
    ("schema.whitelist", "schema.include.list"),
    ("schema.blacklist", "schema.exclude.list"),
    ("table.whitelist", "table.include.list"),
    ("table.blacklist", "table.exclude.list"),
    ("column.whitelist", "column.include.list"),
    ("column.blacklist", "column.exclude.list"),
    ("database.whitelist", "database.include.list"),
    ("database.blacklist", "database.exclude.list"),
    ("slot.drop_on_stop", "slot.drop.on.stop"),
    ("rows.fetch.size", "snapshot.fetch.size"),
    ("toasted.value.placeholder", "unavailable.value.placeholder"),
    ("transaction.topic", "topic.transaction"),
    ("heartbeat.topics.prefix", "topic.heartbeat.prefix"),
    ("flush.lsn.source", "lsn.flush.mode"),
    ("sanitize.field.names", "field.name.adjustment.mode"),
];

/// Old prefix, new prefix.
const PREFIXES: &[(&str, &str)] = &[("database.history.", "schema.history.internal.")];

/// Today's name of a property, and what else changed with it, for a message.
pub(crate) fn modern(name: &str) -> (Cow<'_, str>, &'static str) {
    if let Some((old, new)) = NAMES.iter().find(|(old, _)| *old == name) {
        let note = match *old {
            "flush.lsn.source" => " (`true` is `connector`, `false` is `manual`)",
            "sanitize.field.names" => " (`true` is `avro`, `false` is `none`)",
            _ => "",
        };
        return (Cow::Borrowed(new), note);
    }
    let prefix = PREFIXES.iter().find_map(|(old, new)| Some((new, name.strip_prefix(old)?)));
    match prefix {
        Some((new, rest)) => (Cow::Owned(format!("{new}{rest}")), ""),
        None => (Cow::Borrowed(name), ""),
    }
}

/// What a value of an old name is today.
pub(crate) fn value<'v>(old: &str, value: &'v str) -> &'v str {
    match (old, value.trim()) {
        ("flush.lsn.source", text) if text.eq_ignore_ascii_case("true") => "connector",
        ("flush.lsn.source", text) if text.eq_ignore_ascii_case("false") => "manual",
        ("sanitize.field.names", text) if text.eq_ignore_ascii_case("true") => "avro",
        ("sanitize.field.names", text) if text.eq_ignore_ascii_case("false") => "none",
        (_, text) => text,
    }
}

/// Every old name, with its new one, for the reference.
pub(crate) fn all() -> impl Iterator<Item = (String, String)> {
    let prefix = |(old, new): &(&str, &str)| (format!("{old}*"), format!("{new}*"));
    let names = NAMES.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
    names.chain(PREFIXES.iter().map(prefix))
}
