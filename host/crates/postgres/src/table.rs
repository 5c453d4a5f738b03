//! One version of one table: the schema its records carry, and how each column of the server's
//! tuples becomes a field.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use wasmgate_codec::mask::Mask;
use wasmgate_codec::pgoutput::{Relation, TupleValue};
use wasmgate_codec::pgvalue::{BinaryForm, ColumnType, binary_form, column_type};
use wasmgate_model::{ConnectNames, ConnectSchema, Field, Kind, Schema, TransactionParts};

use crate::catalog::{CatalogColumn, TableInfo, TableName};
use crate::literal::schema_default;
use crate::settings::Settings;
use crate::shape::Shape;
use crate::source_block::{context_headers, source_column, source_parts, source_schema};
use crate::source_type::SourceType;

/// A column of the server's tuples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableColumn {
    pub name: String,
    /// `None`: the rows do not have it.
    pub ty: Option<ColumnType>,
    pub nullable: bool,
    /// Text of the constant that stands in the column by default.
    pub default: Option<String>,
    /// Part of the replica identity: old key tuples carry it.
    pub identity: bool,
    /// Part of the record's key.
    pub key: bool,
    /// What is done to its values in rows.
    pub mask: Option<ColumnMask>,
    /// Its number among the fields that only the key has, where the key has it as it is and the
    /// rows have not.
    pub key_only: Option<(usize, ColumnType)>,
    /// How its values are laid out where they come in binary; `None`: they have to come as text.
    pub form: Option<BinaryForm>,
}

impl TableColumn {
    /// The text of a value, whatever form it came in. `None`: it is null, was not sent, or is no
    /// value of the column's type.
    pub(crate) fn text<'v>(&self, value: TupleValue<'v>) -> Option<Cow<'v, [u8]>> {
        match value {
            TupleValue::Text(text) => Some(text.into()),
            TupleValue::Binary(bytes) => {
                let mut text = Vec::new();
                self.form.as_ref()?.text(bytes, &mut text).ok()?;
                Some(text.into())
            }
            TupleValue::Null | TupleValue::Unchanged => None,
        }
    }
}

/// A mask on a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnMask {
    pub mask: Mask,
    /// Length of the column in characters, where it is bounded.
    pub length: Option<usize>,
}

/// A column as the stream, or for a snapshot the catalog, describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Described {
    pub name: String,
    pub type_oid: u32,
    pub type_modifier: i32,
    pub identity: bool,
}

/// One version of one table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub name: TableName,
    pub schema: Arc<Schema>,
    /// In the order of the tuples.
    pub columns: Vec<TableColumn>,
    /// Updates that change none of the rows' columns give no record.
    pub skip_unchanged: bool,
    /// No value is masked, or goes to the key alone.
    plain: bool,
    /// Whether a number without a form in records was met; it is said once.
    pub not_finite: Arc<AtomicBool>,
}

impl Table {
    /// Whether every value goes to its own field as it is.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }
}

/// Ids of schemas. Other sources of the process count from 0 or 1.
static NEXT: AtomicU64 = AtomicU64::new(1 << 40);

/// A schema of JSON documents that are no changes of a table.
pub(crate) fn document_schema(topic: &str) -> Arc<Schema> {
    Arc::new(Schema::open(NEXT.fetch_add(1, Ordering::Relaxed), topic.into(), false))
}

/// What is the same for every table of a source.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    pub topic_prefix: String,
    pub database: String,
    pub shape: Arc<Shape>,
    /// Headers of every record.
    headers: Arc<[(Arc<str>, Arc<str>)]>,
}

/// The stream's description of a table.
pub(crate) fn described(relation: &Relation<'_>) -> Vec<Described> {
    let each = relation.columns.iter().map(|c| Described {
        name: c.name.to_owned(),
        type_oid: c.type_oid,
        type_modifier: c.type_modifier,
        identity: c.key && relation.identity != b'f',
    });
    each.collect()
}

