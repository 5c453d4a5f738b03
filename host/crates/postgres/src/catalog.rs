//! What the server's catalog knows about a table and the stream does not say: which columns may
//! be null, keys in index order, enums, domains, arrays. Read when a table is first met and
//! after each change of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::escape::escape_literal;
use serde::{Deserialize, Serialize};
use wasmgate_codec::pgvalue::{PgTypeKind, TypeInfo, is_built_in};
use wasmgate_model::{Fault, FaultKind};
pub(crate) use wasmgate_replication::TableName;

use crate::connect::{Connector, Purpose};
use crate::literal::{constant, is_call};
use crate::quarantine::record::{read_types, write_types};
use crate::session::{Row, Session, number, text};

/// How long a commit may take to become visible.
const VISIBLE_WAIT: Duration = Duration::from_secs(1);
/// How long an answer may take: a question of the catalog is quick, and a connection that died in
/// silence must not hold the stream up.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// An SQL identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table of a publication.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Published {
    pub name: TableName,
    pub oid: u32,
    /// Holds no rows of its own (`publish_via_partition_root`).
    pub partitioned: bool,
}

/// A column as the catalog has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CatalogColumn {
    pub name: String,
    pub not_null: bool,
    pub type_oid: u32,
    pub type_modifier: i32,
    /// Computed from others: the stream leaves it out.
    pub generated: bool,
    /// The default, where it is a constant, as text of the type.
    pub default: Option<String>,
    /// The default is the call of a function.
    pub computed: bool,
    /// Dimensions that an array was declared with; 0 for other types.
    pub dimensions: u8,
    /// Name of the type, without its schema.
    pub type_name: String,
}

/// A table as the catalog has it now. Empty where the table is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableInfo {
    pub columns: Vec<CatalogColumn>,
    /// Key columns in index order: the primary key, else the first whole unique index.
    pub key: Vec<String>,
    /// Columns of the index that REPLICA IDENTITY USING INDEX names, in index order.
    pub identity: Vec<String>,
    /// What is known about types that are not built in.
    #[serde(serialize_with = "write_types", deserialize_with = "read_types")]
    pub types: HashMap<u32, TypeInfo>,
}

/// A connection for questions, opened again when it broke.
pub(crate) struct Catalog {
    connector: Connector,
    session: Option<Session>,
}

impl Catalog {
    pub(crate) fn new(connector: Connector) -> Self {
        Self { connector, session: None }
    }

