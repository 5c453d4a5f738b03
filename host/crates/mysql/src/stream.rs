//! The log's events to records: transactions, table maps, changes, statements, and where in the
//! log we are. What a position is, stands in `state`.
//!
//! A record's number in its transaction is (number of the rows event, number of the record in it):
//! it does not depend on options or on which tables are captured, so that a restart with other
//! options leaves out what was settled and nothing else.

mod annotated;
mod changes;
mod held;
mod lookback;
mod mapping;
mod statement;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use wasmgate_codec::mysqlvalue::RowsKind;
use wasmgate_model::{Fault, Position, Schema};

pub(crate) use self::mapping::compressed;
use crate::assemble::{Assembler, BEGIN_AT};
use crate::catalog::TableName;
use crate::connect::{Connector, Session};
use crate::documents::{boundary_schemas, described};
use crate::dump::asked;
use crate::event::{Begin, kind, rotate};
use crate::fault::{protocol, refused};
use crate::gtid::{Gtid, GtidSet};
use crate::history::History;
use crate::incremental::Watch;
use crate::schema_topic::SchemaTopic;
use crate::settings::Settings;
use crate::state::{Place, PreparedAt, State};
use crate::table::{Naming, Table};
use crate::transaction::{Kept, Transaction, Waiting};

/// One event as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub kind: u8,
    pub server_id: u32,
    /// Seconds since 1970.
    pub timestamp: u32,
    pub size: u32,
    /// Where the next event starts; 0 inside a payload.
    pub end: u32,
    pub body: &'a [u8],
}

/// A table map's answer.
struct Mapped {
    body: Vec<u8>,
    /// `None`: not one of our tables.
    table: Option<Known>,
}

/// One of our tables.
enum Known {
    Table(Arc<Table>),
    /// It is held back, because what its rows mean is not known.
    Unknown(TableName),
}

/// The decoder's memory.
pub(crate) struct Stream {
    pub settings: Arc<Settings>,
    pub naming: Naming,
    pub history: History,
    connector: Connector,
    session: Option<Session>,
    /// By the log's number of the table.
    mapped: HashMap<u64, Mapped>,
    /// The last version by name.
    tables: HashMap<TableName, Arc<Table>>,
    /// Tables that a statement changed in a way that only the server can tell.
    pub unclear: Vec<TableName>,
    server: String,
    /// Where reading goes on.
    resume: Position,
    /// Transactions that were read already, where the log is read from further back.
    seen: Option<(GtidSet, Place)>,
    known_prepared: Vec<PreparedAt>,
    pub next_major: u64,
    pub executed: GtidSet,
    pub place: Place,
    pub transaction: Option<Transaction>,
    pub waiting: Waiting,
    /// The topic of transactions, where they are told.
    told: Option<Arc<Schema>>,
    /// The topic of changes of schemas.
    schema_topic: Option<SchemaTopic>,
    /// Number of the last row in its event: Debezium tells it with the next statement.
    last_row: u32,
    /// Time of the last commit read, microseconds since 1970.
    pub last_commit_us: Option<i64>,
    pub truncates_skipped: u64,
    /// What else looks at the changes.
    pub watch: Watch,
    /// What is read beside the stream, as the checkpoint keeps it.
    pub work: Option<Value>,
    /// The log was sent up to here, whether or not there was anything in it for us.
    sent: Place,
}

impl Stream {
    pub(crate) fn new(
        (connector, session): (Connector, Session),
        naming: Naming,
        history: History,
        at: Position,
        state: State,
    ) -> Self {
        let open = !state.prepared.is_empty();
        let again = match &state.executed {
            GtidSet::MySql(_) => false,
            GtidSet::MariaDb(_) => open,
            GtidSet::None => open || asked(&state.place) != state.place.offset,
        };
        let seen = again.then(|| (state.executed.clone(), state.place.clone()));
        let topic = format!("{}.transaction", naming.settings.topic_prefix);
        let topic = || described(&topic, boundary_schemas());
        let told = naming.settings.transaction_metadata.then(topic);
        let signal_table = naming.settings.signal_table();
        let schema_topic = SchemaTopic::new(&naming.settings, naming.maria);
        Self {
            settings: Arc::clone(&naming.settings),
            naming,
            history,
            connector,
            session: Some(session),
            mapped: HashMap::new(),
            tables: HashMap::new(),
            unclear: Vec::new(),
            server: state.server,
            resume: at,
            seen,
            known_prepared: state.prepared,
            next_major: at.major,
            executed: state.executed,
            place: state.place.clone(),
            transaction: None,
            waiting: Waiting::new(),
            told,
            schema_topic,
            last_row: 0,
            last_commit_us: None,
            truncates_skipped: 0,
            watch: Watch::new(signal_table),
            work: state.work,
            sent: state.place.clone(),
        }
    }

