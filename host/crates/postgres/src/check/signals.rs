//! The signal table: what it has to be to carry signals, and our marks where these go into it.

use wasmgate_model::Fault;

use super::Findings;
use crate::catalog::{Catalog, TableName, quote};
use crate::publication::found::{Found, among, look};
use crate::session::{Row, number, text};
use crate::snapshot::options::Watermarks;

/// Names of the columns where there are none, and characters that our marks need in each: an id
/// with a suffix, `snapshot-window-close`, two times in JSON.
const COLUMNS: [(&str, i32); 3] = [("id", 42), ("type", 21), ("data", 128)];

/// Everything about the signal table, where there is one.
pub(super) async fn signals(
    catalog: &mut Catalog,
    findings: &mut Findings<'_>,
) -> Result<(), Fault> {
    let settings = findings.settings;
    let Some(table) = settings.signals.table() else { return Ok(()) };
    let watermarks = settings.snapshots.watermarks;
    let marks = matches!(watermarks, Watermarks::InsertInsert | Watermarks::InsertDelete);
    let sql = format!(
        "SELECT has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'INSERT'), \
         has_table_privilege(c.oid, 'DELETE'), has_table_privilege(c.oid, 'SELECT'), \
         c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS (SELECT 1 FROM \
         pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)), \
         pg_catalog.pg_is_in_recovery() {}",
        among(std::slice::from_ref(&table))
    );
    let rows = catalog.query("cannot read the signal table", &sql).await?;
    let Some(row) = rows.first() else {
        let create = format!(
            "CREATE TABLE {} (id varchar(64) PRIMARY KEY, type varchar(32) NOT NULL, \
             data varchar(2048))",
            table.quoted()
        );
        findings.bad(format!("the signal table {table} does not exist"), create);
        return Ok(());
    };
    let before = findings.all.iter().filter(|f| !f.ok).count();
    columns(catalog, &table, marks, findings).await?;
    if marks {
        privileges(&table, row, watermarks, findings);
    }
    published(catalog, &table, (row, watermarks), findings).await?;
    if findings.all.iter().filter(|f| !f.ok).count() == before {
        findings.good(format!("the signal table {table} fits"));
    }
    Ok(())
}

/// Id, type and data are the first three, whatever their names, and text.
async fn columns(
    catalog: &mut Catalog,
    table: &TableName,
    marks: bool,
    findings: &mut Findings<'_>,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT a.attname, t.typname, t.typcategory, a.atttypmod, a.attnotnull AND NOT a.atthasdef \
         AND a.attidentity = '' FROM pg_catalog.pg_attribute a \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = (SELECT c.oid {}) \
         ORDER BY a.attnum",
        among(std::slice::from_ref(table))
    );
    let rows = catalog.query("cannot read the signal table", &sql).await?;
    let alter = format!("ALTER TABLE {}", table.quoted());
    let missing = COLUMNS.get(rows.len()..).unwrap_or(&[]);
    if !missing.is_empty() {
        let add: Vec<String> =
            missing.iter().map(|(name, _)| format!("ADD COLUMN {name} text")).collect();
        let (found, add) = (rows.len(), add.join(", "));
        let what = format!("the signal table {table} has {found} columns, not three");
        findings.bad(what, format!("{alter} {add}"));
    }
    let (mut unfit, mut fix) = (Vec::new(), Vec::new());
    for (row, (_, characters)) in rows.iter().zip(COLUMNS) {
        let (name, ty) = (text(row, 0), text(row, 1));
        // char(n) comes with its spaces.
        let plain = text(row, 2) == "S" && ty != "bpchar";
        let bound = number::<i32>(row, 3) - 4;
        let short = marks && ty == "varchar" && bound > 0 && bound < characters;
        if !plain || short {
            let said = if short { format!("{name} {ty}({bound})") } else { format!("{name} {ty}") };
            unfit.push(said);
            fix.push(format!("ALTER COLUMN {} TYPE text", quote(name)));
        }
    }
    if !unfit.is_empty() {
        let what = format!(
            "columns of the signal table {table} do not hold the text of signals: {}",
            unfit.join(", ")
        );
        findings.bad(what, format!("{alter} {}", fix.join(", ")));
    }
    let further = rows.iter().skip(COLUMNS.len()).filter(|row| text(row, 4) == "t");
    let further: Vec<String> =
        further.map(|row| format!("ALTER COLUMN {} DROP NOT NULL", quote(text(row, 0)))).collect();
    if marks && !further.is_empty() {
        let what = format!("the signal table {table} has further columns that have to be given");
        findings.bad(what, format!("{alter} {}", further.join(", ")));
    }
    Ok(())
}

/// Marks are rows that we write.
fn privileges(table: &TableName, row: &Row, watermarks: Watermarks, findings: &mut Findings<'_>) {
    if text(row, 5) == "t" {
        findings.bad(
            "the server is a standby: marks cannot be written into its signal table",
            "choose `snapshots.watermarks: read_only`",
        );
        return;
    }
    let (quoted, role) = (table.quoted(), findings.role());
    let mut grants = Vec::new();
    if text(row, 0) != "t" {
        grants.push(format!("GRANT USAGE ON SCHEMA {} TO {role}", quote(&table.schema)));
    }
    let mut needed = vec![("INSERT", 1)];
    if watermarks == Watermarks::InsertDelete {
        // DELETE looks at the id.
        needed.extend([("DELETE", 2), ("SELECT", 3)]);
    }
    let lacking: Vec<&str> =
        needed.into_iter().filter(|(_, i)| text(row, *i) != "t").map(|(name, _)| name).collect();
    if !lacking.is_empty() {
        grants.push(format!("GRANT {} ON {quoted} TO {role}", lacking.join(", ")));
    }
    if !grants.is_empty() {
        let what = format!("marks of chunks may not be written into the signal table {table}");
        findings.bad(what, grants.join("; "));
    }
}

/// What is inserted has to reach us.
async fn published(
    catalog: &mut Catalog,
    table: &TableName,
    (row, watermarks): (&Row, Watermarks),
    findings: &mut Findings<'_>,
) -> Result<(), Fault> {
    let settings = findings.settings;
    if !settings.filters.wants(table) {
        let what = format!("`filters` leave the signal table {table} out");
        findings.bad(what, "include it in `filters`");
    }
    let name = &settings.publication;
    // Where it is missing it is said elsewhere; where we make it, it will have the table.
    let Some(found): Option<Found> = look(catalog, name).await? else { return Ok(()) };
    let alter = format!("ALTER PUBLICATION {}", quote(name));
    // Of `tables` and the signal table with them another finding speaks.
    if settings.tables.is_empty() && !found.lacks(std::slice::from_ref(table)).is_empty() {
        let what = format!("publication \"{name}\" does not contain the signal table {table}");
        findings.bad(what, format!("{alter} ADD TABLE {}", table.quoted()));
    }
    if !found.operations.contains(&"insert") {
        let what = format!("publication \"{name}\" sends no inserts: no signal would come");
        findings.bad(what, found.publish(name, &["insert"]));
    }
    let deletes = watermarks == Watermarks::InsertDelete && found.operations.contains(&"delete");
    if deletes && text(row, 4) == "t" {
        let what = format!(
            "the signal table {table} has no replica identity: the server refuses to delete our \
             marks"
        );
        findings.bad(what, format!("ALTER TABLE {} REPLICA IDENTITY FULL", table.quoted()));
    }
    Ok(())
}
