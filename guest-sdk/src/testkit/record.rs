//! A record as the testkit sees it, and what became of it.

use serde_json::Value;

use crate::contract::Op;

/// One record. `value` null is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_us: i64,
    pub key: Value,
    pub value: Value,
    pub headers: Vec<(String, Value)>,
    /// The value is a change envelope (before, after, op, source), or a tombstone among such.
    pub envelope: bool,
}

impl Record {
    /// A plain record of the topic `test`.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self {
            topic: "test".to_owned(),
            partition: 0,
            offset: 0,
            timestamp_us: 0,
            key: Value::Null,
            value,
            headers: Vec::new(),
            envelope: false,
        }
    }

    /// A record whose value is a change envelope, or a tombstone that follows one.
    #[must_use]
    pub fn envelope(value: Value) -> Self {
        Self { envelope: true, ..Self::new(value) }
    }

    /// With another topic.
    #[must_use]
    pub fn topic(mut self, topic: &str) -> Self {
        topic.clone_into(&mut self.topic);
        self
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: Value) -> Self {
        self.key = key;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: Value) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }

    /// What happened at the source.
    pub(crate) fn op(&self) -> Op {
        if self.value.is_null() {
            return Op::Tombstone;
        }
        if !self.envelope {
            return Op::Append;
        }
        match self.value.get("op").and_then(Value::as_str) {
            Some("u") => Op::Update,
            Some("d") => Op::Delete,
            Some("r") => Op::Snapshot,
            Some("t") => Op::Truncate,
            Some("m") => Op::Message,
            _ => Op::Create,
        }
    }

    /// Where the current row image is: the value itself, or a member of the envelope.
    pub(crate) fn image_name(&self) -> Option<&'static str> {
        match (self.envelope, self.op()) {
            (false, _) => None,
            (true, Op::Delete) => Some("before"),
            (true, _) => Some("after"),
        }
    }

    /// The current row image; null where there is none.
    pub(crate) fn image(&self) -> &Value {
        let image = match self.image_name() {
            None => Some(&self.value),
            Some(name) => self.value.get(name),
        };
        image.unwrap_or(&Value::Null)
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Kept(Record),
    Discarded,
    DeadLettered { code: String, message: String },
}