    /// What goes with the end of what was read.
    pub(crate) fn state(&self, out: &Assembler) -> Arc<[u8]> {
        let mut place = match &self.transaction {
            Some(transaction) => &transaction.place,
            None => &self.place,
        };
        let now = self.waiting.iter().map(|(xid, p)| PreparedAt {
            xid: xid.clone(),
            place: p.place.clone(),
            before: p.before.clone(),
        });
        let mut prepared: Vec<PreparedAt> = now.collect();
        // Where the log is read again it is at an earlier place, whose changes are told already.
        if let Some((_, until)) = self.seen.as_ref().filter(|(_, until)| until >= place) {
            place = until;
            prepared.clone_from(&self.known_prepared);
        }
        State {
            snapshot_done: true,
            server: self.server.clone(),
            executed: self.executed.clone(),
            place: place.clone(),
            prepared,
            work: self.work.clone(),
            quarantine: out.held().to_vec(),
        }
        .to_bytes()
    }

    /// How far the server has sent its log.
    pub(crate) fn read_to(&self) -> &Place {
        (&self.place).max(&self.sent)
    }

    /// Gives the next number of a transaction up: there is no room for more records before it.
    pub(crate) fn skip_number(&mut self, out: &mut Assembler) {
        self.next_major += 1;
        out.reached(Position::new(self.next_major, 0));
    }

    /// A heartbeat tells how far the log was sent: its body names the file.
    fn heartbeat(&mut self, raw: &Raw<'_>) {
        if raw.kind != kind::HEARTBEAT || raw.end == 0 {
            return;
        }
        let Ok(file) = std::str::from_utf8(raw.body) else { return };
        let file = file.trim_end_matches('\0').to_owned();
        // The field has 32 bits.
        let high = if file == self.place.file { self.place.offset & !0xffff_ffff } else { 0 };
        let sent = Place { file, offset: high | u64::from(raw.end) };
        if sent > self.sent {
            self.sent = sent;
        }
    }

    /// Whether a transaction is half read.
    pub(crate) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// The next place between two transactions, for records that are of none; `None` inside of
    /// one, and where one is read again.
    pub(crate) fn between(&self, out: &Assembler) -> Option<Position> {
        let next = Position::new(self.next_major, 0).max(out.place());
        let free = self.transaction.is_none() && next.minor + 1 < BEGIN_AT;
        free.then(|| Position::new(next.major, next.minor + 1))
    }

    /// A connection for questions; opened again when it broke.
    pub(crate) async fn session(&mut self) -> Result<&mut Session, Fault> {
        let alive = match &mut self.session {
            Some(session) => session.run("cannot ask the server", "DO 0").await.is_ok(),
            None => false,
        };
        if !alive {
            self.session = Some(self.connector.connect().await?);
        }
        self.session.as_mut().ok_or_else(|| protocol("no connection"))
    }

    /// Takes one event.
    pub(crate) async fn event(&mut self, raw: Raw<'_>, out: &mut Assembler) -> Result<(), Fault> {
        let before = self.place_before();
        let start = self.advance(&raw)?;
        if before.is_some() {
            self.fill_gap(before, &raw, &start).await?;
        }
        if self.keep(&raw, &start) {
            return Ok(());
        }
        self.dispatch(raw, start, out).await
    }

