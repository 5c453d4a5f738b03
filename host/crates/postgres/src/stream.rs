//! The stream's messages to rows: transactions, relations, changes, and where in the log we are.
//!
//! Positions: (commit LSN, number of the record in its transaction) inside a transaction, (end of
//! the transaction, 0) after it. A change takes as many numbers as it can become records (insert
//! 1, update 3, delete 2, truncate one per table, logical message 1), and so do the beginning and
//! the end of a transaction, whatever the options: so numbers mean the same after a restart with
//! other options. The server sends transactions again whose commit is at or
//! after the place we confirm, so confirming `major` is always safe.

mod change;
mod held;
mod told;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use wasmgate_codec::json::write_int;
use wasmgate_codec::pgoutput::{
    DecodeError, Message, Relation, decode, decode_control, decode_streamed,
};
use wasmgate_model::{Fault, FaultKind, Position};

pub(crate) use self::change::Change;
pub(crate) use self::held::Letter;
use crate::assemble::Assembler;
use crate::catalog::{Catalog, Published, TableName};
use crate::changes::{self, SchemaChanges, Told};
use crate::documents::Documents;
use crate::incremental::Watch;
use crate::quarantine::record::Description;
use crate::replication::number;
use crate::settings::Settings;
use crate::streaming::Origins;
use crate::table::{Naming, Table, described};
use crate::transaction::Transaction;
use crate::transactions::{Decided, Kept, Step, Transactions};
use crate::wire_format;

/// XLogData: letter, start, end, clock.
const XLOG_HEADER: usize = 25;

/// The decoder's memory: tables by relation, the open transaction.
pub(crate) struct Stream {
    settings: Arc<Settings>,
    naming: Naming,
    catalog: Catalog,
    tables: HashMap<u32, Known>,
    /// Descriptions are remembered, for changes that are kept.
    pub remembers: bool,
    /// Values come in binary.
    pub binary: bool,
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
    documents: Documents,
    /// What else looks at the changes.
    pub watch: Watch,
    /// Changes of tables that the source stopped over.
    pub told: Told,
    /// The name of the last change in its transaction.
    id: Vec<u8>,
}

/// A relation as it was described.
#[derive(Clone)]
struct Known {
    /// `None`: not one of our tables.
    table: Option<Table>,
    /// As it was described, where changes may be kept.
    description: Option<Arc<Description>>,
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
            documents: Documents::new(&naming),
            watch: Watch::default(),
            told: Told::default(),
            remembers: false,
            binary: false,
            id: Vec::new(),
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

