//! The connection that reads beside the stream: one chunk after the other, each in a view of its
//! own, by key. What a chunk saw for certain, and from which place of the log on the stream has
//! told everything that it saw, goes with its rows:
//!
//! - MySQL: a transaction is among the executed ones only after its rows can be seen, so the set
//!   that is read before the view opens was seen; and it is in the log before its rows can be
//!   seen, so the log's end after the view opened is behind all that was.
//! - MariaDB tells where in its log the view stands.

use std::sync::Arc;

use mysql_async::Value;
use mysql_async::prelude::Queryable as _;
use wasmgate_model::Fault;
use wasmgate_replication::TableItem;
use wasmgate_replication::incremental::{Answer, Chunk, Key, Mark, Opened, Reader};

use super::key::{KeyColumn, beyond, order, push_value, up_to};
use super::marks::{Marker, quoted};
use super::window::{Columns, places};
use crate::assemble::now_us;
use crate::catalog::{self, Server, TableName};
use crate::connect::{Connector, Session, Texts, literal, quote, text};
use crate::definition::TableDefinition;
use crate::fault::{protocol, refused};
use crate::gtid::GtidSet;
use crate::prepare::status;
use crate::settings::Settings;
use crate::snapshot::{datum, size, view_place};
use crate::state::Place;
use crate::table::{Naming, Table};

const DOING: &str = "cannot read a chunk";
/// So often a chunk is read while its table is altered.
const TRIES: usize = 10;

/// A row that was read.
pub(crate) struct Row {
    /// `None`: its key cannot be told.
    pub key: Option<Key>,
    pub values: Vec<Value>,
}

/// What a read saw for certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Saw {
    /// These transactions.
    Set(GtidSet),
    /// The log up to here.
    Until(Place),
    /// All that is in the log before the mark, which the stream has still to tell.
    BeforeMark,
}

/// Rows of a chunk, what they saw, and from where on the stream has told all of that.
pub(crate) struct Rows {
    pub table: Arc<Table>,
    pub rows: Vec<Row>,
    pub saw: Saw,
    /// The stream has told all that the rows saw once it is here.
    pub high: Place,
    /// When they were read, microseconds since 1970.
    pub time_us: i64,
}

/// The table that is being read.
struct Current {
    name: TableName,
    definition: TableDefinition,
    table: Arc<Table>,
    /// Of the columns, to see them change.
    fingerprint: Vec<Texts>,
    key: Vec<KeyColumn>,
    /// Places and types of the key among the columns.
    places: Columns,
    condition: Option<String>,
    max: Vec<String>,
    surrogate: bool,
}

/// The reading task.
pub(crate) struct Worker {
    settings: Arc<Settings>,
    server: Arc<Server>,
    naming: Naming,
    connector: Connector,
    session: Option<Session>,
    marker: Marker,
    current: Option<Current>,
}

impl Worker {
    pub(crate) fn new(
        settings: Arc<Settings>,
        server: Arc<Server>,
        naming: Naming,
        connector: Connector,
    ) -> Self {
        let marker = Marker::new(&settings);
        Self { settings, server, naming, connector, session: None, marker, current: None }
    }