    /// Moves our place behind the event; answers where it starts.
    fn advance(&mut self, raw: &Raw<'_>) -> Result<Place, Fault> {
        let mut start = self.place.clone();
        self.heartbeat(raw);
        let inside = match &mut self.transaction {
            Some(Transaction { payload: Some(left), .. }) => {
                *left = left.checked_sub(raw.size.into()).ok_or_else(broken_payload)?;
                true
            }
            _ => false,
        };
        if !inside {
            start = behind(&mut self.place, raw);
        }
        Ok(start)
    }

    async fn dispatch(
        &mut self,
        raw: Raw<'_>,
        start: Place,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        match raw.kind {
            kind::TABLE_MAP => self.table_map(raw.body, out).await,
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED => {
                self.begin(begin_of(&raw), &raw, start)
            }
            kind::MARIA_GTID => {
                self.begin(begin_of(&raw), &raw, start)?;
                let begun = self.transaction.as_ref().is_some_and(|t| t.begun && t.kept.is_none());
                if begun { self.tell_begin(out) } else { Ok(()) }
            }
            kind::QUERY | kind::MARIA_QUERY_COMPRESSED => {
                let compressed = raw.kind == kind::MARIA_QUERY_COMPRESSED;
                let query = crate::event::query(raw.body, compressed);
                let query = query.ok_or_else(|| protocol("cannot read a statement of the log"))?;
                self.statement(query, &raw, &start, out).await
            }
            kind::XID => self.commit(out),
            kind::XA_PREPARE => self.prepare(raw.body, out).await,
            kind::PAYLOAD => {
                let size = crate::event::payload_size(raw.body);
                if let Some(transaction) = &mut self.transaction {
                    transaction.payload = Some(size.ok_or_else(broken_payload)?);
                }
                Ok(())
            }
            kind::ROTATE => {
                let (offset, file) =
                    rotate(raw.body).ok_or_else(|| protocol("cannot read a rotation"))?;
                self.place = Place { file, offset };
                Ok(())
            }
            // A server that started anew numbers its tables anew.
            kind::FORMAT => {
                self.mapped.clear();
                Ok(())
            }
            kind::ROWS_QUERY | kind::MARIA_ANNOTATE => {
                self.annotate(&raw);
                Ok(())
            }
            kind::BEGIN_LOAD | kind::EXECUTE_LOAD => Err(statement_format("LOAD DATA")),
            kind::INCIDENT => Err(refused(
                "the server logged an incident: changes are missing in its log; read the tables \
                 again (`snapshot: always` for one start)",
            )),
            kind::MARIA_START_ENCRYPTION => Ok(()),
            other => match RowsKind::of(other) {
                Some((rows, v2)) => self.rows(rows, v2, &raw, &start, out),
                None => Ok(()),
            },
        }
    }

    /// The text of the statement whose rows follow.
    fn annotate(&mut self, raw: &Raw<'_>) {
        if !self.settings.include_query {
            return;
        }
        // MySQL has a length of one byte before it, which long statements overflow.
        let skip = usize::from(raw.kind == kind::ROWS_QUERY);
        let text = raw.body.get(skip..).unwrap_or(&[]);
        if let Some(transaction) = &mut self.transaction {
            transaction.query = Some(String::from_utf8_lossy(text).into());
        }
    }

    pub(crate) fn begin(
        &mut self,
        begin: Option<Begin>,
        raw: &Raw<'_>,
        place: Place,
    ) -> Result<(), Fault> {
        let begin = begin.ok_or_else(|| protocol("cannot read the begin of a transaction"))?;
        if self.transaction.is_some() {
            return Err(protocol("a transaction in the log did not end"));
        }
        let seen = match (&self.seen, &begin.gtid) {
            (None, _) => false,
            (Some((_, until)), Gtid::Anonymous) => place < *until,
            (Some((executed, _)), gtid) => executed.contains(gtid),
        };
        if !seen {
            self.seen = None;
        }
        let major = self.next_major;
        let settled = match major.cmp(&self.resume.major) {
            std::cmp::Ordering::Equal => self.resume.minor,
            _ => 0,
        };
        let named = begin.gtid != Gtid::Anonymous;
        let sources = &self.settings.gtid_sources;
        let foreign = !sources.is_empty()
            && begin.gtid.source().is_some_and(|source| !sources.wants(&source));
        self.transaction = Some(Transaction {
            major,
            gtid_text: named.then(|| begin.gtid.to_string().into()),
            gtid: begin.gtid,
            time_us: begin.commit_us.unwrap_or(i64::from(raw.timestamp) * 1_000_000),
            place,
            thread: None,
            begun: begin.is_begin,
            told: false,
            query: None,
            event: 0,
            settled,
            foreign,
            seen,
            payload: None,
            kept: begin.prepares.then(Vec::new),
            counts: Vec::new(),
            total: 0,
        });
        Ok(())
    }

