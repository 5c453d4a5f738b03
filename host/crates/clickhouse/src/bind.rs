//! A shape of records bound to a table: which column gets which field, checked by name, type and
//! key before a byte is sent, because the server leaves out what it does not know.

use sha2::{Digest, Sha256};
use wasmgate_model::{Fault, FaultKind, Kind, Logical};

use crate::ddl::{KEY, OP, VERSION};
use crate::native::{fits, read_as};
use crate::settings::TableSettings;
use crate::shape::{Shape, ShapeField};
use crate::table::{Family, Table, TableColumn};
use crate::types::{Type, name};

/// Where a column's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Number in [`Binding::fields`].
    Field(usize),
    /// The record's position.
    Version,
    Deleted,
    Sign,
    Op,
    /// The record's key, as bytes.
    Key,
}

/// A column of the insert.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) origin: Origin,
    /// Part of the sorting key: a delete needs it too.
    pub(crate) key: bool,
}

/// How a delete is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletes {
    /// The key with 1 in the deletion column.
    Marked,
    /// The old row with sign -1.
    Cancelled,
    /// A row with its operation.
    Logged,
    /// Not at all: they are misfits.
    Nowhere,
}

/// How records of one shape are written into one table.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) columns: Vec<Bound>,
    /// Fields with a column; of documents, what is looked for in them.
    pub(crate) fields: Vec<ShapeField>,
    pub(crate) documents: bool,
    /// Names of document members that are known and not written.
    pub(crate) passed_over: Vec<String>,
    pub(crate) deletes: Deletes,
    /// A value that the source did not send is NULL: the table keeps what it had.
    pub(crate) absent_is_null: bool,
    pub(crate) sql: String,
    /// Changes when names or types of what is sent change.
    pub(crate) version: [u8; 16],
    /// `database.table`, for people.
    pub(crate) table: String,
}

fn refused(message: String) -> Fault {
    Fault::new(FaultKind::SinkRefused, message)
}

/// Binds.
///
/// # Errors
/// A field has no column, or one of another type; the key is not covered; the table's version
/// column holds no position. The message says what to do.
pub(crate) fn bind(
    table: &Table,
    shape: &Shape,
    settings: &TableSettings,
) -> Result<Binding, Fault> {
    let shown = format!("{}.{}", table.database, table.name);
    let meta = meta(table, &shown)?;
    let own = |name: &str| meta.iter().any(|(column, _)| column == name);
    let mut passed_over = settings.exclude.clone();
    let fields: Vec<ShapeField> = match &shape.fields {
        Some(fields) => fields.iter().filter(|f| settings.takes(&f.name)).cloned().collect(),
        None => {
            let columns = table.columns.iter().filter(|c| c.insertable && !own(&c.name));
            let wanted = columns.filter(|c| settings.takes(&c.name));
            wanted.filter_map(document_field).collect()
        }
    };
    let mut columns = Vec::with_capacity(fields.len() + meta.len());
    for (number, field) in fields.iter().enumerate() {
        let column = table.column(&field.name).ok_or_else(|| missing(field, &shown))?;
        columns.push(bound(number, field, column, shape.fields.is_none(), &shown)?);
    }
    if shape.fields.is_none() && !settings.include.is_empty() {
        let rest = table.columns.iter().map(|c| &c.name).filter(|n| !settings.takes(n));
        passed_over.extend(rest.cloned());
    }
    let keyed = own(KEY);
    let comes = |name: &str| columns.iter().any(|c| c.name == name) || (keyed && name == KEY);
    covered(table, comes, &shown)?;
    let deletes = deletes(&meta);
    for (column, origin) in meta {
        let Some(found) = table.column(&column) else { continue };
        let ty = found.ty.clone().unwrap_or(Type::Text);
        columns.push(Bound { name: column, ty, origin, key: found.sorting });
    }
    let names: Vec<String> = columns.iter().map(|column| name(&column.name)).collect();
    let sql = format!("INSERT INTO {} ({}) FORMAT Native", table.path(), names.join(", "));
    Ok(Binding {
        version: version(&columns),
        columns,
        fields,
        documents: shape.fields.is_none(),
        passed_over,
        deletes,
        absent_is_null: shape.fields.is_none() || table.family == Family::Coalescing,
        sql,
        table: shown,
    })
}

/// What is looked for in documents for a column. `None`: a type that this sink does not write.
fn document_field(column: &TableColumn) -> Option<ShapeField> {
    let ty = column.ty.as_ref()?;
    let (kind, logical) = read_as(ty);
    Some(ShapeField {
        name: column.name.as_str().into(),
        kind,
        logical,
        nullable: ty.is_nullable() || column.default,
        own: None,
        written: None,
    })
}

