//! Tables made and altered by the sink. Nothing is ever dropped, renamed or narrowed.

use crate::mapping::{self, Palette};
use crate::settings::{Engine, TableSettings};
use crate::shape::{Shape, ShapeField};
use crate::table::{Table, path};
use crate::types::{Type, name};

/// Names of the columns that the sink fills itself.
pub(crate) const VERSION: &str = "_version";
pub(crate) const DELETED: &str = "_is_deleted";
pub(crate) const SIGN: &str = "_sign";
pub(crate) const OP: &str = "_op";
/// The record's key as it came: filled where a table has it.
pub(crate) const KEY: &str = "_key";
/// When the row was written; the server fills it.
const SYNCED: &str = "_synced_at";

/// Blocks whose tokens a table made here remembers.
pub(crate) const WINDOW: u64 = 1000;

/// Names of the sorting key: as configured, else the record's key.
fn order<'a>(shape: &'a Shape, settings: &'a TableSettings) -> Vec<&'a str> {
    match settings.order_by.is_empty() {
        true => shape.key.iter().map(|name| &**name).collect(),
        false => settings.order_by.iter().map(String::as_str).collect(),
    }
}

/// A column that a table made here would be sorted by, and that the records' rows do not have as
/// it is: rows of different keys would replace each other.
pub(crate) fn unsortable<'a>(shape: &'a Shape, settings: &'a TableSettings) -> Option<&'a str> {
    let fields = shape.fields.as_ref()?;
    let comes = |name: &str| settings.takes(name) && fields.iter().any(|f| *f.name == *name);
    let hidden = |name: &str| shape.hidden.iter().any(|h| **h == *name);
    let own = settings.order_by.is_empty();
    order(shape, settings).into_iter().find(|name| !comes(name) || (own && hidden(name)))
}

/// The type of a field's column.
pub(crate) fn column_type(field: &ShapeField, key: bool, palette: Palette) -> Type {
    let bare = mapping::bare(field.kind, &field.logical, palette);
    if field.nullable && !key { mapping::nullable(bare) } else { bare }
}

/// What follows the name in CREATE TABLE and ADD COLUMN.
fn definition(field: &ShapeField, key: bool, palette: Palette) -> String {
    format!("{} {}", name(&field.name), column_type(field, key, palette))
}

/// The statement that makes a table for records of this shape. `None`: they are documents, whose
/// types nobody knows.
pub(crate) fn create(
    database: &str,
    table: &str,
    shape: &Shape,
    settings: &TableSettings,
    palette: Palette,
) -> Option<String> {
    let fields = shape.fields.as_ref()?.iter().filter(|f| settings.takes(&f.name));
    let order = order(shape, settings);
    let is_key = |field: &ShapeField| order.contains(&&*field.name);
    let mut columns: Vec<String> =
        fields.map(|field| definition(field, is_key(field), palette)).collect();
    // Without a key there is nothing to replace by: every change is a row.
    let engine = if order.is_empty() { Engine::Append } else { settings.engine };
    let (engine, own) = match engine {
        Engine::Replacing => (
            format!("ReplacingMergeTree({VERSION}, {DELETED})"),
            vec![format!("{VERSION} UInt128"), format!("{DELETED} UInt8")],
        ),
        Engine::Append => (
            "MergeTree".to_owned(),
            vec![format!("{OP} LowCardinality(String)"), format!("{VERSION} UInt128")],
        ),
        Engine::Collapsing => {
            (format!("CollapsingMergeTree({SIGN})"), vec![format!("{SIGN} Int8")])
        }
    };
    columns.extend(own);
    columns.push(format!("{SYNCED} DateTime64(9, 'UTC') DEFAULT now64(9)"));
    let order: Vec<String> = order.into_iter().map(name).collect();
    let mut sql = format!(
        "CREATE TABLE IF NOT EXISTS {} ({}) ENGINE = {engine}",
        path(database, table),
        columns.join(", ")
    );
    if let Some(partition) = &settings.partition_by {
        sql.push_str(&format!(" PARTITION BY {partition}"));
    }
    sql.push_str(&format!(" ORDER BY ({}) SETTINGS ", order.join(", ")));
    let mut pairs = vec![];
    if !settings.table_settings.contains_key("non_replicated_deduplication_window") {
        pairs.push(format!("non_replicated_deduplication_window = {WINDOW}"));
    }
    let own = settings.table_settings.iter();
    pairs.extend(own.map(|(name, value)| format!("{name} = {}", literal(value))));
    sql.push_str(&pairs.join(", "));
    Some(sql)
}

/// A number as it is, everything else quoted.
fn literal(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(_) => value.to_owned(),
        Err(_) => crate::types::quoted(value),
    }
}

/// What has to be altered so that records of this shape fit: columns that are not there yet, and
/// types that became wider. Empty: nothing.
pub(crate) fn alterations(table: &Table, shape: &Shape, palette: Palette) -> Vec<String> {
    let mut alterations = Vec::new();
    for field in shape.fields.iter().flatten() {
        let Some(column) = table.column(&field.name) else {
            let definition = definition(field, false, palette);
            alterations.push(format!("ADD COLUMN IF NOT EXISTS {definition}"));
            continue;
        };
        let wanted = column_type(field, column.sorting, palette);
        let wider = column.ty.as_ref().and_then(|has| mapping::widened(has, &wanted));
        if let Some(wider) = wider {
            alterations.push(format!("MODIFY COLUMN {} {wider}", name(&field.name)));
        }
    }
    alterations
}
