//! The documents of a file, with the place of every value: one `{"name", "config"}`, a bare
//! configuration that has its name in it, a list of either, or what
//! `GET /connectors?expand=info` answers. Whether the text is JSON is for `serde_json` to say;
//! the scanner here only finds places in text that is.

mod scan;

use serde_json::Value;

use scan::{Body, Node};

/// A place in a file; line and column count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub line: u32,
    pub column: u32,
    /// Characters of what stands there, up to the end of its line.
    pub width: u32,
}

/// A connector as it was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Name of the connector.
    pub name: String,
    /// Where the name stands.
    pub name_place: Place,
    /// The configuration, in its order, each name once. A null is left out, as a property that is
    /// not given.
    pub config: Vec<Member>,
}

/// A property as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// Its text; numbers and booleans are the text they are written with.
    pub written: String,
    /// Where the value stands.
    pub place: Place,
}

/// Why a file holds no connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub place: Place,
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Refusal {
    fn new(place: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place, message: message.into(), help: help.into() }
    }
}

/// What a document looks like, for those who have something else.
const SHAPE: &str = "write {\"name\": \"…\", \"config\": { … }}, as for POST /connectors";

/// What mostly is wrong with JSON that is written by hand.
const SYNTAX: &str = "JSON has no comments and no comma at the end; a backslash is written twice";

/// The documents of a file, at least one. `name` is that of a document that does not say it, as
/// the address of `PUT /connectors/NAME/config` has it.
///
/// # Errors
/// It is not JSON, not a connector's document, or a property is no text, number or boolean; a
/// document has another name than `name`.
pub fn read(text: &str, name: Option<&str>) -> Result<Vec<Document>, Refusal> {
    if let Err(error) = serde_json::from_str::<Value>(text) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        let place = Place { line: number(error.line()), column: number(error.column()), width: 1 };
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        return Err(Refusal::new(place, format!("not valid JSON: {message}"), SYNTAX));
    }
    let root = scan::scan(text);
    let documents = match &root.body {
        Body::List(entries) => {
            entries.iter().map(|entry| one(entry, name)).collect::<Result<Vec<_>, _>>()?
        }
        Body::Map(members) if exported(members) => {
            let infos = members.iter().filter_map(|(_, _, node)| node.member("info"));
            infos.map(|info| one(info, name)).collect::<Result<Vec<_>, _>>()?
        }
        _ => vec![one(&root, name)?],
    };
    if documents.is_empty() {
        return Err(Refusal::new(root.place, "holds no connector", SHAPE));
    }
    Ok(documents)
}

/// The answer of `GET /connectors?expand=info`: every member has its own `info`.
fn exported(members: &[(String, Place, Node)]) -> bool {
    let info =
        |node: &Node| node.member("info").is_some_and(|info| info.member("config").is_some());
    !members.is_empty() && members.iter().all(|(_, _, node)| info(node))
}

fn one(node: &Node, name: Option<&str>) -> Result<Document, Refusal> {
    let Body::Map(members) = &node.body else {
        return Err(Refusal::new(node.place, "is not a connector's document", SHAPE));
    };
    twice(members)?;
    match node.member("config") {
        Some(config) if matches!(config.body, Body::Map(_)) => wrapped(node, members, config, name),
        _ => {
            let (name, place) = named(node, node.member("name"), name)?;
            document(name, place, node)
        }
    }
}

/// The name that is written, or else that which was given.
fn named(
    node: &Node,
    written: Option<&Node>,
    given: Option<&str>,
) -> Result<(String, Place), Refusal> {
    let (name, place) = match (written, given) {
        (Some(written), _) => text(written, "name")?,
        (None, Some(given)) => (given, node.place),
        (None, None) => ("", node.place),
    };
    let name = name.trim();
    if name.is_empty() {
        let help = "add \"name\": \"…\", or say `--connector NAME=FILE`: Kafka Connect takes it from \
                    the address of PUT /connectors/NAME/config";
        return Err(Refusal::new(place, "the connector has no name", help));
    }
    if let Some(given) = given.filter(|given| *given != name) {
        let message = format!("the connector is `{name}`, but is given as `{given}`");
        return Err(Refusal::new(place, message, "leave one of them out"));
    }
    Ok((name.to_owned(), place))
}

/// `{"name", "config"}`, with what else a worker takes or answers.
fn wrapped(
    node: &Node,
    members: &[(String, Place, Node)],
    config: &Node,
    given: Option<&str>,
) -> Result<Document, Refusal> {
    for (name, place, value) in members {
        match name.as_str() {
            // `tasks` and `type` are in what `GET /connectors/NAME` answers.
            "name" | "config" | "tasks" | "type" => {}
            "initial_state" => running(value)?,
            other => {
                let message = format!("`{other}` is no member of a connector's document");
                let help = "expected `name`, `config` and `initial_state`; a connector's \
                            properties stand inside `config`";
                return Err(Refusal::new(*place, message, help));
            }
        }
    }
    let own = config.member("name");
    let (name, name_place) = named(node, node.member("name").or(own), given)?;
    if let Some(own) = own {
        let (inner, place) = text(own, "config.name")?;
        if inner.trim() != name {
            let message = format!("`config.name` is `{inner}`, but the connector is `{name}`");
            return Err(Refusal::new(place, message, "leave `name` out of `config`"));
        }
    }
    document(name, name_place, config)
}

/// A pipeline starts running; other states are for the REST interface to set.
fn running(state: &Node) -> Result<(), Refusal> {
    let (word, place) = text(state, "initial_state")?;
    if word.eq_ignore_ascii_case("RUNNING") {
        return Ok(());
    }
    let message = format!("`initial_state` is `{word}`, expected `RUNNING`");
    Err(Refusal::new(place, message, "leave it out, and pause the pipeline when it runs"))
}

fn document(name: String, name_place: Place, config: &Node) -> Result<Document, Refusal> {
    let Body::Map(members) = &config.body else {
        return Err(Refusal::new(config.place, "`config` is not an object", SHAPE));
    };
    twice(members)?;
    let mut config = Vec::new();
    for (name, _, value) in members {
        match &value.body {
            Body::Null => {}
            _ if name == "name" => {}
            Body::Scalar(_) => {
                let (written, place) = text(value, name)?;
                config.push(Member { name: name.clone(), written: written.to_owned(), place });
            }
            Body::List(_) | Body::Map(_) => {
                let message = format!("`{name}` is no text, number or boolean");
                let help = "properties are flat; lists are texts with commas: \"a,b\"";
                return Err(Refusal::new(value.place, message, help));
            }
        }
    }
    Ok(Document { name, name_place, config })
}

fn text<'n>(node: &'n Node, name: &str) -> Result<(&'n str, Place), Refusal> {
    match &node.body {
        Body::Scalar(text) => Ok((text, node.place)),
        _ => Err(Refusal::new(node.place, format!("`{name}` is not text"), SHAPE)),
    }
}

/// Kafka Connect would take the last one and say nothing.
fn twice(members: &[(String, Place, Node)]) -> Result<(), Refusal> {
    for (index, (name, place, _)) in members.iter().enumerate() {
        if members.iter().take(index).any(|(earlier, _, _)| earlier == name) {
            let message = format!("`{name}` is given twice");
            return Err(Refusal::new(*place, message, "keep one of them"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
