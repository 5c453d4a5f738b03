//! A YAML document as a tree in which every value knows its place, so that what is found wrong
//! after parsing still points into the file.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::problem::{Place, Problem, join};
use super::reference::{Surroundings, resolve};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) body: Body,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Null,
    Bool(bool),
    Signed(i64, String),
    Unsigned(u64, String),
    Float(f64, String),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// Text as it is written, and as it is once its references are resolved.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) written: String,
    pub(crate) resolved: Option<String>,
}

/// A key and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// Parses one document.
///
/// # Errors
/// The text is not one YAML document, or a key is given twice.
pub(crate) fn parse(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let parsed = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options);
    let raw = parsed.map_err(|error| {
        let place = error.location().map(place_of).unwrap_or_default();
        Problem::new(first_sentence(&error.to_string())).within("", place)
    })?;
    Ok(Node::new(raw, text))
}

/// The parser's message without the place, which is printed before it.
fn first_sentence(message: &str) -> String {
    let ends = [" at line ", ", set DuplicateKeyPolicy"].map(|end| message.find(end));
    let end = ends.into_iter().flatten().min().unwrap_or(message.len());
    let text = message.get(..end).unwrap_or(message).trim_end_matches([':', ',', ' ', '.']);
    format!("not valid YAML: {text}")
}

fn place_of(location: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(0);
    Place {
        file: 0,
        line: number(location.line()),
        column: number(location.column()).max(1),
        width: number(location.span().len()),
    }
}

impl Node {
    fn new(raw: Spanned<Raw>, text: &str) -> Self {
        let written = || written(raw.defined, text);
        let body = match raw.value {
            Raw::Null => Body::Null,
            Raw::Bool(v) => Body::Bool(v),
            Raw::Signed(v) => Body::Signed(v, written()),
            Raw::Unsigned(v) => Body::Unsigned(v, written()),
            Raw::Float(v) => Body::Float(v, written()),
            Raw::Text(written) => Body::Text(Text { written, resolved: None }),
            Raw::List(v) => Body::List(v.into_iter().map(|n| Self::new(n, text)).collect()),
            Raw::Map(v) => Body::Map(
                v.into_iter()
                    .map(|(k, n)| {
                        let key = Key { name: k.value, place: place_of(k.referenced) };
                        (key, Self::new(n, text))
                    })
                    .collect(),
            ),
        };
        Self { place: place_of(raw.referenced), body }
    }

    /// Resolves the references in all text.
    ///
    /// # Errors
    /// One cannot be resolved; the problem says where it stands.
    pub(crate) fn resolve(&mut self, field: &str, from: &dyn Surroundings) -> Result<(), Problem> {
        let place = self.place;
        match &mut self.body {
            Body::Text(text) => {
                let resolved = resolve(&text.written, from);
                text.resolved = resolved.map_err(|problem| problem.within(field, place))?;
                Ok(())
            }
            Body::List(entries) => {
                let mut entries = entries.iter_mut().enumerate();
                entries.try_for_each(|(i, node)| node.resolve(&format!("{field}[{i}]"), from))
            }
            Body::Map(members) => {
                let mut members = members.iter_mut();
                members.try_for_each(|(key, node)| node.resolve(&join(field, &key.name), from))
            }
            _ => Ok(()),
        }
    }

    /// Text that stands for itself.
    pub(crate) fn text(text: &str, place: Place) -> Self {
        Self { place, body: Body::Text(Text { written: text.to_owned(), resolved: None }) }
    }

    /// A scalar as text: what is written and, where that is a reference, what it stands for.
    pub(crate) fn scalar(&self) -> Option<(&str, Option<&str>)> {
        Some(match &self.body {
            Body::Text(text) => (&text.written, text.resolved.as_deref()),
            Body::Signed(_, written) | Body::Unsigned(_, written) | Body::Float(_, written) => {
                (written, None)
            }
            Body::Bool(true) => ("true", None),
            Body::Bool(false) => ("false", None),
            Body::Null | Body::List(_) | Body::Map(_) => return None,
        })
    }

    /// Adds a member to a mapping. Nothing at all becomes a mapping; a value stays.
    pub(crate) fn put(&mut self, name: &str, place: Place, node: Self) {
        if matches!(self.body, Body::Null) {
            self.body = Body::Map(Vec::new());
        }
        if let Body::Map(members) = &mut self.body {
            members.push((Key { name: name.to_owned(), place }, node));
        }
    }

    /// Puts a node into the mapping that is a member of this one, which is made when it is not
    /// there.
    pub(crate) fn put_in(&mut self, member: &str, name: &str, place: Place, node: Self) {
        if self.child(member).is_none() {
            self.put(member, place, Self { place, body: Body::Null });
        }
        if let Body::Map(members) = &mut self.body
            && let Some((_, inner)) = members.iter_mut().find(|(key, _)| key.name == member)
        {
            inner.put(name, place, node);
        }
    }

    /// The member of a mapping, or the entry of a list (`[2]`).
    pub(crate) fn child(&self, step: &str) -> Option<(Place, &Node)> {
        match &self.body {
            Body::Map(members) => {
                members.iter().find(|(k, _)| k.name == step).map(|(k, n)| (k.place, n))
            }
            Body::List(entries) => {
                let index: usize = step.trim_matches(['[', ']']).parse().ok()?;
                entries.get(index).map(|n| (n.place, n))
            }
            _ => None,
        }
    }
}

/// What was written for a number: `0123` as a password is not 83.
fn written(location: Location, text: &str) -> String {
    let span = location.span();
    let bounds = span.byte_offset().zip(span.byte_len());
    let slice = bounds.and_then(|(from, length)| {
        let from = usize::try_from(from).ok()?;
        text.get(from..from + usize::try_from(length).ok()?)
    });
    slice.unwrap_or_default().trim().to_owned()
}

/// What the parser makes of a value.
enum Raw {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
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
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
        Ok(Raw::Signed(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
        Ok(Raw::Unsigned(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Raw, E> {
        Ok(Raw::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Text(v.to_owned()))
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