    pub(crate) fn commit(&mut self, out: &mut Assembler) -> Result<(), Fault> {
        if self.transaction.as_ref().and_then(|t| t.payload).is_some_and(|left| left > 0) {
            return Err(broken_payload());
        }
        self.tell_end(out)?;
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        if transaction.seen {
            return Ok(());
        }
        self.executed.add(&transaction.gtid);
        self.next_major += 1;
        self.last_commit_us = Some(transaction.time_us);
        out.reached(Position::new(self.next_major, 0));
        Ok(())
    }

    /// Keeps the events of an XA transaction until its end is known. True: it was kept.
    fn keep(&mut self, raw: &Raw<'_>, start: &Place) -> bool {
        let rows = RowsKind::of(raw.kind).is_some();
        let kept =
            rows || matches!(raw.kind, kind::TABLE_MAP | kind::ROWS_QUERY | kind::MARIA_ANNOTATE);
        let Some(events) = self.transaction.as_mut().and_then(|t| t.kept.as_mut()) else {
            return false;
        };
        if kept {
            events.push(Kept::of(raw, start.clone()));
        }
        kept
    }

    /// The names of prepared transactions at the checkpoint.
    pub(crate) fn was_prepared(&self, xid: &str) -> bool {
        self.known_prepared.iter().any(|known| known.xid == xid)
    }

    /// Takes the kept events of a transaction as if they came now.
    pub(crate) async fn replay(
        &mut self,
        events: Vec<Kept>,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        for kept in events {
            let raw = Raw {
                kind: kept.kind,
                server_id: kept.server_id,
                timestamp: kept.timestamp,
                size: 0,
                end: 0,
                body: &kept.body,
            };
            Box::pin(self.dispatch(raw, kept.place, out)).await?;
        }
        Ok(())
    }
}

/// Moves a place behind an event; answers where the event starts. What is no part of the file, and
/// events inside a payload, move nothing.
fn behind(place: &mut Place, raw: &Raw<'_>) -> Place {
    let mut start = place.clone();
    let counts = !matches!(raw.kind, kind::ROTATE | kind::HEARTBEAT | kind::HEARTBEAT_V2);
    if counts && raw.end > 0 {
        // The field has 32 bits; files of huge transactions are larger.
        let high = place.offset & !0xffff_ffff;
        let mut end = high | u64::from(raw.end);
        if end < place.offset && place.offset - end > 1 << 31 {
            end += 1 << 32;
        }
        start.offset = end.saturating_sub(raw.size.into());
        place.offset = end;
    }
    start
}

/// The first event of a transaction, whichever server's.
fn begin_of(raw: &Raw<'_>) -> Option<Begin> {
    match raw.kind {
        kind::GTID_TAGGED => crate::event::tagged_gtid(raw.body),
        kind::MARIA_GTID => crate::event::maria_gtid(raw.body, raw.server_id),
        other => crate::event::gtid(raw.body, other == kind::ANONYMOUS_GTID),
    }
}

fn broken_payload() -> Fault {
    protocol("a compressed transaction of the log cannot be unpacked")
}

/// What statement-format changes are answered with.
pub(crate) fn statement_format(what: &str) -> Fault {
    refused(format!(
        "the log holds a change as a statement ({what}), not as rows, so its rows are not known; \
         run: SET GLOBAL binlog_format = 'ROW', and read the tables again (`snapshot: always` for \
         one start)"
    ))
}
