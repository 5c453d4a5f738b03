//! The members of a mapping, taken one by one: unknown names are refused before anything is read.

use serde_json::Value;

use super::Problem;
use crate::tree::{Body, Key, Node};

/// A mapping with a closed set of names.
pub(super) struct Members {
    place: String,
    line: u32,
    members: Vec<(Key, Node)>,
}

impl Members {
    /// # Errors
    /// It is no mapping, or has a name that is not `known`.
    pub(super) fn open(node: Node, place: &str, known: &[&str]) -> Result<Self, Problem> {
        let line = node.line;
        let members = Self::any(node, place)?;
        let place = place.to_owned();
        match members.iter().find(|(key, _)| !known.contains(&key.name.as_str())) {
            Some((key, _)) => Err(Problem {
                line: key.line,
                message: format!(
                    "{place}: there is no `{}` here, expected one of {}",
                    key.name,
                    known.join(", ")
                ),
            }),
            None => Ok(Self { place, line, members }),
        }
    }

    /// # Errors
    /// It is no mapping.
    pub(super) fn any(node: Node, place: &str) -> Result<Vec<(Key, Node)>, Problem> {
        let (line, sort) = (node.line, node.sort());
        match node.body {
            Body::Map(members) => Ok(members),
            _ => {
                Err(Problem { line, message: format!("{place}: found {sort}, expected a mapping") })
            }
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.members.iter().position(|(key, _)| key.name == name)?;
        Some(self.members.swap_remove(at).1)
    }

    pub(super) fn need(&mut self, name: &str, what: &str) -> Result<Node, Problem> {
        let message = format!("{}: `{name}` is missing ({what})", self.place);
        self.take(name).ok_or(Problem { line: self.line, message })
    }

    fn wrong(&self, name: &str, node: &Node, expected: &str) -> Problem {
        let message = format!("{}: {name}: found {}, expected {expected}", self.place, node.sort());
        Problem { line: node.line, message }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Node { body: Body::Plain(Value::String(text)), .. }) => Ok(Some(text)),
            Some(node) => Err(self.wrong(name, &node, "text")),
        }
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Node { body: Body::Plain(Value::Bool(value)), .. }) => Ok(Some(value)),
            Some(node) => Err(self.wrong(name, &node, "true or false")),
        }
    }

    /// A whole number that fits the type.
    pub(super) fn integer<T: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let Some(node) = self.take(name) else { return Ok(None) };
        let number = match &node.body {
            Body::Plain(value) => value.as_i64().and_then(|number| T::try_from(number).ok()),
            _ => None,
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, &node, "a whole number")),
        }
    }

    /// A mapping in its order.
    pub(super) fn pairs(&mut self, name: &str) -> Result<Vec<(String, Value)>, Problem> {
        let Some(node) = self.take(name) else { return Ok(Vec::new()) };
        let members = Self::any(node, name)?;
        Ok(members.into_iter().map(|(key, node)| (key.name, node.json())).collect())
    }
}

pub(super) fn list(node: Node, place: &str) -> Result<Vec<Node>, Problem> {
    let (line, sort) = (node.line, node.sort());
    match node.body {
        Body::List(entries) => Ok(entries),
        _ => Err(Problem { line, message: format!("{place}: found {sort}, expected a list") }),
    }
}

/// A list of texts.
pub(super) fn words(node: Node, place: &str) -> Result<Vec<String>, Problem> {
    let word = |node: Node| {
        let (line, sort) = (node.line, node.sort());
        match node.json() {
            Value::String(text) => Ok(text),
            _ => Err(Problem { line, message: format!("{place}: found {sort}, expected text") }),
        }
    };
    list(node, place)?.into_iter().map(word).collect()
}
