//! A publication as the server has it.

use postgres_protocol::escape::escape_literal;
use wasmgate_model::Fault;

use crate::catalog::{Catalog, Published, TableName, quote};
use crate::session::text;

/// What is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// `FOR ALL TABLES`.
    pub all: bool,
    pub via_root: bool,
    /// insert, update, delete, truncate.
    pub operations: Vec<&'static str>,
    /// As they are sent: partitions, or roots where `via_root`.
    pub tables: Vec<Published>,
    /// Partitioned tables that it was given and that are sent as their partitions.
    pub roots: Vec<TableName>,
}

/// Looks a publication up; `None`: there is no such.
pub(crate) async fn look(catalog: &mut Catalog, name: &str) -> Result<Option<Found>, Fault> {
    let literal = escape_literal(name);
    let sql = format!(
        "SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate \
         FROM pg_catalog.pg_publication WHERE pubname = {literal}"
    );
    let rows = catalog.query("cannot read the publication", &sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let is = |i| text(row, i) == "t";
    let (all, via_root) = (is(0), is(1));
    let operations = [(2, "insert"), (3, "update"), (4, "delete"), (5, "truncate")];
    let operations = operations.into_iter().filter(|(i, _)| is(*i)).map(|(_, name)| name).collect();
    let tables = catalog.published(name).await?.unwrap_or_default();
    let sql = format!(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_publication p \
         JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid \
         JOIN pg_catalog.pg_class c ON c.oid = r.prrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE p.pubname = {literal} AND c.relkind = 'p' AND NOT p.pubviaroot"
    );
    let rows = catalog.query("cannot read the publication", &sql).await?;
    let name = |r| TableName { schema: text(r, 0).into(), table: text(r, 1).into() };
    let roots = rows.iter().map(name).collect();
    Ok(Some(Found { all, via_root, operations, tables, roots }))
}

/// `FROM pg_class c, pg_namespace n WHERE` it is one of these: by names, because a name is not
/// resolved in a schema that we may not use.
pub(crate) fn among(tables: &[TableName]) -> String {
    let pair =
        |t: &TableName| format!("({}, {})", escape_literal(&t.schema), escape_literal(&t.table));
    let pairs: Vec<_> = tables.iter().map(pair).collect();
    format!(
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE (n.nspname, c.relname) IN ({})",
        pairs.join(", ")
    )
}

/// Whether one of the tables is partitioned.
pub(crate) async fn any_partitioned(
    catalog: &mut Catalog,
    tables: &[TableName],
) -> Result<bool, Fault> {
    if tables.is_empty() {
        return Ok(false);
    }
    let sql = format!("SELECT 1 {} AND c.relkind = 'p'", among(tables));
    Ok(!catalog.query("cannot read the tables", &sql).await?.is_empty())
}

/// Tables of the database that can be published, by name; of a partitioned one its partitions.
pub(super) async fn all_tables(catalog: &mut Catalog) -> Result<Vec<TableName>, Fault> {
    let sql = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind = 'r' AND c.relpersistence = 'p' \
               AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
               AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2";
    let rows = catalog.query("cannot read the tables", sql).await?;
    let name = |r| TableName { schema: text(r, 0).into(), table: text(r, 1).into() };
    Ok(rows.iter().map(name).collect())
}

/// Those of the tables that we may add to the publication.
pub(crate) async fn own(
    catalog: &mut Catalog,
    publication: &str,
    tables: Vec<TableName>,
) -> Result<Vec<TableName>, Fault> {
    if tables.is_empty() {
        return Ok(tables);
    }
    let sql = format!(
        "SELECT n.nspname, c.relname {} AND pg_catalog.pg_has_role(c.relowner, 'USAGE') AND \
         coalesce((SELECT pg_catalog.pg_has_role(pubowner, 'USAGE') \
         FROM pg_catalog.pg_publication WHERE pubname = {}), true)",
        among(&tables),
        escape_literal(publication)
    );
    let rows = catalog.query("cannot read the tables' owners", &sql).await?;
    let name = |r| TableName { schema: text(r, 0).into(), table: text(r, 1).into() };
    Ok(rows.iter().map(name).collect())
}

impl Found {
    /// Those that are not sent.
    pub(crate) fn lacks(&self, named: &[TableName]) -> Vec<TableName> {
        let sent = |table: &&TableName| !self.tables.iter().any(|p| p.name == **table);
        named.iter().filter(sent).cloned().collect()
    }

    /// Those that are sent and not named.
    pub(super) fn surplus(&self, named: &[TableName]) -> Vec<TableName> {
        let names = self.tables.iter().map(|p| &p.name);
        names.filter(|name| !named.contains(name)).cloned().collect()
    }

    /// The statement that publishes these operations too.
    pub(crate) fn publish(&self, name: &str, wanted: &[&'static str]) -> String {
        let mut all = self.operations.clone();
        all.extend(wanted.iter().filter(|op| !self.operations.contains(op)));
        format!("ALTER PUBLICATION {} SET (publish = '{}')", quote(name), all.join(", "))
    }
}
