//! XA transactions that were prepared before reading began and are committed later. No snapshot
//! saw their rows, but the log has them where it reaches back to the `XA PREPARE`: they are looked
//! for there, file by file, the newest first.

use wasmgate_codec::mysqlvalue::RowsKind;
use wasmgate_model::{Fault, FaultKind};

use super::{Raw, Stream, behind};
use crate::connect::{Session, text};
use crate::dump::{Dump, raw};
use crate::event::{Begin, kind, rotate, xa_prepare, xid_of};
use crate::fault::protocol;
use crate::gtid::GtidSet;
use crate::state::Place;
use crate::transaction::{Kept, Prepared};

/// One file of the log, read for one XA transaction.
struct Search<'a> {
    name: &'a str,
    place: Place,
    /// The transaction that is being read: where it starts, and what it holds if it may be ours.
    open: Option<(Begin, Place, Option<Vec<Kept>>)>,
    /// Prepared, and not ended before the end of what was read.
    found: Option<Prepared>,
}

impl Stream {
    /// The rows of an XA transaction that was prepared before `until`.
    ///
    /// # Errors
    /// [`FaultKind::SourceLost`]: the log no longer has them.
    pub(super) async fn look_back(&mut self, name: &str, until: &Place) -> Result<Prepared, Fault> {
        tracing::info!(
            xid = name,
            "an XA transaction was prepared before reading began; its rows are looked for in the \
             server's log"
        );
        let files = files(self.session().await?).await?;
        let last = files.iter().position(|file| *file == until.file);
        for file in files.iter().take(last.map_or(0, |last| last + 1)).rev() {
            let place = Place { file: file.clone(), offset: 4 };
            let search = Search { name, place, open: None, found: None };
            if let Some(found) = self.search(search, until).await? {
                return Ok(found);
            }
        }
        Err(Fault::new(
            FaultKind::SourceLost,
            format!(
                "binlog-lost: the XA transaction {name} was prepared before reading began and is \
                 committed now, and the server has purged the part of its log with its rows, so \
                 they and their tables are not known; read the tables again (`snapshot: always` \
                 for one start), and end open XA transactions (XA RECOVER lists them) before a \
                 pipeline starts"
            ),
        ))
    }

    async fn search(
        &self,
        mut search: Search<'_>,
        until: &Place,
    ) -> Result<Option<Prepared>, Fault> {
        let file = search.place.file.clone();
        let mut dump = Dump::file(&self.connector, &file, self.naming.maria).await?;
        while let Some(event) = dump.next_or_end().await? {
            let raw = raw(&event);
            if raw.kind == kind::ROTATE {
                let (_, next) =
                    rotate(raw.body).ok_or_else(|| protocol("cannot read a rotation"))?;
                if next != file {
                    break;
                }
                continue;
            }
            if search.place >= *until && search.place.file == until.file {
                break;
            }
            search.event(&raw)?;
        }
        Ok(search.found)
    }
}

impl Search<'_> {
    fn event(&mut self, raw: &Raw<'_>) -> Result<(), Fault> {
        let start = behind(&mut self.place, raw);
        match raw.kind {
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIA_GTID => {
                let begin = super::begin_of(raw);
                let begin =
                    begin.ok_or_else(|| protocol("cannot read the begin of a transaction"))?;
                let kept = begin.prepares.then(Vec::new);
                self.open = Some((begin, start, kept));
            }
            kind::QUERY | kind::MARIA_QUERY_COMPRESSED => self.statement(raw)?,
            kind::XA_PREPARE => self.prepared(raw)?,
            kind::TABLE_MAP | kind::ROWS_QUERY | kind::MARIA_ANNOTATE => self.keep(raw, start),
            other if RowsKind::of(other).is_some() => self.keep(raw, start),
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, raw: &Raw<'_>, start: Place) {
        if let Some((_, _, Some(kept))) = &mut self.open {
            kept.push(Kept::of(raw, start));
        }
    }

    fn statement(&mut self, raw: &Raw<'_>) -> Result<(), Fault> {
        let query = crate::event::query(raw.body, raw.kind == kind::MARIA_QUERY_COMPRESSED);
        let query = query.ok_or_else(|| protocol("cannot read a statement of the log"))?;
        let mut words = query.sql.split_whitespace().map(str::to_ascii_uppercase);
        if words.next().as_deref() != Some("XA") {
            return Ok(());
        }
        let word = words.next().unwrap_or_default();
        if xid_of(super::statement::words_after(&query.sql, 2)).as_deref() != Some(self.name) {
            return Ok(());
        }
        match word.as_str() {
            "START" | "BEGIN" => {
                if let Some((_, _, kept)) = &mut self.open {
                    kept.get_or_insert_with(Vec::new);
                }
            }
            // An earlier transaction of the same name.
            "COMMIT" | "ROLLBACK" => self.found = None,
            _ => {}
        }
        Ok(())
    }

    fn prepared(&mut self, raw: &Raw<'_>) -> Result<(), Fault> {
        let (one_phase, name) =
            xa_prepare(raw.body).ok_or_else(|| protocol("cannot read a prepared transaction"))?;
        let Some((begin, place, events)) = self.open.take() else { return Ok(()) };
        if !one_phase && name == self.name {
            let events = events.unwrap_or_default();
            self.found = Some(Prepared { gtid: begin.gtid, place, before: GtidSet::None, events });
        }
        Ok(())
    }
}

/// The files of the log, the oldest first.
async fn files(session: &mut Session) -> Result<Vec<String>, Fault> {
    let doing = "cannot read the names of the log's files";
    let rows = session.query(doing, "SHOW BINARY LOGS").await?;
    Ok(rows.iter().map(|row| text(row, 0).to_owned()).collect())
}
