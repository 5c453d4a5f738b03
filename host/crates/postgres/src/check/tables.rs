//! Publication and tables: are they there, may we make what is missing, may we read them.

use postgres_protocol::escape::escape_literal;
use wasmgate_model::Fault;

use super::Findings;
use crate::catalog::{Catalog, TableName, quote};
use crate::publication::found::{Found, among, any_partitioned, look, own};
use crate::publication::{
    create_publication, missing_tables, named_tables, operations, wanted_tables,
};
use crate::session::{Row, number, text};
use crate::settings::{Snapshot, WireFormat};
use crate::slot_care::PublicationMode;
use crate::wire_format::unknown;

/// The publication, then each table of it that is read.
pub(super) async fn publication(
    catalog: &mut Catalog,
    findings: &mut Findings<'_>,
) -> Result<(), Fault> {
    let settings = findings.settings;
    let named = named_tables(settings)?;
    let found = look(catalog, &settings.publication).await?;
    let wanted = wanted_tables(catalog, settings).await?;
    // Without `tables`, all that the publication holds are read.
    let read: Vec<TableName> = match &found {
        Some(found) if named.is_empty() => {
            let names = found.tables.iter().map(|p| &p.name);
            names.filter(|name| settings.filters.wants(name)).cloned().collect()
        }
        _ => wanted.clone(),
    };
    match &found {
        Some(found) => {
            there(catalog, &named, found, findings).await?;
            wire_format(catalog, findings).await?;
        }
        None => missing(catalog, &wanted, findings).await?,
    }
    for name in &read {
        table(catalog, name, findings).await?;
    }
    Ok(())
}

/// Whether the stream can be had in binary.
async fn wire_format(catalog: &mut Catalog, findings: &mut Findings<'_>) -> Result<(), Fault> {
    if findings.settings.wire_format == WireFormat::Text {
        return Ok(());
    }
    match unknown(catalog, &findings.settings.publication).await? {
        None => findings.good("the stream's values come in binary"),
        Some(column) => findings.good(format!(
            "the stream's values come as text, which costs more: the binary form of {column} is \
             not known"
        )),
    }
    Ok(())
}

async fn there(
    catalog: &mut Catalog,
    named: &[TableName],
    found: &Found,
    findings: &mut Findings<'_>,
) -> Result<(), Fault> {
    let settings = findings.settings;
    let name = &settings.publication;
    let wanted = operations(settings);
    if wanted.iter().any(|op| !found.operations.contains(op)) {
        let sent = found.operations.join(", ");
        let what = format!("publication \"{name}\" sends {sent} only");
        findings.note(what, found.publish(name, &wanted));
    }
    let Some(message) = missing_tables(settings, named, found) else {
        findings.good(format!("publication \"{name}\" has the tables"));
        return Ok(());
    };
    let (what, fix) = message.split_once("; run: ").unwrap_or((&message, "correct `tables`"));
    let missing = found.lacks(named);
    let adds = settings.slot_care.publication == PublicationMode::Filtered
        && !missing.is_empty()
        && !any_partitioned(catalog, &missing).await?;
    if !adds {
        findings.bad(what, fix);
        return Ok(());
    }
    if own(catalog, name, missing.clone()).await?.len() == missing.len() {
        findings.good(format!("{what}; it will be added: {fix}"));
    } else {
        findings.bad(format!("{what}, and it may not be added"), fix);
    }
    Ok(())
}

async fn missing(
    catalog: &mut Catalog,
    named: &[TableName],
    findings: &mut Findings<'_>,
) -> Result<(), Fault> {
    let settings = findings.settings;
    let (name, mode) = (&settings.publication, settings.slot_care.publication);
    let what = format!("publication \"{name}\" does not exist");
    if named.is_empty() && mode == PublicationMode::Filtered {
        findings.bad(what, "name the `tables`, or create it");
        return Ok(());
    }
    let partitioned = any_partitioned(catalog, named).await?;
    let sql = create_publication(settings, named, partitioned);
    if mode == PublicationMode::Disabled {
        findings.bad(what, sql);
        return Ok(());
    }
    let ask = format!(
        "SELECT has_database_privilege({}, 'CREATE'), rolsuper FROM pg_catalog.pg_roles \
         WHERE rolname = current_user",
        escape_literal(&settings.database)
    );
    let rows = catalog.query("cannot read the database's privileges", &ask).await?;
    let (create, superuser) =
        rows.first().map_or((false, false), |r| (text(r, 0) == "t", text(r, 1) == "t"));
    let (database, role) = (quote(&settings.database), findings.role());
    if mode == PublicationMode::AllTables && !superuser {
        let who = "a superuser has to create it";
        findings.bad(format!("{what}, and {who} for all tables"), sql);
    } else if !create {
        let grant =
            format!("GRANT CREATE ON DATABASE {database} TO {role}; or, by the owner: {sql}");
        findings.bad(format!("{what} and may not be created"), grant);
    } else if let Some(table) = foreign(catalog, name, named).await? {
        let owner = format!("{} has to be owned by {role}", table.quoted());
        findings
            .bad(format!("{what} and may not be created: {owner}"), format!("by the owner: {sql}"));
    } else {
        findings.good(format!("publication \"{name}\" will be created: {sql}"));
    }
    Ok(())
}

