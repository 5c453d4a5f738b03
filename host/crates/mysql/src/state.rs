//! What is stored with a position: where the log is read on, and in which log. JSON, so that
//! people can read a checkpoint.
//!
//! Positions are numbers of ours, because neither files nor transaction sets are ordered over a
//! fail-over: (number of the transaction, number of the record in it), or (number of the next
//! transaction, 0) between two. The first number is the time of the first start in microseconds,
//! so that a start without checkpoint never falls back behind what sinks have seen.
//! Records between two transactions (rows that are read beside the stream, notifications) take the
//! numbers before that of the next one's begin.
//! A position inside a transaction goes with the state before it: the server sends it again, and
//! its first records are left out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::gtid::GtidSet;
use crate::quarantine::Held;

/// A place in the server's log files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "(String, u64)", into = "(String, u64)")]
pub(crate) struct Place {
    pub file: String,
    pub offset: u64,
}

impl From<(String, u64)> for Place {
    fn from((file, offset): (String, u64)) -> Self {
        Self { file, offset }
    }
}

impl From<Place> for (String, u64) {
    fn from(Place { file, offset }: Place) -> Self {
        (file, offset)
    }
}

/// A prepared XA transaction whose end has not come: the log is read again from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreparedAt {
    pub xid: String,
    pub place: Place,
    /// What was executed before it.
    pub before: GtidSet,
}

/// The source's state at a position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    /// False: the snapshot was cut short and has to be taken again.
    pub snapshot_done: bool,
    /// `server_uuid`, for MariaDB the server id: files belong to it.
    pub server: String,
    /// Transactions before the position; prepared ones that are still open are not among MySQL's.
    pub executed: GtidSet,
    /// Where the next transaction, or the one that is half delivered, starts.
    pub place: Place,
    pub prepared: Vec<PreparedAt>,
    /// What is read beside the stream, or waits for it; `incremental` reads and writes it.
    pub work: Option<Value>,
    /// Tables that are held back.
    pub quarantine: Vec<Held>,
}

fn set_to_json(set: &GtidSet) -> Value {
    match set {
        GtidSet::MySql(_) => json!({ "mysql": set.to_string() }),
        GtidSet::MariaDb(_) => json!({ "mariadb": set.to_string() }),
        GtidSet::None => Value::Null,
    }
}

fn set_from_json(value: &Value) -> Option<GtidSet> {
    if value.is_null() {
        return Some(GtidSet::None);
    }
    let text = |name| value.get(name).and_then(Value::as_str);
    match (text("mysql"), text("mariadb")) {
        (Some(text), _) => GtidSet::mysql(text),
        (_, Some(text)) => GtidSet::mariadb(text),
        _ => None,
    }
}

fn place_from_json(value: &Value) -> Option<Place> {
    let file = value.get("file")?.as_str()?.to_owned();
    Some(Place { file, offset: value.get("pos")?.as_u64()? })
}

impl State {
    pub(crate) fn to_bytes(&self) -> Arc<[u8]> {
        let prepared: Vec<Value> = self
            .prepared
            .iter()
            .map(|p| {
                json!({ "xid": p.xid, "file": p.place.file, "pos": p.place.offset,
                        "before": set_to_json(&p.before) })
            })
            .collect();
        let snapshot = if self.snapshot_done { "done" } else { "running" };
        let mut text = Map::new();
        let mut put = |name: &str, value: Value| text.insert(name.to_owned(), value);
        put("snapshot", snapshot.into());
        put("server", self.server.as_str().into());
        put("gtids", set_to_json(&self.executed));
        put("file", self.place.file.as_str().into());
        put("pos", self.place.offset.into());
        put("prepared", prepared.into());
        if let Some(work) = &self.work {
            put("work", work.clone());
        }
        if !self.quarantine.is_empty() {
            put("quarantine", json!(self.quarantine));
        }
        Value::Object(text).to_string().into_bytes().into()
    }

    /// `None`: not written by this connector.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let prepared = value.get("prepared")?.as_array()?.iter().map(|p| {
            Some(PreparedAt {
                xid: p.get("xid")?.as_str()?.to_owned(),
                place: place_from_json(p)?,
                before: set_from_json(p.get("before")?)?,
            })
        });
        Some(Self {
            snapshot_done: match value.get("snapshot")?.as_str()? {
                "done" => true,
                "running" => false,
                _ => return None,
            },
            server: value.get("server")?.as_str()?.to_owned(),
            executed: set_from_json(value.get("gtids")?)?,
            place: place_from_json(&value)?,
            prepared: prepared.collect::<Option<_>>()?,
            work: value.get("work").cloned(),
            quarantine: match value.get("quarantine") {
                None => Vec::new(),
                Some(held) => serde_json::from_value(held.clone()).ok()?,
            },
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use wasmgate_model::Position;

    use super::*;

    #[test]
    fn state_survives_its_text() {
        // Files of huge transactions are longer than 32 bits tell.
        let place = Place { file: "binlog.000003".into(), offset: (5 << 32) + 157 };
        for executed in [GtidSet::None, GtidSet::mariadb("0-1-5").unwrap()] {
            let name = ("d".to_owned(), "t".to_owned());
            let prepared = vec![PreparedAt {
                xid: "61,,1".into(),
                place: place.clone(),
                before: executed.clone(),
            }];
            let mut held = Held::new(&name, "why".into(), Position::new(9, 1));
            held.resume_at = Some(place.clone());
            let state = State {
                snapshot_done: true,
                server: "7".into(),
                executed,
                place: place.clone(),
                prepared,
                work: Some(json!({ "queue": [1] })),
                quarantine: vec![held],
            };
            assert_eq!(State::parse(&state.to_bytes()), Some(state));
        }
        for other in [&b""[..], b"{}", b"{\"snapshot\":\"maybe\"}"] {
            assert_eq!(State::parse(other), None);
        }
    }
}