    /// A connection of its own to the same server.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.connector.clone())
    }

    /// Asks once; a connection that went away while idle is replaced.
    pub(crate) async fn query(&mut self, doing: &str, sql: &str) -> Result<Vec<Row>, Fault> {
        if let Some(session) = &mut self.session {
            match in_time(session.query(doing, sql)).await {
                Err(fault) if fault.retry() == wasmgate_model::Retry::Timed => self.session = None,
                answer => return answer,
            }
        }
        let mut session = self.connector.connect(Purpose::Query).await?;
        let answer = in_time(session.query(doing, sql)).await;
        if !is_broken(&answer) {
            self.session = Some(session);
        }
        answer
    }

    /// Waits until what a committed transaction did to the catalog is seen. The stream may be
    /// ahead: the server sends a commit as soon as it is on disk, and its effects become visible
    /// a moment later, or, where it waits for a synchronous standby, much later.
    pub(crate) async fn wait_visible(&mut self, xid: i64) -> Result<(), Fault> {
        let sql = format!(
            "SELECT 1 FROM pg_catalog.pg_locks \
             WHERE locktype = 'transactionid' AND transactionid = '{xid}'"
        );
        let since = tokio::time::Instant::now();
        while !self.query("cannot read the locks", &sql).await?.is_empty() {
            if since.elapsed() > VISIBLE_WAIT {
                tracing::warn!(xid, "the server does not show what a committed transaction did");
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// A table's columns and keys, their types and those of `type_oids`: what the stream sends may
    /// be older than the table.
    pub(crate) async fn table(&mut self, oid: u32, type_oids: &[u32]) -> Result<TableInfo, Fault> {
        let doing = "cannot read the table's columns";
        let sql = format!(
            "SELECT attname, attnotnull, atttypid, atttypmod, attgenerated <> '', \
             pg_catalog.pg_get_expr(adbin, adrelid), attndims, typname \
             FROM pg_catalog.pg_attribute \
             LEFT JOIN pg_catalog.pg_type t ON t.oid = atttypid \
             LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum \
             WHERE attrelid = {oid} AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        );
        let rows = self.query(doing, &sql).await?;
        let columns: Vec<CatalogColumn> = rows.iter().map(column).collect();
        let (key, identity) = self.keys(oid).await?;
        let mut types = HashMap::new();
        for oid in columns.iter().map(|c| c.type_oid).chain(type_oids.iter().copied()) {
            if !is_built_in(oid) && !types.contains_key(&oid) {
                types.insert(oid, self.type_info(oid).await?);
            }
        }
        Ok(TableInfo { columns, key, identity, types })
    }

    /// (key, columns of the identity index), each in index order.
    async fn keys(&mut self, oid: u32) -> Result<(Vec<String>, Vec<String>), Fault> {
        let sql = format!(
            "SELECT i.indexrelid, i.indisreplident, a.attname \
             FROM pg_catalog.pg_index i \
             CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE i.indrelid = {oid} AND i.indisunique AND i.indisvalid \
               AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts \
             ORDER BY i.indisprimary DESC, i.indexrelid, k.place"
        );
        let rows = self.query("cannot read the table's keys", &sql).await?;
        let first = rows.first().map(|row| text(row, 0).to_owned());
        let of = |wanted: &dyn Fn(&Row) -> bool| {
            rows.iter().filter(|r| wanted(r)).map(|r| text(r, 2).to_owned()).collect()
        };
        Ok((of(&|r| Some(text(r, 0)) == first.as_deref()), of(&|r| text(r, 1) == "t")))
    }

    /// The columns that a publication sends of a table; empty where it does not say (14).
    pub(crate) async fn listed(
        &mut self,
        publication: &str,
        table: &TableName,
    ) -> Result<Vec<String>, Fault> {
        let sql = format!(
            "SELECT jsonb_array_elements_text(to_jsonb(p) -> 'attnames') \
             FROM pg_catalog.pg_publication_tables p \
             WHERE p.pubname = {} AND p.schemaname = {} AND p.tablename = {}",
            escape_literal(publication),
            escape_literal(&table.schema),
            escape_literal(&table.table),
        );
        let rows = self.query("cannot read the publication's columns", &sql).await?;
        Ok(rows.iter().map(|row| text(row, 0).to_owned()).collect())
    }

    /// What is known about a type.
    pub(crate) async fn type_info(&mut self, oid: u32) -> Result<TypeInfo, Fault> {
        let doing = "cannot read the table's types";
        // It has lengths of the text as the database has it, and the text as we are sent it.
        let readable = "(proname <> 'hstore_send' \
             OR pg_catalog.getdatabaseencoding() IN ('UTF8', 'SQL_ASCII'))";
        let sql = format!(
            "WITH RECURSIVE d(oid, modifier) AS (\
               SELECT {oid}::oid, -1 UNION ALL \
               SELECT t.typbasetype, CASE t.typtypmod WHEN -1 THEN d.modifier ELSE t.typtypmod END \
               FROM d JOIN pg_catalog.pg_type t ON t.oid = d.oid WHERE t.typtype = 'd') \
             SELECT t.oid, t.typname, t.typtype, t.typcategory, t.typelem, d.modifier, \
             (SELECT proname FROM pg_catalog.pg_proc p WHERE p.oid = t.typsend AND {readable}) \
             FROM d JOIN pg_catalog.pg_type t ON t.oid = d.oid WHERE t.typtype <> 'd'"
        );
        let rows = self.query(doing, &sql).await?;
        let Some(row) = rows.first() else {
            return Ok(TypeInfo { name: String::new(), kind: PgTypeKind::Other, sent: None });
        };
        let (inner, name) = (number::<u32>(row, 0), text(row, 1).to_owned());
        let kind = match (text(row, 2), text(row, 3)) {
            ("e", _) => PgTypeKind::Enum(self.labels(inner).await?),
            _ if inner != oid && is_built_in(inner) => {
                PgTypeKind::Domain { base: inner, typmod: number(row, 5) }
            }
            ("b", "A") => {
                let element: u32 = number(row, 4);
                let inner = match is_built_in(element) {
                    true => None,
                    false => Some(Box::new(Box::pin(self.type_info(element)).await?)),
                };
                PgTypeKind::Array { element, inner }
            }
            ("b", _) => PgTypeKind::Base,
            _ => PgTypeKind::Other,
        };
        let sent = Some(text(row, 6).to_owned()).filter(|sent| !sent.is_empty());
        Ok(TypeInfo { name, kind, sent })
    }

    async fn labels(&mut self, oid: u32) -> Result<Arc<[String]>, Fault> {
        let sql = format!(
            "SELECT enumlabel FROM pg_catalog.pg_enum WHERE enumtypid = {oid} \
             ORDER BY enumsortorder"
        );
        let rows = self.query("cannot read an enum's labels", &sql).await?;
        Ok(rows.iter().map(|r| text(r, 0).to_owned()).collect())
    }

    /// Tables of a publication with their oids, in name order; `None`: no such publication.
    pub(crate) async fn published(
        &mut self,
        publication: &str,
    ) -> Result<Option<Vec<Published>>, Fault> {
        let doing = "cannot read the publication";
        let name = escape_literal(publication);
        let sql = format!("SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = {name}");
        if self.query(doing, &sql).await?.is_empty() {
            return Ok(None);
        }
        let sql = format!(
            "SELECT p.schemaname, p.tablename, c.oid, c.relkind = 'p' \
             FROM pg_catalog.pg_publication_tables p \
             JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname \
             JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
             WHERE p.pubname = {name} ORDER BY 1, 2"
        );
        let rows = self.query(doing, &sql).await?;
        let table = |r: &Row| Published {
            name: TableName { schema: text(r, 0).into(), table: text(r, 1).into() },
            oid: number(r, 2),
            partitioned: text(r, 3) == "t",
        };
        let mut tables: Vec<_> = rows.iter().map(table).collect();
        tables.sort();
        Ok(Some(tables))
    }
}

/// Whether the connection is of no more use.
fn is_broken(answer: &Result<Vec<Row>, Fault>) -> bool {
    answer.as_ref().is_err_and(|fault| fault.retry() == wasmgate_model::Retry::Timed)
}

async fn in_time(answer: impl Future<Output = Result<Vec<Row>, Fault>>) -> Result<Vec<Row>, Fault> {
    match tokio::time::timeout(ANSWER_WAIT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::new(
            FaultKind::SourceUnavailable,
            format!("no answer from the server within {ANSWER_WAIT:?}"),
        )),
    }
}

fn column(row: &Row) -> CatalogColumn {
    CatalogColumn {
        name: text(row, 0).to_owned(),
        not_null: text(row, 1) == "t",
        type_oid: number(row, 2),
        type_modifier: number(row, 3),
        generated: text(row, 4) == "t",
        default: constant(text(row, 5)),
        computed: is_call(text(row, 5)),
        dimensions: number(row, 6),
        type_name: text(row, 7).to_owned(),
    }
}
