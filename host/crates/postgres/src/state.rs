//! What is stored with a position: how far the snapshot is, which server the position belongs to,
//! and what the source is busy with beside the stream. JSON, so that people can read a checkpoint.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wasmgate_model::Position;

use crate::quarantine::Held;

/// The source's state at a position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    /// False: the snapshot was cut short and has to be taken again.
    pub snapshot_done: bool,
    pub system_id: String,
    pub timeline: u32,
    pub slot: String,
    /// The last record that stands between two transactions. A transaction whose commit has the
    /// same place in the log numbers its records from here on; see `assemble`.
    pub between: Option<Position>,
    /// Snapshots that go on beside the stream, or wait; `incremental` reads and writes it.
    pub work: Option<Value>,
    /// Columns of the tables as they were last accepted; see `changes`.
    pub tables: Option<Value>,
    /// Tables that are held back.
    pub quarantine: Vec<Held>,
}

impl State {
    pub(crate) fn to_bytes(&self) -> Arc<[u8]> {
        let snapshot = if self.snapshot_done { "done" } else { "running" };
        let mut text = Map::new();
        let mut put = |name: &str, value: Value| text.insert(name.to_owned(), value);
        put("snapshot", snapshot.into());
        put("system_id", self.system_id.as_str().into());
        put("timeline", self.timeline.into());
        put("slot", self.slot.as_str().into());
        if let Some(Position { major, minor }) = self.between {
            put("between", json!([major, minor]));
        }
        if let Some(work) = &self.work {
            put("work", work.clone());
        }
        if let Some(tables) = &self.tables {
            put("tables", tables.clone());
        }
        if !self.quarantine.is_empty() {
            put("quarantine", json!(self.quarantine));
        }
        Value::Object(text).to_string().into_bytes().into()
    }

    /// `None`: not written by this connector.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |value: &Value, i: usize| value.get(i).and_then(Value::as_u64);
        Some(Self {
            snapshot_done: match text("snapshot")?.as_str() {
                "done" => true,
                "running" => false,
                _ => return None,
            },
            system_id: text("system_id")?,
            timeline: u32::try_from(value.get("timeline")?.as_u64()?).ok()?,
            slot: text("slot")?,
            between: match value.get("between") {
                None => None,
                Some(at) => Some(Position::new(number(at, 0)?, number(at, 1)?)),
            },
            work: value.get("work").cloned(),
            tables: value.get("tables").cloned(),
            quarantine: match value.get("quarantine") {
                None => Vec::new(),
                Some(held) => serde_json::from_value(held.clone()).ok()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::TableName;

    #[test]
    fn state_survives_its_text() {
        for (snapshot_done, between, work) in [
            (true, None, None),
            (false, Some(Position::new(1 << 40, 7)), Some(json!({ "queue": [1] }))),
        ] {
            let (system_id, slot) = ("7".into(), "s".into());
            let tables = work.clone();
            let name = TableName { schema: "s".into(), table: "t".into() };
            let quarantine = vec![Held::new(&name, "why".into(), Position::new(9, 1))];
            let timeline = 3;
            let state = State {
                snapshot_done,
                system_id,
                timeline,
                slot,
                between,
                work,
                tables,
                quarantine,
            };
            assert_eq!(State::parse(&state.to_bytes()), Some(state));
        }
        for other in [&b""[..], b"{}", b"{\"snapshot\":\"maybe\"}"] {
            assert_eq!(State::parse(other), None);
        }
    }
}
