//! What is wrong with a configuration: where (file, line, column, dotted field), what was found,
//! what was expected and what to do. Also serde's error type while the tree is read, so that the
//! words are ours and not serde's.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

/// Shorter values are no secrets, and occur in words.
const SECRET_MIN: usize = 3;

/// A place in the file; line and column count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// Which of the document's files: 0 is the configuration, connectors follow.
    pub(crate) file: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) width: u32,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Dotted field, `pipelines.orders.source`.
    pub(crate) field: String,
    pub(crate) place: Option<Place>,
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: Option<Box<str>>,
    /// What would have been right; kept apart so that a secret can be left out of the message.
    expected: Option<Box<str>>,
    /// A member of the mapping that is being read, appended to the field when it is known.
    member: Option<Box<str>>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            field: String::new(),
            place: None,
            message: message.into(),
            help: None,
            expected: None,
            member: None,
        }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where it is, unless something deeper already did.
    #[must_use]
    pub(crate) fn within(mut self, field: &str, place: Place) -> Self {
        if self.place.is_none() {
            self.place = Some(place);
            self.field = match self.member.take() {
                Some(member) => join(field, &member),
                None => field.to_owned(),
            };
        }
        self
    }

    /// Shows what is written instead of the value it stands for, which may be a secret.
    #[must_use]
    pub(crate) fn hide(mut self, value: &str, written: &str) -> Self {
        if let Some(expected) = &self.expected {
            self.message = format!("found `{written}`, expected {expected}");
        } else if value.len() >= SECRET_MIN {
            self.message = self.message.replace(value, written);
        }
        self.help = self.help.filter(|help| value.len() < SECRET_MIN || !help.contains(value));
        self
    }

    /// The report for people: `file:line:column: field: message`, the line itself, the help.
    pub(crate) fn render(&self, file: &str, text: &str) -> String {
        let mut out = match self.place {
            Some(p) => format!("{file}:{}:{}: ", p.line, p.column),
            None => format!("{file}: "),
        };
        if !self.field.is_empty() {
            out.push_str(&self.field);
            out.push_str(": ");
        }
        out.push_str(&self.message);
        if let Some(place) = self.place {
            out.push_str(&snippet(place, text));
        }
        if let Some(help) = &self.help {
            out.push_str("\n  help: ");
            out.push_str(help);
        }
        out
    }
}

/// A member's dotted name.
pub(crate) fn join(field: &str, member: &str) -> String {
    if field.is_empty() { member.to_owned() } else { format!("{field}.{member}") }
}

/// The line of `place` with a mark under it; nothing where the file has no such line.
fn snippet(place: Place, text: &str) -> String {
    let Some(line) = place.line.checked_sub(1).and_then(|n| text.lines().nth(n as usize)) else {
        return String::new();
    };
    let number = place.line.to_string();
    let before = place.column.saturating_sub(1) as usize;
    let room = line.chars().count().saturating_sub(before);
    let marks = "^".repeat((place.width as usize).min(room).max(1));
    let (blank, indent) = (" ".repeat(number.len()), " ".repeat(before));
    format!("\n  {number} | {line}\n  {blank} | {indent}{marks}")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expectation(&expected.to_string());
        let mut problem = Self::new(format!("found {}, expected {expected}", finding(found)));
        problem.expected = Some(expected.into());
        problem
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let list = alternatives(expected);
        let mut problem = Self::new(format!("found `{found}`, expected {list}"));
        problem.help = closest(found, expected).map(|w| format!("did you mean `{w}`?").into());
        problem.expected = Some(list.into());
        problem
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        if let Some(what) = later(found) {
            return Self::new(format!("`{found}`: {what} not supported by this version"))
                .help(format!("known here: {}", alternatives(expected)));
        }
        let problem = Self::new(format!("unknown key `{found}`"));
        match closest(found, expected) {
            Some(word) => problem.help(format!("did you mean `{word}`?")),
            None if expected.is_empty() => problem.help("this mapping takes no keys"),
            None => problem.help(format!("known here: {}", alternatives(expected))),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        let mut problem = Self::new("is missing, and has no default");
        problem.member = Some(field.into());
        problem
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is given twice"))
    }
}

/// Keys of the documented configuration that this version does not have yet.
fn later(key: &str) -> Option<&'static str> {
    match key {
        "mysql" => Some("MySQL sources are"),
        "clickhouse" => Some("ClickHouse sinks are"),
        "connect" => Some("the Kafka Connect REST interface is"),
        _ => None,
    }
}

/// Serde's words for what a visitor takes, in ours.
fn expectation(serde: &str) -> String {
    match serde {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" => "a whole number, also negative",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" => "text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        other if other.starts_with("struct ") => "a mapping",
        other => other,
    }
    .to_owned()
}

/// What stood there.
fn finding(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(v) => format!("`{v}`"),
        Unexpected::Unsigned(v) => format!("`{v}`"),
        Unexpected::Signed(v) => format!("`{v}`"),
        Unexpected::Float(v) => format!("`{v}`"),
        Unexpected::Str(v) => format!("`{v}`"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map | Unexpected::StructVariant => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// "`a`, `b` or `c`".
pub(crate) fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// The word that differs from `found` in at most about a third of its letters.
pub(crate) fn closest<'w>(found: &str, words: &[&'w str]) -> Option<&'w str> {
    let near = |w: &&str| (distance(found, w), w.len());
    let best = words.iter().min_by_key(|w| near(w))?;
    (distance(found, best) <= best.len().div_ceil(3)).then_some(*best)
}

/// Edit distance (insert, delete, replace).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (slot, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*slot + 1);
            diagonal = *slot;
            *slot = here;
            left = here;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_recognised_and_a_different_word_is_not() {
        let known = ["topic_prefix", "tables", "slot"];
        for (found, want) in [
            ("topic_prefx", Some("topic_prefix")),
            ("table", Some("tables")),
            ("slots", Some("slot")),
            ("password", None),
            ("", None),
        ] {
            assert_eq!(closest(found, &known), want, "{found}");
        }
    }

    #[test]
    fn the_report_marks_the_place() {
        let place = Place { line: 2, column: 9, width: 3, ..Place::default() };
        let problem = Problem::new("found `abc`").within("a.port", place).help("write a port");
        let want = "f.yaml:2:9: a.port: found `abc`\n  2 |   port: abc\n    |         ^^^\n  \
                    help: write a port";
        assert_eq!(problem.render("f.yaml", "a:\n  port: abc\n"), want);
    }
}
