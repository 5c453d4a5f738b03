//! The connection that reads beside the stream: one chunk after the other, each in a transaction
//! of its own, by key. What a chunk saw, and from which place of the log on the stream has told
//! everything that the chunk saw, goes with its rows.

use std::sync::Arc;

use bytes::Bytes;
use postgres_protocol::escape::escape_literal;
use wasmgate_connector::SourceStatus;
use wasmgate_model::Fault;
use wasmgate_replication::TableItem;
use wasmgate_replication::incremental::{Answer, Chunk, Key, Opened, Reader, push_key};

use super::marks::Marker;
use super::visible::Visible;
use crate::catalog::{Catalog, Published, TableName, quote};
use crate::connect::{Connector, Purpose};
use crate::fault::protocol;
use crate::session::{Session, number, text};
use crate::settings::Settings;
use crate::snapshot::lines::{Format, Lines, Values};
use crate::snapshot::{Clauses, Planner};
use crate::table::{Naming, Table};
use crate::wire::bodies;

const DOING: &str = "cannot read a chunk";

/// A row that was read.
pub(crate) struct Row {
    pub key: Key,
    /// As COPY has it.
    pub values: Bytes,
}

/// Rows of a chunk, what they saw, and from where on the stream has told all of that.
pub(crate) struct Rows {
    pub table: Arc<Table>,
    pub rows: Vec<Row>,
    pub format: Format,
    pub visible: Visible,
    /// The stream has told all that the rows saw once it is here.
    pub high: u64,
    /// When they were read, microseconds since 1970.
    pub time_us: i64,
}

/// The table that is being read.
struct Current {
    published: Published,
    clauses: Clauses,
    table: Arc<Table>,
    /// Of the columns, to see them change.
    fingerprint: String,
    key: Vec<String>,
    /// Places of the key among the columns read.
    places: Vec<usize>,
    condition: Option<String>,
    max: Vec<String>,
    surrogate: bool,
}

/// The reading task.
pub(crate) struct Worker {
    pub settings: Arc<Settings>,
    pub naming: Naming,
    pub connector: Connector,
    pub status: Arc<SourceStatus>,
    session: Option<Session>,
    catalog: Catalog,
    marker: Marker,
    current: Option<Current>,
    lines: Lines,
}

impl Worker {
    pub(crate) fn new(
        settings: Arc<Settings>,
        naming: Naming,
        connector: Connector,
        status: Arc<SourceStatus>,
    ) -> Self {
        let catalog = Catalog::new(connector.clone());
        let marker = Marker::new(&settings);
        Self {
            settings,
            naming,
            connector,
            status,
            session: None,
            catalog,
            marker,
            current: None,
            lines: Lines::default(),
        }
    }

    async fn connect(&mut self) -> Result<(), Fault> {
        if self.session.is_none() {
            let mut session = self.connector.connect(Purpose::Query).await?;
            self.marker.prepare(&mut session).await?;
            self.session = Some(session);
        }
        Ok(())
    }

    fn session(&mut self) -> Result<&mut Session, Fault> {
        self.session.as_mut().ok_or_else(|| protocol("the connection for chunks is gone"))
    }

    async fn find(&mut self, name: &TableName) -> Result<Option<(Published, i64)>, Fault> {
        let sql = format!(
            "SELECT c.oid, c.relkind = 'p', c.reltuples::int8 FROM pg_catalog.pg_class c \
             WHERE c.oid = to_regclass({})",
            escape_literal(&name.quoted())
        );
        let rows = self.session()?.query(DOING, &sql).await?;
        Ok(rows.first().map(|row| {
            let partitioned = text(row, 1) == "t";
            (Published { name: name.clone(), oid: number(row, 0), partitioned }, number(row, 2))
        }))
    }

    async fn clauses(&mut self, published: &Published) -> Result<Clauses, Fault> {
        let session = self.session.as_mut();
        let session = session.ok_or_else(|| protocol("the connection for chunks is gone"))?;
        let mut planner = Planner {
            session,
            catalog: &mut self.catalog,
            naming: &self.naming,
            settings: &self.settings,
            status: &self.status,
        };
        planner.clauses(published, None).await
    }

    /// The columns in short; empty where the table is gone.
    async fn fingerprint(&mut self, oid: u32) -> Result<String, Fault> {
        let rows = self.session()?.query(DOING, &format!("SELECT {}", columns_of(oid))).await?;
        Ok(rows.first().map(|row| text(row, 0).to_owned()).unwrap_or_default())
    }