    /// How many changes were received on this connection.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether a transaction is half read.
    pub(crate) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Takes the body of one CopyData message, if it is a change of a row that is delivered at
    /// once: nearly all are, and nothing has to be waited for. False: [`Stream::message`] takes it.
    pub(crate) fn row(&mut self, body: &[u8], out: &mut Assembler) -> Result<bool, Fault> {
        let change = matches!(body.get(XLOG_HEADER), Some(b'I' | b'U' | b'D'));
        if !change || body.first() != Some(&b'w') || self.transactions.is_receiving() {
            return Ok(false);
        }
        let message = decode(body.get(XLOG_HEADER..).unwrap_or(&[])).map_err(unreadable)?;
        let Some((relation, change)) = Change::of(message) else { return Ok(false) };
        self.received += 1;
        self.change(relation, &change, number(body, 1), body.len(), out)?;
        Ok(true)
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
        self.begin((commit_lsn, commit_us, xid), 0, out.numbered(commit_lsn));
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
    pub(crate) fn end_decided(&mut self, end_lsn: u64, out: &mut Assembler) -> Result<(), Fault> {
        for (relation, known) in self.replayed.take().into_iter().flatten() {
            let newer = self.tables.get(&relation).is_some_and(|k| k.number > known.number);
            if !newer {
                self.tables.insert(relation, known);
            }
        }
        self.commit(end_lsn, out)
    }

    async fn apply(&mut self, placed: Placed<'_>, out: &mut Assembler) -> Result<(), Fault> {
        let Placed { message, lsn, number, bytes } = placed;
        match message {
            Message::Begin { final_lsn, commit_us, xid } => {
                self.begin((final_lsn, commit_us, xid), lsn, out.numbered(final_lsn));
            }
            Message::Commit { end_lsn, .. } => self.commit(end_lsn, out)?,
            Message::Relation(relation) => {
                self.hold_changes(&relation, out)?;
                self.relation(&relation, number).await?;
            }
            message
            @ (Message::Insert { .. } | Message::Update { .. } | Message::Delete { .. }) => {
                if let Some((relation, change)) = Change::of(message) {
                    self.change(relation, &change, lsn, bytes, out)?;
                }
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
            Message::Logical { transactional, prefix, content, .. } => {
                self.logical(transactional, lsn, (prefix, content), out)?;
            }
            Message::Type { .. } => {}
        }
        Ok(())
    }

    /// A table is new or was altered.
    async fn relation(&mut self, relation: &Relation<'_>, number: u64) -> Result<(), Fault> {
        let name = name_of(relation);
        if !self.is_wanted(&name) {
            self.describe(relation.id, Known { table: None, description: None, number });
            return Ok(());
        }
        if let Some(transaction) = &self.transaction {
            self.catalog.wait_visible(transaction.xid).await?;
        }
        let types: Vec<u32> = relation.columns.iter().map(|c| c.type_oid).collect();
        let info = self.catalog.table(relation.id, &types).await?;
        let before = known(self.replayed.as_ref(), &self.tables, relation.id);
        let before = before.and_then(|k| k.table.as_ref()).filter(|t| t.name == name);
        let described = described(relation);
        let table = self.naming.table(name, &described, &info, before);
        if let Some(fault) = wire_format::unreadable(&table).filter(|_| self.binary) {
            return Err(fault);
        }
        let description = self.remembers.then(|| Arc::new(Description { described, info }));
        self.describe(relation.id, Known { table: Some(table), description, number });
        Ok(())
    }

    /// A table that is another than the one in the checkpoint waits for somebody's word.
    fn hold_changes(&mut self, relation: &Relation<'_>, out: &mut Assembler) -> Result<(), Fault> {
        let name = name_of(relation);
        if self.settings.schema_changes == SchemaChanges::Evolve || !self.is_wanted(&name) {
            return Ok(());
        }
        // What is settled was accepted with its records.
        let Some(transaction) = &self.transaction else { return Ok(()) };
        if transaction.minor < transaction.settled {
            return Ok(());
        }
        let now = changes::columns(relation);
        if self.settings.schema_changes == SchemaChanges::DeadLetter {
            let changed = changes::changed(out.tables(), &name, &now);
            if let Some(words) = changed.as_ref().filter(|words| !words.is_empty()) {
                let at = Position::new(transaction.commit_lsn, transaction.minor + 1);
                let words = words.join(", ");
                let reason =
                    format!("table {name} changed ({words}) and `schema_changes` is dead_letter");
                out.hold(&name, at, reason)?;
            }
            // Resuming the table accepts it as it is then.
            if changed.is_none_or(|words| !words.is_empty()) {
                keep_columns(out, &name, now);
            }
            return Ok(());
        }
        if changes::hold(out.tables(), &name, &now, &self.told)? {
            keep_columns(out, &name, now);
        }
        Ok(())
    }

    fn is_wanted(&self, name: &TableName) -> bool {
        let named = self.wanted.as_ref().is_none_or(|wanted| wanted.contains(name));
        named && self.settings.filters.wants(name)
    }

    fn describe(&mut self, relation: u32, known: Known) {
        self.replayed.as_mut().unwrap_or(&mut self.tables).insert(relation, known);
    }
}

/// Keeps a table's columns as they are accepted.
fn keep_columns(out: &mut Assembler, name: &TableName, now: Value) {
    let tables = out.state().tables.get_or_insert_with(|| Value::Object(Map::new()));
    if let Some(tables) = tables.as_object_mut() {
        tables.insert(name.to_string(), now);
    }
}

fn name_of(relation: &Relation<'_>) -> TableName {
    let schema = match relation.namespace {
        "" => "pg_catalog",
        name => name,
    };
    TableName { schema: schema.into(), table: relation.name.into() }
}

fn known<'t>(
    replayed: Option<&'t HashMap<u32, Known>>,
    tables: &'t HashMap<u32, Known>,
    relation: u32,
) -> Option<&'t Known> {
    let replayed = replayed.and_then(|tables| tables.get(&relation));
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
