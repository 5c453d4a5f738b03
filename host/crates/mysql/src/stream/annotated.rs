//! Statements of MariaDB's. Its server sends a replica the text of a statement only where the
//! request for the log says so, which the client library's cannot: the event is left out, and what
//! is seen of it is a gap before the table maps of its rows. The server is asked for what stands
//! there.

use wasmgate_model::{Fault, Retry};

use super::{Raw, Stream};
use crate::connect::{literal, text};
use crate::event::kind;
use crate::state::Place;

impl Stream {
    /// Whether texts are asked for: where the log was read to is needed then.
    pub(super) fn place_before(&self) -> Option<Place> {
        (self.naming.maria && self.settings.include_query).then(|| self.place.clone())
    }

    /// Takes the statement in the gap between two events, where there is one.
    pub(super) async fn fill_gap(
        &mut self,
        before: Option<Place>,
        raw: &Raw<'_>,
        start: &Place,
    ) -> Result<(), Fault> {
        let Some(before) = before.filter(|before| {
            raw.kind == kind::TABLE_MAP
                && before.file == start.file
                && before.offset < start.offset
                && self.transaction.as_ref().is_some_and(|t| !t.seen && !t.foreign)
        }) else {
            return Ok(());
        };
        let Some(statement) = self.statement_at(&before).await? else { return Ok(()) };
        let raw = Raw { kind: kind::MARIA_ANNOTATE, body: statement.as_bytes(), ..*raw };
        if !self.keep(&raw, &before) {
            self.annotate(&raw);
        }
        Ok(())
    }

    /// The statement whose text stands at a place; `None`: something else does.
    async fn statement_at(&mut self, place: &Place) -> Result<Option<String>, Fault> {
        let doing = "cannot read a statement of the log";
        let sql =
            format!("SHOW BINLOG EVENTS IN {} FROM {} LIMIT 1", literal(&place.file), place.offset);
        let row = match self.session().await?.first(doing, &sql).await {
            Ok(row) => row.unwrap_or_default(),
            Err(fault) if fault.retry() == Retry::Timed => return Err(fault),
            // The file is purged by now: the rows go on without their statement.
            Err(fault) => {
                let file = &place.file;
                tracing::warn!(file, error = fault.chain(), "a statement is not told");
                return Ok(None);
            }
        };
        // Log_name, Pos, Event_type, Server_id, End_log_pos, Info
        Ok((text(&row, 2) == "Annotate_rows").then(|| text(&row, 5).to_owned()))
    }
}
