//! The stream's messages to rows: transactions, relations, changes, and where in the log we are.
//!
//! Positions: (commit LSN, number of the record in its transaction) inside a transaction, (end of
//! the transaction, 0) after it. A change takes as many numbers as it can become records (insert
//! 1, update 3, delete 2, truncate one per table), whatever the options: so numbers mean the same
//! after a restart with other options. The server sends transactions again whose commit is at or
//! after the place we confirm, so confirming `major` is always safe.

use std::collections::HashMap;
use std::sync::Arc;

use wasmgate_codec::json::write_int;
use wasmgate_codec::pgoutput::{
    DecodeError, Message, OldKind, Relation, Tuple, decode, decode_control, decode_streamed,
};
use wasmgate_model::{Fault, FaultKind, Op, Position};

use crate::assemble::Assembler;
use crate::catalog::{Catalog, Published, TableName};
use crate::incremental::{Touched, Watch, marks};
use crate::replication::number;
use crate::rows::{Origin, is_unchanged, push_delete, push_new, push_truncate, push_updated};
use crate::settings::Settings;
use crate::streaming::Origins;
use crate::table::{Naming, Table, described};
use crate::transactions::{Decided, Kept, Step, Transactions};

/// XLogData: letter, start, end, clock.
const XLOG_HEADER: usize = 25;

/// A transaction that is being read.
struct Transaction {
    commit_lsn: u64,
    commit_us: i64,
    xid: i64,
    /// The replication origin that it came by: name, place there.
    origin: Option<(String, u64)>,
    /// Number of the last record.
    minor: u64,
    /// Records up to this number were settled before a restart.
    settled: u64,
}

/// The decoder's memory: tables by relation, the open transaction.
pub(crate) struct Stream {
    settings: Arc<Settings>,
    naming: Naming,
    catalog: Catalog,
    tables: HashMap<u32, Known>,
    /// Tables as a transaction describes them that was sent before it was decided; while it is
    /// replayed they go first.
    replayed: Option<HashMap<u32, Known>>,
    transactions: Transactions,
    /// Messages received, to tell what was described last.
    received: u64,
    /// Ours, where the settings name them.
    wanted: Option<Vec<TableName>>,
    /// Where reading goes on.
    resume: Position,
    transaction: Option<Transaction>,
    /// End of the last whole transaction, as JSON.
    last_commit: Vec<u8>,
    sequence: Vec<u8>,
    /// Time of the last commit read, microseconds since 1970.
    pub last_commit_us: Option<i64>,
    truncates_skipped: u64,
    /// What else looks at the changes.
    pub watch: Watch,
}

/// A relation as it was described.
#[derive(Clone)]
struct Known {
    /// `None`: not one of our tables.
    table: Option<Table>,
    /// Number of the message that described it.
    number: u64,
}

/// A message and where it stands.
struct Placed<'a> {
    message: Message<'a>,
    lsn: u64,
    /// Among the messages of the connection.
    number: u64,
    bytes: usize,
}

/// What a change does.
enum Change<'a> {
    Insert(Tuple<'a>),
    Update(Option<(OldKind, Tuple<'a>)>, Tuple<'a>),
    Delete(OldKind, Tuple<'a>),
    Truncate,
}

impl Change<'_> {
    fn op(&self) -> Op {
        match self {
            Self::Insert(_) => Op::Create,
            Self::Update(..) => Op::Update,
            Self::Delete(..) => Op::Delete,
            Self::Truncate => Op::Truncate,
        }
    }

    /// Numbers it takes.
    fn numbers(&self) -> u64 {
        match self {
            Self::Insert(_) | Self::Truncate => 1,
            Self::Update(..) => 3,
            Self::Delete(..) => 2,
        }
    }

    /// Its images.
    fn touched(&self) -> Touched<'_> {
        match *self {
            Self::Insert(new) => Touched { old: None, new: Some(new) },
            Self::Update(old, new) => Touched { old: old.map(|(_, old)| old), new: Some(new) },
            Self::Delete(_, old) => Touched { old: Some(old), new: None },
            Self::Truncate => Touched { old: None, new: None },
        }
    }
}