/// The catalog's description of a table, for its snapshot.
pub(crate) fn described_by_catalog(info: &TableInfo, only: Option<&[String]>) -> Vec<Described> {
    let wanted = |name: &String| only.is_none_or(|only| only.contains(name));
    let each = info.columns.iter().filter(|c| wanted(&c.name)).map(|c| Described {
        name: c.name.clone(),
        type_oid: c.type_oid,
        type_modifier: c.type_modifier,
        identity: info.identity_columns().contains(&c.name),
    });
    each.collect()
}

impl TableInfo {
    /// The columns that identify a row where the identity is not FULL.
    fn identity_columns(&self) -> &[String] {
        if self.identity.is_empty() { &self.key } else { &self.identity }
    }
}

/// The fields of a table's version while they are put together.
#[derive(Default)]
struct Fields {
    columns: Vec<TableColumn>,
    rows: Vec<Field>,
    key_only: Vec<Field>,
    /// Names of the key's columns as fields have them.
    key: Vec<Arc<str>>,
}

impl Naming {
    pub(crate) fn new(settings: &Settings) -> Self {
        let shape = Arc::new(settings.shape.clone());
        let headers = context_headers(&settings.topic_prefix);
        Self {
            topic_prefix: settings.topic_prefix.clone(),
            database: settings.database.clone(),
            headers: if shape.context_headers { headers } else { Arc::from([]) },
            shape,
        }
    }

    /// A table's version; a new schema id, unless nothing differs from `before`.
    pub(crate) fn table(
        &self,
        name: TableName,
        described: &[Described],
        info: &TableInfo,
        before: Option<&Table>,
    ) -> Table {
        let rules = &self.shape.columns;
        let key = match rules.key(&name) {
            Some(columns) => columns.to_vec(),
            None => key_of(described, info),
        };
        let mut fields = Fields::default();
        for column in described {
            self.column(&name, column, info, key.contains(&column.name), &mut fields);
        }
        let all = || fields.rows.iter().chain(&fields.key_only);
        let key = key.iter().map(|k| self.shape.names.fields.field(k));
        let key = key.filter(|k| all().any(|f| *f.name == **k)).map(Into::into).collect();
        fields.key = key;
        let columns = std::mem::take(&mut fields.columns);
        let schema = self.schema(&name, fields, before);
        let skip_unchanged = self.shape.skip_unchanged;
        let plain = columns.iter().all(|c| c.mask.is_none() && c.key_only.is_none());
        Table { name, schema, columns, skip_unchanged, plain, not_finite: Arc::default() }
    }

    /// Adds a column of the tuples, and what rows and key have of it.
    fn column(
        &self,
        table: &TableName,
        column: &Described,
        info: &TableInfo,
        key: bool,
        fields: &mut Fields,
    ) {
        let Shape { values, columns: rules, names, .. } = &*self.shape;
        let known = info.columns.iter().find(|c| c.name == column.name);
        let nullable = known.is_none_or(|c| !c.not_null);
        let types = info.types.get(&column.type_oid);
        let ty = column_type(column.type_oid, column.type_modifier, types, values);
        let ty = ty.map(|ty| ty.with_dimensions(known.map_or(0, |c| c.dimensions)));
        if ty.is_none() {
            tracing::warn!(
                table = %table, column = column.name, type_oid = column.type_oid,
                "the column's type has no form in records: the column is left out"
            );
        }
        let name = names.fields.field(&column.name);
        let mask = ty.as_ref().and_then(|ty| self.mask(table, column, ty));
        let in_rows = ty.clone().filter(|_| rules.has(table, &column.name));
        let mut key_only = None;
        if let Some(ty) = ty.filter(|_| key && (mask.is_some() || in_rows.is_none())) {
            fields.key_only.push(ty.field(&name, nullable));
            key_only = Some((fields.key_only.len() - 1, ty));
        }
        if let Some(ty) = &in_rows {
            let mut field = ty.field(&name, nullable);
            if let Some(said) = self.said(table, column, known, ty, mask.as_ref()) {
                field.connect = Some(Arc::new(said));
            }
            fields.rows.push(field);
        }
        fields.columns.push(TableColumn {
            name: column.name.clone(),
            ty: in_rows,
            nullable,
            default: known.and_then(|c| c.default.clone()),
            identity: column.identity,
            key,
            mask,
            key_only,
            form: binary_form(column.type_oid, types),
        });
    }

