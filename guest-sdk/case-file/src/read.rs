//! From the tree to the case: strict, every problem with its line.

mod expect;
mod members;

use std::fmt;

use serde_json::{Map, Value};

use crate::case::{CaseFile, FieldCase, Input, RowCase, SchemaCase};
use crate::tree::{self, Node};
use members::{Members, list, words};

/// What is wrong with a case file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: u32,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for Problem {}

/// The contract's kinds, by name.
const KINDS: &[&str] = &[
    "boolean",
    "integer",
    "float",
    "text",
    "bytes",
    "json",
    "decimal",
    "uuid",
    "timestamp-us",
    "date-days",
    "time-us",
];

impl CaseFile {
    /// Reads a case.
    ///
    /// # Errors
    /// It is not YAML, a key is unknown or missing, or a value is of another sort; with its line.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problem> {
        let root = tree::parse(text)?;
        let line = root.line;
        let mut members =
            Members::open(root, "a case", &["about", "config", "schema", "refuses", "rows"])?;
        let about = members.text("about")?.unwrap_or_default();
        let config = match members.take("config") {
            Some(node) => object(node, "config")?,
            None => Value::Object(Map::new()),
        };
        let schema = members.take("schema").map(schema).transpose()?.unwrap_or_default();
        let refuses = members.text("refuses")?;
        let rows = match members.take("rows") {
            Some(node) => {
                let rows = list(node, "rows")?.into_iter();
                rows.map(|node| row(node, &schema)).collect::<Result<_, _>>()?
            }
            None => Vec::new(),
        };
        match (&refuses, rows.is_empty()) {
            (None, true) => {
                let message = "a case has `rows`, or says with `refuses` why it cannot run";
                Err(Problem { line, message: message.to_owned() })
            }
            (Some(_), false) => {
                let message = "what `refuses` has no `rows`: take one of them out";
                Err(Problem { line, message: message.to_owned() })
            }
            _ => Ok(Self { name: name.to_owned(), about, config, schema, refuses, rows }),
        }
    }
}

fn object(node: Node, name: &str) -> Result<Value, Problem> {
    let (line, sort) = (node.line, node.sort());
    match node.json() {
        value @ Value::Object(_) => Ok(value),
        _ => Err(Problem { line, message: format!("{name}: found {sort}, expected a mapping") }),
    }
}

fn schema(node: Node) -> Result<SchemaCase, Problem> {
    let line = node.line;
    let known = ["name", "fields", "key", "defaults", "open", "envelope"];
    let mut members = Members::open(node, "schema", &known)?;
    let name = members.text("name")?.unwrap_or_else(|| SchemaCase::default().name);
    let key = members.take("key").map(|node| words(node, "schema.key")).transpose()?;
    let key = key.unwrap_or_default();
    let fields = members.take("fields").map(|node| fields(node, &key)).transpose()?;
    let fields = fields.unwrap_or_default();
    let open = members.boolean("open")?;
    let message = match open {
        Some(true) if !fields.is_empty() => {
            "schema.open: an open schema has no `fields`; take one of them out"
        }
        Some(false) if fields.is_empty() => "schema.open: a schema that is not open has `fields`",
        _ => "",
    };
    if !message.is_empty() {
        return Err(Problem { line, message: message.to_owned() });
    }
    let has = |name: &str| fields.iter().any(|field: &FieldCase| field.name == name);
    if let Some(missing) = key.iter().find(|name| !fields.is_empty() && !has(name)) {
        return Err(Problem { line, message: format!("schema.key: there is no field {missing}") });
    }
    let defaults = match members.take("defaults").map(|node| object(node, "schema.defaults")) {
        Some(Ok(Value::Object(members))) => members.into_iter().collect(),
        Some(Err(problem)) => return Err(problem),
        _ => Vec::new(),
    };
    let envelope = members.boolean("envelope")?.unwrap_or_default();
    Ok(SchemaCase { name, fields, key, defaults, envelope })
}

/// `amount: decimal`, or `id: integer not null`; fields of the key are never null.
fn fields(node: Node, key: &[String]) -> Result<Vec<FieldCase>, Problem> {
    let members = Members::any(node, "schema.fields")?;
    let mut fields = Vec::with_capacity(members.len());
    for (name, node) in members {
        let (line, sort) = (node.line, node.sort());
        let refuse = || Problem {
            line,
            message: format!(
                "schema.fields.{}: found {sort}, expected a kind, with or without `not null`: {}",
                name.name,
                KINDS.join(", ")
            ),
        };
        let Value::String(text) = node.json() else { return Err(refuse()) };
        let (kind, filled) = match text.trim().strip_suffix("not null") {
            Some(kind) => (kind.trim(), true),
            None => (text.trim(), false),
        };
        let kind = KINDS.iter().find(|known| **known == kind).ok_or_else(refuse)?;
        let nullable = !filled && !key.contains(&name.name);
        fields.push(FieldCase { name: name.name, kind, nullable });
    }
    Ok(fields)
}

fn row(node: Node, schema: &SchemaCase) -> Result<RowCase, Problem> {
    let line = node.line;
    let known =
        ["value", "key", "topic", "partition", "offset", "timestamp-us", "headers", "expect"];
    let mut members = Members::open(node, "a row", &known)?;
    let value = members.need("value", "null is a tombstone")?.json();
    let input = Input {
        topic: members.text("topic")?.unwrap_or_else(|| schema.name.clone()),
        partition: members.integer("partition")?.unwrap_or(0),
        offset: members.integer("offset")?.unwrap_or(0),
        timestamp_us: members.integer("timestamp-us")?.unwrap_or(0),
        key: members.take("key").map_or(Value::Null, Node::json),
        value,
        headers: members.pairs("headers")?,
    };
    let wanted = members.need("expect", "keep, drop, { dead-letter: CODE } or { write: … }")?;
    if schema.envelope && !matches!(input.value, Value::Null | Value::Object(_)) {
        let message = "value: a change envelope is a mapping with op, before and after, or null";
        return Err(Problem { line, message: message.to_owned() });
    }
    Ok(RowCase { line, input, expected: expect::expected(wanted)? })
}
