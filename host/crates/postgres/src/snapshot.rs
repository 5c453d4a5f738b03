//! Copies of whole tables at one point of the log: the snapshot before the stream, and the
//! blocking one that interrupts it.
//!
//! Every reader is a connection in the same exported snapshot, so all of them see one state of the
//! database, and the stream goes on exactly there. `plan` cuts the tables into pieces, `reader`
//! copies pieces into batches, `marks` gives the rows their markers, `copy` ties them together.
//! COPY's text is the same text that the stream carries, so both go through the same parser.
//!
//! Rows of the first snapshot stand at (consistent point - 1, row): before everything of the
//! stream.

pub(crate) mod copied;
mod copy;
pub(crate) mod lines;
mod marks;
pub(crate) mod options;
mod plan;
mod reader;

use postgres_protocol::escape::escape_literal;
use tokio::sync::mpsc;
use wasmgate_connector::SourceEvent;
use wasmgate_model::{Fault, FaultKind, Position};

pub(crate) use self::copy::Copy;
pub(crate) use self::plan::{Clauses, Planned, Planner};
use crate::assemble::Assembler;
use crate::session::Session;

/// What a reader is sent.
pub(crate) type Events = mpsc::Sender<Result<SourceEvent, Fault>>;

pub(crate) const DOING: &str = "cannot read the snapshot";

/// An exported snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    /// Its name for SET TRANSACTION SNAPSHOT.
    pub name: String,
    /// The stream goes on here.
    pub consistent_point: u64,
    /// A slot that only served to export; to be dropped.
    pub temporary_slot: Option<String>,
}

impl Export {
    /// Where the snapshot's rows stand.
    pub(crate) fn start(&self) -> Position {
        Position::new(self.consistent_point.saturating_sub(1), 0)
    }
}

/// Takes over an exported snapshot. Once every reader did, the connection that exported it is free.
pub(crate) async fn begin(session: &mut Session, name: &str) -> Result<(), Fault> {
    let name = escape_literal(name);
    let sql =
        format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {name}");
    session.query(DOING, &sql).await.map(|_| ())
}

/// Hands the open delivery over; waits while the consumer is slow.
pub(crate) async fn hand_over(out: &mut Assembler, events: &Events) -> Result<(), Fault> {
    out.seal().await?;
    let sent = events.send(Ok(SourceEvent::Delivery(out.take()))).await;
    sent.map_err(|_| Fault::new(FaultKind::Stopped, "the reader is gone"))
}
