//! Whether the stream's values come in binary: pgoutput is asked for that of all of them at once.
//! They do where that form is known here of every column that the publication sends, and come as
//! text where it is not: arrays of types without such a form would stop the server, and forms that
//! are unknown cannot be read.
//!
//! A table may get such a column later, and the log may tell of one that is gone: the source then
//! opens again, and asks for text from there on.

use postgres_protocol::escape::escape_literal;
use wasmgate_codec::pgvalue::{binary_form, is_built_in};
use wasmgate_model::{Fault, FaultKind};

use crate::catalog::Catalog;
use crate::session::{number, text};
use crate::settings::{Settings, WireFormat};
use crate::table::Table;

/// Code of the fault after which the source asks for text.
pub(crate) const TEXT_ONLY: &str = "wire-format";

/// Whether the stream's values can come in binary.
pub(crate) async fn is_binary(catalog: &mut Catalog, settings: &Settings) -> Result<bool, Fault> {
    if settings.wire_format == WireFormat::Text {
        return Ok(false);
    }
    let unknown = unknown(catalog, &settings.publication).await?;
    if let Some(column) = &unknown {
        tracing::info!(
            column,
            "the stream's values come as text: the binary form of this column's type is not known"
        );
    }
    Ok(unknown.is_none())
}

/// A column of the publication whose type has no binary form that is known here, with its type.
pub(crate) async fn unknown(
    catalog: &mut Catalog,
    publication: &str,
) -> Result<Option<String>, Fault> {
    let sql = format!(
        "SELECT a.atttypid, \
         min(p.schemaname || '.' || p.tablename || '.' || a.attname) || ' (' || \
         pg_catalog.format_type(a.atttypid, NULL) || ')', \
         bool_and(t.typsend <> 0 AND coalesce(e.typsend <> 0, true)) \
         FROM pg_catalog.pg_publication_tables p \
         JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
           AND NOT a.attisdropped \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem \
         WHERE p.pubname = {} \
           AND coalesce(to_jsonb(p) -> 'attnames' ? a.attname::text, true) \
         GROUP BY 1 ORDER BY 2",
        escape_literal(publication)
    );
    let rows = catalog.query("cannot read the publication's types", &sql).await?;
    for row in &rows {
        let oid = number(row, 0);
        let info = match is_built_in(oid) {
            true => None,
            false => Some(catalog.type_info(oid).await?),
        };
        if text(row, 2) != "t" || binary_form(oid, info.as_ref()).is_none() {
            return Ok(Some(text(row, 1).to_owned()));
        }
    }
    Ok(None)
}

/// The fault where a table has a column whose values cannot be read in binary.
pub(crate) fn unreadable(table: &Table) -> Option<Fault> {
    let column = table.columns.iter().find(|column| column.form.is_none())?;
    let what = format!(
        "column {} of {} has a type whose binary form is not known; reading begins again, with \
         values as text",
        column.name, table.name
    );
    Some(Fault::new(FaultKind::SourceUnavailable, what).coded(TEXT_ONLY))
}