impl Stream {
    pub(crate) fn new(
        settings: Arc<Settings>,
        naming: Naming,
        catalog: Catalog,
        wanted: Option<Vec<TableName>>,
        resume: Position,
        transactions: Transactions,
    ) -> Self {
        Self {
            settings,
            naming,
            catalog,
            tables: HashMap::new(),
            replayed: None,
            transactions,
            received: 0,
            wanted,
            resume,
            transaction: None,
            last_commit: b"null".to_vec(),
            sequence: Vec::new(),
            last_commit_us: None,
            truncates_skipped: 0,
            watch: Watch::default(),
        }
    }

    /// The connection for questions.
    pub(crate) fn catalog(&mut self) -> &mut Catalog {
        &mut self.catalog
    }

    /// The commit of the last whole transaction, as JSON.
    pub(crate) fn last_commit(&self) -> &[u8] {
        &self.last_commit
    }

    /// Whether a transaction is half read.
    pub(crate) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Takes the body of one CopyData message. `Some`: it decided a transaction that was sent
    /// before; [`Stream::begin_decided`] comes next.
    pub(crate) async fn message(
        &mut self,
        body: &[u8],
        out: &mut Assembler,
    ) -> Result<Option<Box<Decided>>, Fault> {
        match body.first() {
            Some(b'w') => {}
            Some(b'k') => {
                // Everything before it was sent: what we were not sent is not for us.
                if self.transaction.is_none() {
                    self.transactions.reached(number(body, 1));
                    out.reached(Position::new(number(body, 1), 0));
                }
                return Ok(None);
            }
            _ => return Err(protocol("an unknown message in the stream")),
        }
        let lsn = number(body, 1);
        let payload = body.get(XLOG_HEADER..).unwrap_or(&[]);
        self.received += 1;
        if let Some(control) = decode_control(payload).map_err(unreadable)? {
            return Ok(match self.transactions.control(control)? {
                Step::Taken => None,
                Step::Decided(decided) => Some(decided),
            });
        }
        if self.transactions.is_receiving() {
            self.transactions.keep(lsn, self.received, payload)?;
            // The server takes what it described in a prepared transaction for known at once, what
            // it described in a streamed one only when that commits.
            if !self.transactions.is_streamed()
                && let Message::Relation(relation) = decode(payload).map_err(unreadable)?
            {
                self.relation(&relation, self.received).await?;
            }
            return Ok(None);
        }
        let message = decode(payload).map_err(unreadable)?;
        let (number, bytes) = (self.received, body.len());
        self.apply(Placed { message, lsn, number, bytes }, out).await?;
        Ok(None)
    }

    /// Starts to replay a transaction that was sent before it was decided.
    pub(crate) fn begin_decided(&mut self, decided: &Decided, out: &Assembler) {
        let Decided { commit_lsn, commit_us, xid, .. } = *decided;
        self.replayed = Some(HashMap::new());
        self.begin(commit_lsn, commit_us, xid, out.numbered(commit_lsn));
    }

    /// Takes its next change.
    pub(crate) async fn replay(
        &mut self,
        kept: Kept<'_>,
        streamed: bool,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let Kept { lsn, number, payload } = kept;
        let message = if streamed { decode_streamed(payload) } else { decode(payload) };
        let message = message.map_err(unreadable)?;
        let bytes = payload.len() + XLOG_HEADER;
        self.apply(Placed { message, lsn, number, bytes }, out).await
    }