    /// The mask of a column; where its type has no masked form the log says so.
    fn mask(&self, table: &TableName, column: &Described, ty: &ColumnType) -> Option<ColumnMask> {
        let mask = self.shape.columns.mask(table, &column.name)?;
        let fits = matches!((ty.kind, mask), (Kind::Text, _) | (Kind::Bytes, Mask::Truncate(_)));
        if !fits {
            tracing::warn!(
                table = %table, column = column.name,
                "only text can be masked: the column goes out as it is; exclude it to keep it in"
            );
            return None;
        }
        // varchar, char: the modifier is the length and four
        let bounded = matches!(column.type_oid, 1042 | 1043) && column.type_modifier > 4;
        let length = bounded.then(|| usize::try_from(column.type_modifier - 4).ok()).flatten();
        let whole = matches!((mask, length), (Mask::Truncate(n), Some(length)) if length <= *n);
        (!whole).then(|| ColumnMask { mask: mask.clone(), length })
    }

    /// A column's schema, where more is known than follows from its type: a default, its type in
    /// the database, its mask.
    fn said(
        &self,
        table: &TableName,
        column: &Described,
        known: Option<&CatalogColumn>,
        ty: &ColumnType,
        mask: Option<&ColumnMask>,
    ) -> Option<ConnectSchema> {
        let mut schema = ty.schema();
        let before = schema.clone();
        match mask.map(|m| &m.mask) {
            Some(Mask::Truncate(n)) => schema = schema.with("truncateLength", n.to_string()),
            Some(_) => schema = schema.with("masked", "true"),
            None => {
                let default = known.and_then(|c| schema_default(c, ty));
                schema.default = default.map(Into::into);
            }
        }
        if let Some(known) = known
            && self.shape.columns.says_type(table, &column.name, &known.type_name)
        {
            schema = SourceType::new(&known.type_name, column).said(schema);
        }
        (schema != before).then_some(schema)
    }

    fn schema(&self, name: &TableName, fields: Fields, before: Option<&Table>) -> Arc<Schema> {
        let Fields { rows, key_only, key, .. } = fields;
        if let Some(before) = before.map(|t| &t.schema)
            && (&before.fields, &before.key_only, &before.key) == (&rows, &key_only, &key)
        {
            return Arc::clone(before);
        }
        let topic = topic(&self.topic_prefix, name, &self.shape.names.delimiter);
        let base = self.shape.names.schemas.schema(&topic);
        let (source, source_names) = source_parts(&self.topic_prefix, &self.database, name);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Schema {
            fields: rows,
            key_only,
            key,
            open: false,
            source,
            source_names,
            transaction: Some(TransactionParts {
                id: source_column::BLOCK_ID,
                total_order: source_column::BLOCK_ORDER,
                data_collection_order: source_column::BLOCK_TABLE_ORDER,
            }),
            headers: Arc::clone(&self.headers),
            connect: Some(Arc::new(ConnectNames { base: base.into(), source: source_schema() })),
            unavailable: self.shape.unavailable.as_deref().map(Into::into),
            ..Schema::open(id, topic.into(), true)
        })
    }
}

/// The record's key: the identity's columns, in the order of the index where the catalog still
/// has it; for FULL, NOTHING and tables without one the catalog's key.
fn key_of(described: &[Described], info: &TableInfo) -> Vec<String> {
    let flagged: Vec<&String> = described.iter().filter(|c| c.identity).map(|c| &c.name).collect();
    let same =
        |key: &[String]| key.len() == flagged.len() && key.iter().all(|k| flagged.contains(&k));
    if flagged.is_empty() || same(&info.key) {
        return info.key.clone();
    }
    if same(&info.identity) {
        return info.identity.clone();
    }
    flagged.into_iter().cloned().collect()
}

/// `<prefix>.<schema>.<table>`, or with another `delimiter`; every character that Kafka refuses is
/// replaced by `_`.
pub(crate) fn topic(prefix: &str, name: &TableName, delimiter: &str) -> String {
    let plain = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
        _ => '_',
    };
    let topic = [prefix, &name.schema, &name.table].join(delimiter);
    topic.chars().map(plain).collect()
}