    async fn max(
        &mut self,
        clauses: &Clauses,
        key: &[String],
        condition: Option<&str>,
    ) -> Result<Option<Vec<String>>, Fault> {
        let (names, filter) = (list(key, ""), filter(clauses, condition, &[]));
        let order = list(key, " DESC");
        let item = &clauses.item;
        // Read only, so that a condition cannot change anything.
        let sql = format!(
            "BEGIN READ ONLY; SELECT {names} FROM {item}{filter} ORDER BY {order} LIMIT 1; COMMIT"
        );
        let rows = self.session()?.query(DOING, &sql).await?;
        Ok(rows.first().map(|row| (0..key.len()).map(|i| text(row, i).to_owned()).collect()))
    }

    async fn rows(
        &mut self,
        current: &Current,
        from: Option<&[String]>,
    ) -> Result<Vec<Row>, Fault> {
        let keys = list(&current.key, "");
        let mut bounds = vec![format!("({keys}) <= ({})", literals(&current.max))];
        if let Some(from) = from {
            bounds.push(format!("({keys}) > ({})", literals(from)));
        }
        let clauses = &current.clauses;
        let filter = filter(clauses, current.condition.as_deref(), &bounds);
        let (names, item) = (&clauses.names, &clauses.item);
        // Rows that share a value of a surrogate key stay together: the next chunk begins after it.
        let ties = if current.surrogate { "WITH TIES" } else { "ONLY" };
        let limit = self.settings.snapshots.chunk_rows;
        let sql = format!(
            "COPY (SELECT {names} FROM {item}{filter} ORDER BY {keys} \
             FETCH FIRST {limit} ROWS {ties}) TO STDOUT{}",
            clauses.format.option()
        );
        self.session()?.copy_out(DOING, &sql).await?;
        let mut rows = Vec::new();
        while let Some(run) = self.session()?.copied_run(DOING).await? {
            for row in bodies(&run).filter_map(|body| clauses.format.row(body)) {
                let values = self.lines.values(clauses.format, row);
                let key = key_of(&current.table, values, &current.places);
                rows.push(Row { key, values: run.slice_ref(row) });
            }
        }
        Ok(rows)
    }
}

impl Reader for Worker {
    type Rows = Rows;

    async fn open(
        &mut self,
        item: TableItem,
        surrogate: Option<String>,
    ) -> Result<Answer<Rows>, Fault> {
        self.connect().await?;
        self.current = None;
        let name = TableName { schema: item.schema, table: item.table };
        let Some((published, estimate)) = self.find(&name).await? else {
            return Ok(gone());
        };
        let fingerprint = self.fingerprint(published.oid).await?;
        let clauses = self.clauses(&published).await?;
        let key = match &surrogate {
            Some(column) => vec![column.clone()],
            None => clauses.info.key.clone(),
        };
        let firm =
            |name: &String| clauses.info.columns.iter().any(|c| c.name == *name && c.not_null);
        let places = places(&clauses.table, &key);
        let (true, Some(places), false) = (key.iter().all(firm), places, key.is_empty()) else {
            tracing::warn!(table = %name, ?key, "no key that is never null: the table is not read");
            let why = "it has no key that is never null among the columns that are read";
            return Ok(Answer::NotRead("NO_PRIMARY_KEY", why.into()));
        };
        let max = match item.max {
            Some(max) => Some(max),
            None => self.max(&clauses, &key, item.condition.as_deref()).await?,
        };
        let estimate = if item.condition.is_none() { estimate } else { -1 };
        let (table, opened) = (Arc::new(clauses.table.clone()), max.clone());
        if let Some(max) = max {
            let (key, condition) = (key.clone(), item.condition);
            self.current = Some(Current {
                published,
                clauses,
                table,
                fingerprint,
                key,
                places,
                condition,
                max,
                surrogate: surrogate.is_some(),
            });
        }
        Ok(Answer::Table(Opened { key, max: opened, estimate }))
    }