    /// Ends it. What it described is in force from now on, unless the table was described again
    /// while the transaction ran.
    pub(crate) fn end_decided(&mut self, end_lsn: u64, out: &mut Assembler) {
        for (relation, known) in self.replayed.take().into_iter().flatten() {
            let newer = self.tables.get(&relation).is_some_and(|k| k.number > known.number);
            if !newer {
                self.tables.insert(relation, known);
            }
        }
        self.commit(end_lsn, out);
    }

    async fn apply(&mut self, placed: Placed<'_>, out: &mut Assembler) -> Result<(), Fault> {
        let Placed { message, lsn, number, bytes } = placed;
        match message {
            Message::Begin { final_lsn, commit_us, xid } => {
                self.begin(final_lsn, commit_us, xid, out.numbered(final_lsn));
            }
            Message::Commit { end_lsn, .. } => self.commit(end_lsn, out),
            Message::Relation(relation) => self.relation(&relation, number).await?,
            Message::Insert { relation, new } => {
                self.change(relation, &Change::Insert(new), lsn, bytes, out)?;
            }
            Message::Update { relation, old, new } => {
                self.change(relation, &Change::Update(old, new), lsn, bytes, out)?;
            }
            Message::Delete { relation, kind, old } => {
                self.change(relation, &Change::Delete(kind, old), lsn, bytes, out)?;
            }
            Message::Truncate { relations, .. } => {
                for relation in relations {
                    self.change(relation, &Change::Truncate, lsn, bytes, out)?;
                }
            }
            Message::Origin { lsn, name } => {
                let leave_out = self.settings.stream.origins == Origins::None;
                if let Some(transaction) = &mut self.transaction {
                    transaction.origin = Some((name.to_owned(), lsn));
                    if leave_out {
                        // Its changes are numbered and not delivered.
                        transaction.settled = u64::MAX;
                    }
                }
            }
            Message::Logical { prefix, .. } => {
                // Marks of chunks are ours.
                if prefix != marks::PREFIX && self.settings.stream.messages.wants(prefix) {
                    tracing::trace!("a logical message");
                }
            }
            Message::Type { .. } => {}
        }
        Ok(())
    }

