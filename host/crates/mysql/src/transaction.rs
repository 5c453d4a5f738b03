//! A transaction that is being read, and XA transactions that wait for their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::TableName;
use crate::gtid::{Gtid, GtidSet};
use crate::state::Place;
use crate::stream::Raw;

/// A transaction that is being read.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// Number of the transaction; see `state`.
    pub major: u64,
    pub gtid: Gtid,
    /// Its text, for the source block.
    pub gtid_text: Option<Arc<str>>,
    pub time_us: i64,
    /// Where it starts.
    pub place: Place,
    pub thread: Option<u32>,
    /// It ends with its COMMIT; otherwise with its first statement.
    pub begun: bool,
    /// Its begin was told.
    pub told: bool,
    /// The statement of the next rows.
    pub query: Option<Arc<str>>,
    /// Number of the last rows event, or of what else becomes records.
    pub event: u64,
    /// Records up to this number were settled before a restart.
    pub settled: u64,
    /// Of a source that is not captured: none of its rows goes out.
    pub foreign: bool,
    /// Read before a restart already: its records are not for us.
    pub seen: bool,
    /// What is left of a compressed payload, in bytes.
    pub payload: Option<u64>,
    /// An XA transaction up to its PREPARE: its events are kept.
    pub kept: Option<Vec<Kept>>,
    /// Rows so far, by table in order of first row.
    pub counts: Vec<(TableName, u64)>,
    pub total: u64,
}

impl Transaction {
    /// Counts rows of a table; answers the places of the first of them.
    pub(crate) fn count(&mut self, name: &TableName, rows: u64) -> (u64, u64) {
        self.total += rows;
        let first = self.total - rows + 1;
        match self.counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => {
                *count += rows;
                (first, *count - rows + 1)
            }
            None => {
                self.counts.push((name.clone(), rows));
                (first, 1)
            }
        }
    }
}

/// An event of a prepared transaction.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub kind: u8,
    pub server_id: u32,
    pub timestamp: u32,
    pub place: Place,
    pub body: Vec<u8>,
}

impl Kept {
    pub(crate) fn of(raw: &Raw<'_>, place: Place) -> Self {
        Self {
            kind: raw.kind,
            server_id: raw.server_id,
            timestamp: raw.timestamp,
            place,
            body: raw.body.to_vec(),
        }
    }
}

/// A prepared transaction that waits for its COMMIT or ROLLBACK.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub gtid: Gtid,
    pub place: Place,
    /// What was executed before it.
    pub before: GtidSet,
    pub events: Vec<Kept>,
}

/// By the transaction's name.
pub(crate) type Waiting = BTreeMap<String, Prepared>;
