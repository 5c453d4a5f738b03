//! Records as a sink would write them, and the table that they tell of.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use wasmgate_codec::encode::original;
use wasmgate_model::{Batch, Delivery, Op, Position, Schema};

/// A record as a sink would write it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub topic: String,
    pub op: &'static str,
    pub key: Value,
    pub value: Value,
    pub headers: Vec<(String, Value)>,
    pub at: Position,
    pub table: Arc<Schema>,
}

impl Event {
    #[must_use]
    pub fn before(&self) -> &Value {
        &self.value["before"]
    }

    #[must_use]
    pub fn after(&self) -> &Value {
        &self.value["after"]
    }

    /// `op key before after`, for comparisons that a person can read.
    #[must_use]
    pub fn line(&self) -> String {
        let headers: String = self.headers.iter().map(|(n, v)| format!(" {n}={v}")).collect();
        match self.op {
            "tombstone" => format!("tombstone {}{headers}", self.key),
            op => format!("{op} {} {} {}{headers}", self.key, self.before(), self.after()),
        }
    }
}

fn json(bytes: Option<Vec<u8>>) -> Value {
    bytes.map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap())
}

fn events_of(batch: &Batch) -> Vec<Event> {
    assert!(batch.positions.is_sorted_by(|a, b| a < b), "{:?}", batch.positions);
    let each = batch.sel.iter().map(|row| {
        let row = *row as usize;
        let (key, value) = original(batch, row);
        let op = match batch.ops[row] {
            Op::Tombstone => "tombstone",
            op => op.letter().unwrap_or("document"),
        };
        let header = |(name, value): (&str, Option<&[u8]>)| {
            (name.to_owned(), json(value.map(<[u8]>::to_vec)))
        };
        Event {
            topic: batch.schema.topic.to_string(),
            op,
            key: json(key),
            value: json(value),
            headers: batch.headers.row(row).map(header).collect(),
            at: batch.positions[row],
            table: Arc::clone(&batch.schema),
        }
    });
    each.collect()
}

/// Events of a delivery, in the order of the source.
#[must_use]
pub fn events(delivery: &Delivery) -> Vec<Event> {
    let mut events: Vec<Event> = delivery.batches.iter().flat_map(events_of).collect();
    events.sort_by_key(|e| e.at);
    for event in &events {
        assert!(delivery.from < event.at && event.at <= delivery.to, "{event:?} outside");
    }
    events
}

/// The table as the events say it is. Panics where an event does not fit: a row created twice, a
/// change of a row that is not there.
#[derive(Debug, Default)]
pub struct Mirror {
    pub rows: BTreeMap<String, Value>,
}

impl Mirror {
    pub fn apply(&mut self, event: &Event) {
        let key = event.key.to_string();
        let old = match event.op {
            "r" | "c" | "u" => self.rows.insert(key, event.after().clone()),
            "d" => self.rows.remove(&key),
            _ => return,
        };
        assert_eq!(old.is_some(), matches!(event.op, "u" | "d"), "does not fit: {event:?}");
    }
}