fn missing(field: &ShapeField, table: &str) -> Fault {
    let column = &field.name;
    refused(format!(
        "table {table} has no column `{column}`; add it, set `evolve: true`, or list it in \
         `exclude` (the server would leave it out without a word)"
    ))
}

fn bound(
    number: usize,
    field: &ShapeField,
    column: &TableColumn,
    document: bool,
    table: &str,
) -> Result<Bound, Fault> {
    let (name, written) = (&column.name, &column.written);
    if !column.insertable {
        return Err(refused(format!(
            "column `{name}` of {table} is computed by the server; list it in `exclude`"
        )));
    }
    let Some(ty) = &column.ty else {
        return Err(refused(format!(
            "column `{name}` of {table} has the type {written}, which this sink does not write; \
             alter it, or list it in `exclude`"
        )));
    };
    if !fits(field.kind, &field.logical, ty) {
        let kind = field.kind.name();
        return Err(refused(format!(
            "column `{name}` of {table} is {written}, and the record's field is of kind {kind}; \
             alter the column, or list it in `exclude`"
        )));
    }
    // NULL stands for the column's own default there: `input_format_null_as_default`.
    let defaulted = document && column.default && !ty.is_nullable();
    let ty = if defaulted { crate::mapping::nullable(ty.clone()) } else { ty.clone() };
    Ok(Bound { name: name.clone(), ty, origin: Origin::Field(number), key: column.sorting })
}

/// The columns that the sink fills itself: those of the engine, and the log's where they are there.
fn meta(table: &Table, shown: &str) -> Result<Vec<(String, Origin)>, Fault> {
    let mut meta = Vec::new();
    match &table.family {
        Family::Replacing { version, deleted } => {
            if let Some(version) = version {
                whole(table, version, shown)?;
                meta.push((version.clone(), Origin::Version));
            }
            meta.extend(deleted.iter().map(|name| (name.clone(), Origin::Deleted)));
        }
        Family::Collapsing { sign } => meta.push((sign.clone(), Origin::Sign)),
        Family::Coalescing | Family::Other => {
            if table.column(VERSION).is_some() {
                whole(table, VERSION, shown)?;
                meta.push((VERSION.to_owned(), Origin::Version));
            }
        }
    }
    if table.column(OP).is_some() {
        meta.push((OP.to_owned(), Origin::Op));
    }
    if table.column(KEY).is_some_and(|c| c.ty.as_ref().map(Type::bare) == Some(&Type::Text)) {
        meta.push((KEY.to_owned(), Origin::Key));
    }
    Ok(meta)
}

/// A version column has to hold both halves of a position.
fn whole(table: &Table, version: &str, shown: &str) -> Result<(), Fault> {
    let column = table.column(version);
    if matches!(column.and_then(|c| c.ty.as_ref()), Some(Type::Int { bits: 128, signed: false })) {
        return Ok(());
    }
    let found = column.map_or("not there", |c| c.written.as_str());
    Err(refused(format!(
        "the version column `{version}` of {shown} is {found}, expected UInt128: a position has \
         two halves of 64 bits; make a new table with it"
    )))
}

/// Whether records of a shape can have a row in the table at all: looked at before it is altered
/// for them.
///
/// # Errors
/// They lack a column of the sorting key.
pub(crate) fn keyed(table: &Table, shape: &Shape, settings: &TableSettings) -> Result<(), Fault> {
    let Some(fields) = &shape.fields else { return Ok(()) };
    let shown = format!("{}.{}", table.database, table.name);
    let comes = |name: &str| settings.takes(name) && fields.iter().any(|f| *f.name == *name);
    covered(table, |name| comes(name) || name == KEY, &shown)
}

/// Every column of the sorting key needs a value.
fn covered(table: &Table, comes: impl Fn(&str) -> bool, shown: &str) -> Result<(), Fault> {
    let mut keys = table.columns.iter().filter(|column| column.sorting && column.insertable);
    let bare = keys.find(|key| !key.default && !comes(&key.name));
    bare.map_or(Ok(()), |key| {
        Err(refused(format!(
            "column `{}` is part of the sorting key of {shown}, and the records have no such \
             field; every row would count as the same",
            key.name
        )))
    })
}

fn deletes(meta: &[(String, Origin)]) -> Deletes {
    let has = |origin| meta.iter().any(|(_, o)| *o == origin);
    if has(Origin::Deleted) {
        Deletes::Marked
    } else if has(Origin::Sign) {
        Deletes::Cancelled
    } else if has(Origin::Op) {
        Deletes::Logged
    } else {
        Deletes::Nowhere
    }
}

fn version(columns: &[Bound]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for column in columns {
        hash.update(column.name.as_bytes());
        hash.update([0]);
        hash.update(column.ty.to_string().as_bytes());
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// Kind and meaning of a field, for its cells.
pub(crate) fn kind(field: &ShapeField) -> (Kind, &Logical) {
    (field.kind, &field.logical)
}