    /// `minor`: number of the last record before its first.
    fn begin(&mut self, commit_lsn: u64, commit_us: i64, xid: u32, minor: u64) {
        let settled = match commit_lsn.cmp(&self.resume.major) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => self.resume.minor,
            std::cmp::Ordering::Greater => 0,
        };
        self.watch.begin(xid);
        let xid = i64::from(xid);
        let origin = None;
        self.transaction = Some(Transaction { commit_lsn, commit_us, xid, origin, minor, settled });
    }

    fn commit(&mut self, end_lsn: u64, out: &mut Assembler) {
        let Some(transaction) = self.transaction.take() else { return };
        self.last_commit.clear();
        self.last_commit.push(b'"');
        write_int(transaction.commit_lsn as i64, &mut self.last_commit);
        self.last_commit.push(b'"');
        self.last_commit_us = Some(transaction.commit_us);
        self.transactions.reached(end_lsn);
        out.reached(Position::new(end_lsn, 0));
    }

    /// A table is new or was altered.
    async fn relation(&mut self, relation: &Relation<'_>, number: u64) -> Result<(), Fault> {
        let schema = match relation.namespace {
            "" => "pg_catalog",
            name => name,
        };
        let name = TableName { schema: schema.into(), table: relation.name.into() };
        let named = self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&name));
        if !named || !self.settings.filters.wants(&name) {
            self.describe(relation.id, Known { table: None, number });
            return Ok(());
        }
        if let Some(transaction) = &self.transaction {
            self.catalog.wait_visible(transaction.xid).await?;
        }
        let types: Vec<u32> = relation.columns.iter().map(|c| c.type_oid).collect();
        let info = self.catalog.table(relation.id, &types).await?;
        let before = known(&self.replayed, &self.tables, relation.id);
        let before = before.and_then(|k| k.table.as_ref()).filter(|t| t.name == name);
        let table = self.naming.table(name, &described(relation), &info, before);
        self.describe(relation.id, Known { table: Some(table), number });
        Ok(())
    }

    fn describe(&mut self, relation: u32, known: Known) {
        self.replayed.as_mut().unwrap_or(&mut self.tables).insert(relation, known);
    }

    fn change(
        &mut self,
        relation: u32,
        change: &Change<'_>,
        lsn: u64,
        bytes: usize,
        out: &mut Assembler,
    ) -> Result<(), Fault> {
        let Some(transaction) = &mut self.transaction else {
            return Err(protocol("a change outside of a transaction"));
        };
        let at = Position::new(transaction.commit_lsn, transaction.minor + 1);
        transaction.minor += change.numbers();
        let end = Position::new(transaction.commit_lsn, transaction.minor);
        if at.minor <= transaction.settled {
            return Ok(());
        }
        let Some(Known { table, .. }) = known(&self.replayed, &self.tables, relation) else {
            let what = format!("a change of relation {relation}, which was not described");
            return Err(protocol(what));
        };
        let Some(table) = table else {
            out.reached(end);
            return Ok(());
        };
        self.watch.change(table, transaction.xid, &change.touched());
        if self.settings.shape.skipped.has(change.op()) {
            if matches!(change, Change::Truncate) {
                self.truncates_skipped += 1;
                let skipped = self.truncates_skipped;
                let why = "truncate not delivered: skipped operations name it";
                tracing::warn!(table = %table.name, skipped, "{why}");
            }
            out.reached(end);
            return Ok(());
        }
        if let Change::Update(Some((OldKind::Full, old)), new) = change
            && table.skip_unchanged
            && is_unchanged(table, *old, *new)
        {
            out.reached(end);
            return Ok(());
        }
        sequence(&self.last_commit, lsn, &mut self.sequence);
        let origin = Origin {
            time_us: transaction.commit_us,
            snapshot: "false",
            sequence: &self.sequence,
            transaction: transaction.xid,
            lsn,
            block: None,
            replicated: transaction.origin.as_ref().map(|(name, lsn)| (name.as_str(), *lsn)),
        };
        let tombstone = self.settings.tombstones_on_delete;
        let batch = out.batch(table)?;
        let before = batch.len();
        match *change {
            Change::Insert(new) => push_new(table, batch, Op::Create, at, &origin, new.iter()),
            Change::Update(old, new) => {
                push_updated(table, batch, at, &origin, old, new, tombstone);
            }
            Change::Delete(kind, old) => {
                push_delete(table, batch, at, &origin, (kind, old), tombstone);
            }
            Change::Truncate => push_truncate(table, batch, at, &origin),
        }
        let rows = batch.len() - before;
        out.appended(rows, bytes, end);
        Ok(())
    }
}

fn known<'t>(
    replayed: &'t Option<HashMap<u32, Known>>,
    tables: &'t HashMap<u32, Known>,
    relation: u32,
) -> Option<&'t Known> {
    let replayed = replayed.as_ref().and_then(|tables| tables.get(&relation));
    replayed.or_else(|| tables.get(&relation))
}

fn unreadable(error: DecodeError) -> Fault {
    protocol("cannot read a change").because(error)
}

/// `["last commit","lsn"]`, Debezium's order of changes.
pub(crate) fn sequence(last_commit: &[u8], lsn: u64, out: &mut Vec<u8>) {
    out.clear();
    out.push(b'[');
    out.extend_from_slice(last_commit);
    out.extend_from_slice(b",\"");
    write_int(lsn as i64, out);
    out.extend_from_slice(b"\"]");
}

fn protocol(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::SourceProtocol, what)
}

/// The tables that the settings name; `None`: all of the publication.
pub(crate) fn wanted(published: &[Published], settings: &Settings) -> Option<Vec<TableName>> {
    let named = !settings.tables.is_empty();
    named.then(|| published.iter().map(|p| p.name.clone()).collect())
}
