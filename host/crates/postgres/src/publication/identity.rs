//! Replica identities: what an update and a delete carry of the old row.

use wasmgate_model::Fault;

use crate::catalog::{Catalog, Published, TableName, quote};
use crate::publication::found::among;
use crate::session::{number, text};
use crate::settings::Settings;
use crate::slot_care::Identity;

impl Identity {
    /// The letter of `pg_class.relreplident`.
    fn letter(&self) -> &'static str {
        match self {
            Self::Default => "d",
            Self::Full => "f",
            Self::Nothing => "n",
            Self::Index(_) => "i",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Default => "DEFAULT".into(),
            Self::Full => "FULL".into(),
            Self::Nothing => "NOTHING".into(),
            Self::Index(index) => format!("USING INDEX {}", quote(index)),
        }
    }
}

/// Sets what `slot_care.replica_identity` asks for, where it is not so already.
pub(super) async fn set(
    catalog: &mut Catalog,
    settings: &Settings,
    named: &[TableName],
) -> Result<(), Fault> {
    let rules = &settings.slot_care.replica_identity;
    for table in named {
        let text_of = table.to_string();
        let Some((_, identity)) = rules.iter().find(|(tables, _)| tables.is_match(&text_of)) else {
            continue;
        };
        let sql = format!(
            "SELECT c.relreplident, coalesce((SELECT i.indexrelid::regclass::text FROM \
             pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), '') {}",
            among(std::slice::from_ref(table))
        );
        let rows = catalog.query("cannot read the replica identity", &sql).await?;
        let Some(row) = rows.first() else { continue };
        let same_index = match identity {
            Identity::Index(name) => text(row, 1).rsplit('.').next() == Some(name.as_str()),
            _ => true,
        };
        if text(row, 0) == identity.letter() && same_index {
            continue;
        }
        let sql = format!("ALTER TABLE {} REPLICA IDENTITY {}", table.quoted(), identity.words());
        catalog.query(&format!("cannot set the replica identity with {sql}"), &sql).await?;
        tracing::info!(sql, "replica identity changed");
    }
    Ok(())
}

/// Tables whose updates and deletes the server refuses while they are published.
pub(crate) async fn without(
    catalog: &mut Catalog,
    tables: &[Published],
) -> Result<Vec<TableName>, Fault> {
    let oids: Vec<_> = tables.iter().map(|t| t.oid.to_string()).collect();
    if oids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = ANY('{{{}}}'::oid[]) AND \
         (c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS (\
         SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)))",
        oids.join(",")
    );
    let rows = catalog.query("cannot read the replica identities", &sql).await?;
    let found: Vec<u32> = rows.iter().map(|row| number(row, 0)).collect();
    let among = tables.iter().filter(|t| found.contains(&t.oid));
    Ok(among.map(|t| t.name.clone()).collect())
}

/// Says which tables take inserts only.
pub(super) async fn warn(catalog: &mut Catalog, tables: &[Published]) -> Result<(), Fault> {
    for table in without(catalog, tables).await? {
        let sql = format!("ALTER TABLE {} REPLICA IDENTITY FULL", table.quoted());
        let table = table.to_string();
        tracing::warn!(table, sql, "no replica identity: the server refuses updates and deletes");
    }
    Ok(())
}
