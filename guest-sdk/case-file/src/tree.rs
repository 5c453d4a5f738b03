//! A YAML document as a tree in which every value knows its line, so that what is found wrong
//! after parsing still points into the file.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

use crate::read::Problem;

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) body: Body,
}

/// A value.
#[derive(Debug)]
pub(crate) enum Body {
    /// Null, a boolean, a number or text.
    Plain(Value),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) line: u32,
}

/// Parses one document.
///
/// # Errors
/// The text is not one YAML document, or a key is given twice.
pub(crate) fn parse(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let parsed = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options);
    parsed.map(Node::new).map_err(|error| {
        let line = error.location().map_or(1, |place| line(place.line()));
        let message = error.to_string();
        let end = [" at line ", ", set DuplicateKeyPolicy"].map(|end| message.find(end));
        let end = end.into_iter().flatten().min().unwrap_or(message.len());
        let text = message.get(..end).unwrap_or(&message).trim_end_matches([':', ',', ' ', '.']);
        Problem { line, message: format!("not valid YAML: {text}") }
    })
}

fn line(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Node {
    fn new(raw: Spanned<Raw>) -> Self {
        let body = match raw.value {
            Raw::Plain(value) => Body::Plain(value),
            Raw::List(entries) => Body::List(entries.into_iter().map(Self::new).collect()),
            Raw::Map(members) => {
                let member = |(key, node): (Spanned<String>, Spanned<Raw>)| {
                    let place = line(key.referenced.line());
                    (Key { name: key.value, line: place }, Self::new(node))
                };
                Body::Map(members.into_iter().map(member).collect())
            }
        };
        Self { line: line(raw.referenced.line()), body }
    }

    /// The value as JSON.
    pub(crate) fn json(self) -> Value {
        match self.body {
            Body::Plain(value) => value,
            Body::List(entries) => entries.into_iter().map(Self::json).collect(),
            Body::Map(members) => {
                let members = members.into_iter().map(|(key, node)| (key.name, node.json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// What it is, for messages.
    pub(crate) fn sort(&self) -> String {
        match &self.body {
            Body::Plain(Value::Null) => "nothing".to_owned(),
            Body::Plain(Value::String(text)) => format!("the text {text:?}"),
            Body::Plain(value) => value.to_string(),
            Body::List(_) => "a list".to_owned(),
            Body::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// What the parser makes of a value.
enum Raw {
    Plain(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::from(v)))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::from(v)))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::from(v)))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Raw, E> {
        let number = Number::from_f64(v);
        number.map(|n| Raw::Plain(Value::Number(n))).ok_or_else(|| {
            E::custom("a number that JSON cannot say: write it as text (\"NaN\", \"Infinity\")")
        })
    }

    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Plain(Value::from(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_element()? {
            entries.push(entry);
        }
        Ok(Raw::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Raw::Map(members))
    }
}