    async fn chunk(
        &mut self,
        window: u64,
        from: Option<Vec<String>>,
    ) -> Result<Answer<Rows>, Fault> {
        self.connect().await?;
        let mark = match &mut self.session {
            Some(session) => self.marker.open(session).await?,
            None => None,
        };
        let Some(mut current) = self.current.take() else {
            return Ok(gone());
        };
        // Locked first: whoever rewrites the table meanwhile would leave nothing to be seen of it.
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE {} IN ACCESS SHARE MODE; \
             SELECT pg_current_snapshot(), {}, (extract(epoch FROM now()) * 1000000)::int8",
            current.published.name.quoted(),
            columns_of(current.published.oid)
        );
        let rows = self.session()?.query(DOING, &sql).await?;
        let row = rows.first().ok_or_else(|| protocol("no snapshot"))?;
        let visible = Visible::parse(text(row, 0)).ok_or_else(|| protocol("an odd snapshot"))?;
        let (fingerprint, time_us) = (text(row, 1).to_owned(), number(row, 2));
        if fingerprint != current.fingerprint {
            current.clauses = self.clauses(&current.published).await?;
            let Some(found) = places(&current.clauses.table, &current.key) else {
                self.session = None;
                let why = "its key changed while it was read";
                return Ok(Answer::NotRead("UNKNOWN_SCHEMA", why.into()));
            };
            current.table = Arc::new(current.clauses.table.clone());
            (current.places, current.fingerprint) = (found, fingerprint);
        }
        let rows = self.rows(&current, from.as_deref()).await?;
        let session = self.session.as_mut();
        let session = session.ok_or_else(|| protocol("the connection for chunks is gone"))?;
        let high = self.marker.close(session, mark).await?;
        let last = rows.last().map(|row| values_of(&row.key));
        let end =
            rows.len() < self.settings.snapshots.chunk_rows || last.as_ref() == Some(&current.max);
        let (table, format) = (Arc::clone(&current.table), current.clauses.format);
        self.current = Some(current);
        let count = rows.len() as u64;
        let rows = Rows { table, rows, format, visible, high, time_us };
        Ok(Answer::Chunk(Chunk { window, count, last, end, rows }))
    }

    async fn marks(&mut self) -> Result<(), Fault> {
        self.connect().await?;
        let session = self.session.as_mut();
        let session = session.ok_or_else(|| protocol("the connection for chunks is gone"))?;
        let mark = self.marker.open(session).await?;
        if mark.is_some() {
            self.marker.close(session, mark).await?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.session = None;
        self.current = None;
    }
}

fn gone() -> Answer<Rows> {
    Answer::NotRead("UNKNOWN_SCHEMA", "the table is not there".into())
}

/// An expression that gives the columns of a table in short.
fn columns_of(oid: u32) -> String {
    format!(
        "(SELECT md5(string_agg(attname || ' ' || atttypid || ' ' || atttypmod || attnotnull, ',' \
         ORDER BY attnum)) FROM pg_catalog.pg_attribute \
         WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped)"
    )
}

fn list(key: &[String], after: &str) -> String {
    key.iter().map(|name| format!("{}{after}", quote(name))).collect::<Vec<_>>().join(", ")
}

fn literals(values: &[String]) -> String {
    values.iter().map(|value| escape_literal(value)).collect::<Vec<_>>().join(", ")
}

fn filter(clauses: &Clauses, condition: Option<&str>, bounds: &[String]) -> String {
    let all = clauses.conditions.iter().map(String::as_str).chain(condition);
    let all: Vec<String> =
        all.chain(bounds.iter().map(String::as_str)).map(|c| format!("({c})")).collect();
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}

/// Places of the key among the columns that are read.
pub(crate) fn places(table: &Table, key: &[String]) -> Option<Vec<usize>> {
    key.iter().map(|name| table.columns.iter().position(|c| c.name == *name)).collect()
}

/// The key of a copied row, as text in either format.
pub(crate) fn key_of(table: &Table, values: Values<'_>, places: &[usize]) -> Key {
    let mut key = Vec::with_capacity(16 * places.len());
    let values: Vec<_> = values.collect();
    for place in places {
        let column = table.columns.get(*place);
        let text = column.and_then(|column| column.text(*values.get(*place)?));
        push_key(&mut key, &text.unwrap_or_default());
    }
    key.into()
}

/// The values of a key as text.
fn values_of(key: &[u8]) -> Vec<String> {
    let mut rest = key;
    let mut values = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((value, after)) = after.split_at_checked(length) else { break };
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = after;
    }
    values
}