    /// The connection; a new one where the last one broke.
    async fn session(&mut self) -> Result<&mut Session, Fault> {
        if self.session.is_none() {
            let mut session = self.connector.connect().await?;
            session.run(DOING, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
            if !self.server.maria {
                session.run(DOING, "SET SESSION information_schema_stats_expiry = 0").await?;
            }
            self.marker.prepare(&mut session).await?;
            self.session = Some(session);
        }
        self.session.as_mut().ok_or_else(|| protocol("the connection for chunks is gone"))
    }

    async fn table(
        &mut self,
        name: &TableName,
        definition: &TableDefinition,
    ) -> Result<Table, Fault> {
        self.session().await?;
        if let Some(session) = &mut self.session {
            self.naming.prepare(session, definition).await?;
        }
        Ok(self.naming.table(name, definition, None, None))
    }

    /// Whether the table is not as it was looked at last. Ends a view that may be open.
    async fn altered(&mut self, current: &Current) -> Result<bool, Fault> {
        let session = self.session().await?;
        session.run(DOING, "ROLLBACK").await?;
        Ok(fingerprint(session, &current.name).await? != current.fingerprint)
    }

    /// Looks at the table again where it was altered. False: it cannot be read any more.
    async fn refresh(&mut self, current: &mut Current) -> Result<bool, Fault> {
        if !self.altered(current).await? {
            return Ok(true);
        }
        let maria = self.server.maria;
        let session = self.session().await?;
        current.fingerprint = fingerprint(session, &current.name).await?;
        let Some(definition) = catalog::table(session, maria, &current.name).await? else {
            return Ok(false);
        };
        let table = self.table(&current.name, &definition).await?;
        let names: Vec<String> = current.key.iter().map(|c| c.name.clone()).collect();
        let (Some(key), Some(places)) = (firm(&definition, &names), places(&table, &names)) else {
            return Ok(false);
        };
        (current.key, current.places) = (key, places);
        (current.definition, current.table) = (definition, Arc::new(table));
        Ok(true)
    }

    async fn read(&mut self, current: &Current, from: Option<&[String]>) -> Result<Read, Fault> {
        let (maria, gtids) = (self.server.maria, self.server.gtids);
        self.session().await?;
        let (Some(session), marker) = (&mut self.session, &self.marker) else {
            return Err(protocol("the connection for chunks is gone"));
        };
        let mark: Option<Mark> = marker.open(session).await?;
        let mut saw = Saw::BeforeMark;
        if gtids && !maria {
            let row = session.first(DOING, "SELECT @@GLOBAL.gtid_executed").await?;
            let set = GtidSet::mysql(text(&row.unwrap_or_default(), 0));
            let set = set.ok_or_else(|| refused("the server's gtid_executed cannot be read"))?;
            saw = Saw::Set(set);
        } else if !maria && mark.is_none() {
            return Err(refused(NO_GTIDS));
        }
        session.run(DOING, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
        let mut high = Place::default();
        if maria {
            high = view_place(session).await?;
            saw = Saw::Until(high.clone());
        }
        let limit = self.settings.snapshots.chunk_rows;
        let rows = rows(session, current, from, limit).await?;
        session.run(DOING, "COMMIT").await?;
        if let Some(mark) = mark {
            marker.close(session, mark).await?;
        }
        if !maria {
            high = status(session, false).await?;
        }
        let (rows, last) = rows;
        Ok(Read { rows, last, saw, high })
    }
}

impl Reader for Worker {
    type Rows = Rows;

    async fn open(
        &mut self,
        item: TableItem,
        surrogate: Option<String>,
    ) -> Result<Answer<Rows>, Fault> {
        self.current = None;
        let name: TableName = (item.schema, item.table);
        let maria = self.server.maria;
        let session = self.session().await?;
        let fingerprint = fingerprint(session, &name).await?;
        let Some(definition) = catalog::table(session, maria, &name).await? else {
            return Ok(gone());
        };
        let keys = surrogate.clone().map_or_else(|| definition.key.clone(), |column| vec![column]);
        let table = self.table(&name, &definition).await?;
        let (key, places) = match (firm(&definition, &keys), places(&table, &keys)) {
            (Some(key), Some(places)) if !key.is_empty() => (key, places),
            _ => {
                let table = format!("{}.{}", name.0, name.1);
                tracing::warn!(table, ?keys, "no key that is never null: the table is not read");
                let why = "it has no key that is never null among the columns that are read";
                return Ok(Answer::NotRead("NO_PRIMARY_KEY", why.into()));
            }
        };
        let condition = item.condition;
        let session = self.session().await?;
        let max = match item.max {
            Some(max) => Some(max),
            None => max_of(session, &name, &key, condition.as_deref()).await?,
        };
        let estimate = if condition.is_none() { size(session, &name).await?.0 } else { -1 };
        if let Some(max) = max.clone() {
            let surrogate = surrogate.is_some();
            self.current = Some(Current {
                name,
                definition,
                table: Arc::new(table),
                fingerprint,
                key,
                places,
                condition,
                max,
                surrogate,
            });
        }
        Ok(Answer::Table(Opened { key: keys, max, estimate }))
    }

    async fn chunk(
        &mut self,
        window: u64,
        from: Option<Vec<String>>,
    ) -> Result<Answer<Rows>, Fault> {
        self.session().await?;
        let Some(mut current) = self.current.take() else {
            return Ok(gone());
        };
        for _ in 0..TRIES {
            if !self.refresh(&mut current).await? {
                return Ok(gone());
            }
            let read = match self.read(&current, from.as_deref()).await {
                Ok(read) => read,
                Err(fault) => match self.altered(&current).await {
                    Ok(true) => continue,
                    _ => return Err(fault),
                },
            };
            if self.altered(&current).await? {
                continue;
            }
            let Read { rows, last, saw, high } = read;
            let short = !current.surrogate && rows.len() < self.settings.snapshots.chunk_rows;
            let end = short || last.is_none() || last.as_ref() == Some(&current.max);
            let table = Arc::clone(&current.table);
            self.current = Some(current);
            let time_us = now_us();
            let count = rows.len() as u64;
            let rows = Rows { table, rows, saw, high, time_us };
            return Ok(Answer::Chunk(Chunk { window, count, last, end, rows }));
        }
        let (database, table) = &current.name;
        Err(refused(format!("{database}.{table} is altered again and again while it is read")))
    }

    async fn marks(&mut self) -> Result<(), Fault> {
        self.session().await?;
        if let (Some(session), true) = (&mut self.session, self.marker.writes())
            && let Some(mark) = self.marker.open(session).await?
        {
            self.marker.close(session, mark).await?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.session = None;
        self.current = None;
    }
}

/// What is said where nothing may be written and nothing can be compared.
pub(crate) const NO_GTIDS: &str = "this server has no GTIDs, so chunks cannot be set against the \
     stream without writing: turn gtid_mode ON, or set `snapshots.watermarks: insert_insert` and \
     `signals.table`";

fn gone() -> Answer<Rows> {
    Answer::NotRead("UNKNOWN_SCHEMA", "the table is not there, or its key changed".into())
}

struct Read {
    rows: Vec<Row>,
    last: Option<Vec<String>>,
    saw: Saw,
    high: Place,
}

/// The columns that rows are told apart by, where all are there and never null.
fn firm(definition: &TableDefinition, key: &[String]) -> Option<Vec<KeyColumn>> {
    let column = |name: &String| {
        let found = definition.columns.iter().find(|c| c.name == *name && !c.nullable);
        found.map(KeyColumn::of)
    };
    key.iter().map(column).collect()
}

/// The columns of a table in short; nothing where it is gone.
async fn fingerprint(
    session: &mut Session,
    (database, table): &TableName,
) -> Result<Vec<Texts>, Fault> {
    let sql = format!(
        "SELECT COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, IS_NULLABLE, EXTRA, COLUMN_KEY \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
         ORDER BY ORDINAL_POSITION",
        literal(database),
        literal(table)
    );
    session.query(DOING, &sql).await
}

async fn max_of(
    session: &mut Session,
    name: &TableName,
    key: &[KeyColumn],
    condition: Option<&str>,
) -> Result<Option<Vec<String>>, Fault> {
    let filter = filter(condition, &[]);
    let (texts, order) = (texts(key), order(key, " DESC"));
    let sql = format!("SELECT {texts} FROM {}{filter} ORDER BY {order} LIMIT 1", quoted(name));
    // Read only, so that a condition cannot change anything.
    session.run(DOING, "START TRANSACTION READ ONLY").await?;
    let row = session.first(DOING, &sql).await?;
    session.run(DOING, "COMMIT").await?;
    Ok(row.map(|row| (0..key.len()).map(|i| text(&row, i).to_owned()).collect()))
}

fn texts(key: &[KeyColumn]) -> String {
    key.iter().map(KeyColumn::text).collect::<Vec<_>>().join(", ")
}

fn filter(condition: Option<&str>, bounds: &[String]) -> String {
    let all = condition.into_iter().chain(bounds.iter().map(String::as_str));
    let all: Vec<String> = all.map(|c| format!("({c})")).collect();
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}

/// The rows of the open view after a key, and the key of the last one.
async fn rows(
    session: &mut Session,
    current: &Current,
    from: Option<&[String]>,
    limit: usize,
) -> Result<(Vec<Row>, Option<Vec<String>>), Fault> {
    let Current { name, key, condition, .. } = current;
    let condition = condition.as_deref();
    let item = quoted(name);
    let begin: Vec<String> = from.iter().map(|from| beyond(key, from)).collect();
    let bounds = |to: &[String]| [&begin[..], &[up_to(key, to)]].concat();
    let order = order(key, "");
    let mut last = current.max.clone();
    let mut limited = format!(" LIMIT {limit}");
    if current.surrogate {
        // Rows that share a value stay together: the next chunk begins after it.
        let filter = filter(condition, &bounds(&last));
        let offset = limit.saturating_sub(1);
        let sql = format!(
            "SELECT {} FROM {item}{filter} ORDER BY {order} LIMIT 1 OFFSET {offset}",
            texts(key)
        );
        if let Some(row) = session.first(DOING, &sql).await? {
            last = (0..key.len()).map(|i| text(&row, i).to_owned()).collect();
        }
        limited.clear();
    }
    let columns: Vec<String> = current.definition.columns.iter().map(|c| quote(&c.name)).collect();
    let filter = filter(condition, &bounds(&last));
    let sql = format!(
        "SELECT {}, {} FROM {item}{filter} ORDER BY {order}{limited}",
        columns.join(", "),
        texts(key)
    );
    let who = session.who.clone();
    let failed = |e| who.fault(DOING, e);
    let found: Vec<mysql_async::Row> = session.conn.exec(sql, ()).await.map_err(failed)?;
    let mut cursor = None;
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let mut values = row.unwrap();
        let texts = values.split_off(columns.len().min(values.len()));
        cursor = Some(texts.iter().map(as_text).collect());
        let mut key = Vec::with_capacity(16 * current.places.len());
        let told = current.places.iter().all(|(place, ty)| {
            let value = values.get(*place).and_then(|value| datum(value, ty));
            push_value(&mut key, ty, value)
        });
        rows.push(Row { key: told.then(|| key.into()), values });
    }
    if current.surrogate && cursor.is_some() {
        cursor = Some(last);
    }
    Ok((rows, cursor))
}

fn as_text(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::NULL => String::new(),
        Value::Int(n) => n.to_string(),
        Value::UInt(n) => n.to_string(),
        other => other.as_sql(true),
    }
}
