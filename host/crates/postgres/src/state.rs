//! What is stored with a position: whether the snapshot is done, and which server the position
//! belongs to. JSON, so that people can read a checkpoint.

use std::sync::Arc;

use serde_json::{Value, json};

/// The source's state at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// False: the snapshot was cut short and has to be taken again.
    pub snapshot_done: bool,
    pub system_id: String,
    pub timeline: u32,
    pub slot: String,
}

impl State {
    pub(crate) fn to_bytes(&self) -> Arc<[u8]> {
        let snapshot = if self.snapshot_done { "done" } else { "running" };
        json!({
            "snapshot": snapshot,
            "system_id": self.system_id,
            "timeline": self.timeline,
            "slot": self.slot,
        })
        .to_string()
        .into_bytes()
        .into()
    }

    /// `None`: not written by this connector.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            snapshot_done: match text("snapshot")?.as_str() {
                "done" => true,
                "running" => false,
                _ => return None,
            },
            system_id: text("system_id")?,
            timeline: u32::try_from(value.get("timeline")?.as_u64()?).ok()?,
            slot: text("slot")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_survives_its_text() {
        for snapshot_done in [true, false] {
            let state =
                State { snapshot_done, system_id: "7".into(), timeline: 3, slot: "s".into() };
            assert_eq!(State::parse(&state.to_bytes()), Some(state));
        }
        for other in [&b""[..], b"{}", b"{\"snapshot\":\"maybe\"}"] {
            assert_eq!(State::parse(other), None);
        }
    }
}