/// The first table that is not ours to publish.
async fn foreign(
    catalog: &mut Catalog,
    publication: &str,
    tables: &[TableName],
) -> Result<Option<TableName>, Fault> {
    let own = own(catalog, publication, tables.to_vec()).await?;
    Ok(tables.iter().find(|table| !own.contains(table)).cloned())
}

async fn table(
    catalog: &mut Catalog,
    table: &TableName,
    findings: &mut Findings<'_>,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT c.relkind, c.relpersistence, has_schema_privilege(n.oid, 'USAGE'), \
         has_table_privilege(c.oid, 'SELECT'), c.relreplident, \
         (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), \
         row_security_active(c.oid), \
         (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique \
          AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) \
         {}",
        among(std::slice::from_ref(table))
    );
    let rows = catalog.query("cannot read the table's privileges", &sql).await?;
    let Some(row) = rows.first() else {
        findings.bad(format!("{table} does not exist"), "correct `tables`");
        return Ok(());
    };
    if !matches!(text(row, 0), "r" | "p") {
        findings.bad(format!("{table} is not a table"), "name tables; views are not in the log");
        return Ok(());
    }
    if text(row, 1) != "p" {
        let what = format!("{table} is not logged: its changes are not in the log");
        findings.bad(what, format!("ALTER TABLE {} SET LOGGED", table.quoted()));
        return Ok(());
    }
    readable(table, row, findings);
    keyed(table, row, findings);
    Ok(())
}

/// Only the snapshot reads tables; changes come from the log.
fn readable(table: &TableName, row: &Row, findings: &mut Findings<'_>) {
    let (quoted, role) = (table.quoted(), findings.role());
    let mut grants = Vec::new();
    if text(row, 2) != "t" {
        grants.push(format!("GRANT USAGE ON SCHEMA {} TO {role}", quote(&table.schema)));
    }
    if text(row, 3) != "t" {
        grants.push(format!("GRANT SELECT ON {quoted} TO {role}"));
    }
    let snapshot = findings.settings.snapshot != Snapshot::Never;
    match (grants.is_empty(), snapshot) {
        (true, _) => findings.good(format!("{table} can be read")),
        (false, true) => findings.bad(format!("{table} cannot be read"), grants.join("; ")),
        (false, false) => findings.note(
            format!("{table} cannot be read: there can be no snapshot of it"),
            grants.join("; "),
        ),
    }
    if text(row, 6) == "t" {
        findings.bad(
            format!("row security hides rows of {table} from us: a snapshot would lack them"),
            format!("ALTER ROLE {role} BYPASSRLS"),
        );
    }
}

fn keyed(table: &TableName, row: &Row, findings: &mut Findings<'_>) {
    let quoted = table.quoted();
    let (identity, primary) = (text(row, 4), number::<i64>(row, 5) > 0);
    if identity == "n" || (identity == "d" && !primary) {
        findings.note(
            format!(
                "{table} has no replica identity: while it is published the server refuses \
                     its updates and deletes"
            ),
            format!(
                "ALTER TABLE {quoted} ADD PRIMARY KEY (COLUMN), or ALTER TABLE {quoted} \
                     REPLICA IDENTITY FULL"
            ),
        );
    }
    if !primary && number::<i64>(row, 7) == 0 {
        findings.note(
            format!("{table} has no key: its records have none either"),
            format!("ALTER TABLE {quoted} ADD PRIMARY KEY (COLUMN)"),
        );
    }
}
