//! `expect`: a word, a dead letter, or how the record leaves.

use serde_json::{Map, Value};

use super::members::{Members, words};
use super::{Problem, object};
use crate::case::{Dead, Expected, Wanted, WantedValue};
use crate::tree::{Body, Node};

const FORMS: &str = "keep, drop, { dead-letter: CODE } or how the record leaves ({ write: … })";

pub(super) fn expected(node: Node) -> Result<Expected, Problem> {
    let line = node.line;
    if let Body::Plain(value) = &node.body {
        return match value.as_str() {
            Some("keep") => Ok(Expected::Keep(Box::default())),
            Some("drop") => Ok(Expected::Drop),
            _ => {
                let message = format!("expect: found {}, expected {FORMS}", node.sort());
                Err(Problem { line, message })
            }
        };
    }
    let known = [
        "dead-letter",
        "message",
        "write",
        "remove",
        "value",
        "topic",
        "partition",
        "key",
        "headers",
    ];
    let names: Vec<String> = match &node.body {
        Body::Map(members) => members.iter().map(|(key, _)| key.name.clone()).collect(),
        _ => Vec::new(),
    };
    let mut members = Members::open(node, "expect", &known)?;
    let has = |name: &str| names.iter().any(|found| found == name);
    let clash = if has("dead-letter") {
        let other = names.iter().find(|n| !matches!(n.as_str(), "dead-letter" | "message"));
        other.map(|other| format!("a dead letter keeps the record as it came: take `{other}` out"))
    } else if has("message") {
        Some("`message` belongs to `dead-letter`, which is missing".to_owned())
    } else if has("value") && (has("write") || has("remove")) {
        Some("`value` is the whole value: it needs no `write` and no `remove`".to_owned())
    } else {
        None
    };
    if let Some(clash) = clash {
        return Err(Problem { line, message: format!("expect: {clash}") });
    }
    if let Some(code) = members.text("dead-letter")? {
        return Ok(Expected::DeadLetter(Dead { code, message: members.text("message")? }));
    }
    Ok(Expected::Keep(Box::new(wanted(&mut members)?)))
}

fn wanted(members: &mut Members) -> Result<Wanted, Problem> {
    let value = match members.take("value") {
        Some(node) => WantedValue::Whole(node.json()),
        None => WantedValue::Changed {
            write: members.take("write").map(written).transpose()?.unwrap_or_default(),
            remove: members.take("remove").map(removed).transpose()?.unwrap_or_default(),
        },
    };
    Ok(Wanted {
        value,
        topic: members.text("topic")?,
        partition: members.integer("partition")?,
        key: members.take("key").map(Node::json),
        headers: members.pairs("headers")?,
    })
}

fn written(node: Node) -> Result<Map<String, Value>, Problem> {
    let line = node.line;
    let Value::Object(fields) = object(node, "expect.write")? else { return Ok(Map::new()) };
    match fields.keys().find(|name| name.starts_with('$')) {
        Some(name) => Err(Problem { line, message: reserved("write", name) }),
        None => Ok(fields),
    }
}

fn removed(node: Node) -> Result<Vec<String>, Problem> {
    let line = node.line;
    let fields = words(node, "expect.remove")?;
    match fields.iter().find(|name| name.starts_with('$')) {
        Some(name) => Err(Problem { line, message: reserved("remove", name) }),
        None => Ok(fields),
    }
}

fn reserved(list: &str, name: &str) -> String {
    format!(
        "expect.{list}: {name} is no field of the row; say `topic`, `key`, `partition`, `headers` \
         or `value: null` (a tombstone) beside `{list}`"
    )
}
