//! The reference of properties as a page: made from the table that the translation looks into, so
//! that it says what is done.

use std::fmt::Write as _;

use crate::table::{Connector, Row, Rule, rooms};
use crate::{converters, legacy};

/// Markdown: a section per room of the table, then the older names and the converters.
#[must_use]
pub fn page() -> String {
    let mut out = String::new();
    for (room, rows) in rooms(Connector::Postgres).chain(mysql()) {
        section(&mut out, room, &["property", "default", "what becomes of it"]);
        for row in rows {
            let default = if row.default.is_empty() { "" } else { &format!("`{}`", row.default) };
            line(&mut out, &[&format!("`{}`", row.name), default, &fate(row)]);
        }
    }
    section(&mut out, "Older names", &["name", "today"]);
    for (old, new) in legacy::all() {
        line(&mut out, &[&format!("`{old}`"), &format!("`{new}`")]);
    }
    section(&mut out, "Converters that are refused", &["class", "writes"]);
    for (class, what) in converters::others() {
        line(&mut out, &[&format!("`{class}`"), what]);
    }
    out
}

/// The rooms that are MySQL's own.
fn mysql() -> impl Iterator<Item = (&'static str, &'static [Row])> {
    rooms(Connector::MySql).filter(|(room, _)| room.contains("MySQL"))
}

fn section(out: &mut String, title: &str, columns: &[&str]) {
    let start = if out.is_empty() { "" } else { "\n" };
    let written = write!(out, "{start}### {title}\n\n");
    debug_assert!(written.is_ok(), "text takes everything");
    line(out, columns);
    line(out, &vec!["---"; columns.len()]);
}

fn line(out: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    out.push_str(&format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |"));
}

fn fate(row: &Row) -> String {
    let says = row.says;
    let with = |text: String| if says.is_empty() { text } else { format!("{text}; {says}") };
    match &row.rule {
        Rule::Text(path)
        | Rule::Secret(path)
        | Rule::Flag(path)
        | Rule::Patterns(path)
        | Rule::Millis(path, ..)
        | Rule::Whole(path, ..) => {
            let text = format!("`{}`", path.trim_start_matches('/'));
            if row.required { format!("{text}; required") } else { with(text) }
        }
        Rule::Words(path, words) => {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            with(format!("`{path}`: {}", words.join(", ")))
        }
        Rule::Ignored => format!("ignored: {says}"),
        Rule::Lacking => format!("not supported, records are the same: {says}"),
        Rule::Only { values, changes_data } => {
            let kind =
                if *changes_data { "refused" } else { "not supported, records are the same" };
            let values: Vec<String> = values.iter().map(|v| format!("`{v}`")).collect();
            match values.as_slice() {
                [only] if only == "``" => format!("{kind}: {says}"),
                several => format!("{}; else {kind}: {says}", several.join(", ")),
            }
        }
        Rule::Own(_) => says.to_owned(),
    }
}
