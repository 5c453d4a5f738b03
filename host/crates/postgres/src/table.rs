//! One version of one table: the schema its records carry, and how each column of the server's
//! tuples becomes a field.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wasmgate_codec::json::write_string;
use wasmgate_codec::pgoutput::Relation;
use wasmgate_codec::pgvalue::{ColumnType, DecimalMode, column_type};
use wasmgate_model::{Column, Field, Kind, Schema, SourcePart, TransactionParts};

use crate::catalog::{TableInfo, TableName};

/// Columns of the envelope's source block; numbers of [`wasmgate_model::Rows::source`].
pub(crate) mod source_column {
    pub(crate) const TIME_US: usize = 0;
    pub(crate) const SNAPSHOT: usize = 1;
    pub(crate) const SEQUENCE: usize = 2;
    pub(crate) const TRANSACTION: usize = 3;
    pub(crate) const LSN: usize = 4;
    pub(crate) const ORIGIN: usize = 5;
    pub(crate) const ORIGIN_LSN: usize = 6;
    pub(crate) const BLOCK_ID: usize = 7;
    pub(crate) const BLOCK_ORDER: usize = 8;
    pub(crate) const BLOCK_TABLE_ORDER: usize = 9;
}

/// Empty columns for the source block.
pub(crate) fn source_columns() -> Vec<Column> {
    use Kind::{Integer, Text};
    [Integer, Text, Text, Integer, Integer, Text, Integer, Text, Integer, Integer]
        .map(Column::new)
        .into()
}

/// A column of the server's tuples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableColumn {
    /// `None`: the type is left out of the records.
    pub ty: Option<ColumnType>,
    pub nullable: bool,
    /// Text of the constant that stands in the column by default.
    pub default: Option<String>,
    /// Part of the replica identity: old key tuples carry it.
    pub identity: bool,
    /// Part of the record's key.
    pub key: bool,
}

/// A column as the stream, or for a snapshot the catalog, describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Whether a number without a form in records was met; it is said once.
    pub not_finite: Arc<AtomicBool>,
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
    pub decimal: DecimalMode,
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

impl Naming {
    /// A table's version; a new schema id, unless nothing differs from `before`.
    pub(crate) fn table(
        &self,
        name: TableName,
        described: &[Described],
        info: &TableInfo,
        before: Option<&Table>,
    ) -> Table {
        let key = key_of(described, info);
        let mut columns = Vec::with_capacity(described.len());
        let mut fields = Vec::with_capacity(described.len());
        for column in described {
            let known = info.columns.iter().find(|c| c.name == column.name);
            let nullable = known.is_none_or(|c| !c.not_null);
            let types = info.types.get(&column.type_oid);
            let ty = column_type(column.type_oid, column.type_modifier, types, self.decimal);
            match &ty {
                Some(ty) => {
                    let (kind, logical) = (ty.kind, ty.logical.clone());
                    fields.push(Field::new(column.name.as_str(), kind, logical, nullable));
                }
                None => tracing::warn!(
                    table = %name, column = column.name, type_oid = column.type_oid,
                    "the column's type has no form in records: the column is left out"
                ),
            }
            let key = key.contains(&column.name);
            let default = known.and_then(|c| c.default.clone());
            columns.push(TableColumn { ty, nullable, default, identity: column.identity, key });
        }
        let key = key.iter().map(|k| k.as_str().into());
        let key = key.filter(|k: &Arc<str>| fields.iter().any(|f| f.name == *k)).collect();
        let schema = self.schema(&name, fields, key, before);
        Table { name, schema, columns, not_finite: Arc::default() }
    }

    fn schema(
        &self,
        name: &TableName,
        fields: Vec<Field>,
        key: Vec<Arc<str>>,
        before: Option<&Table>,
    ) -> Arc<Schema> {
        if let Some(before) = before.map(|t| &t.schema)
            && (&before.fields, &before.key) == (&fields, &key)
        {
            return Arc::clone(before);
        }
        let (source, source_names) = self.source_parts(name);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Schema {
            fields,
            key,
            open: false,
            source,
            source_names,
            transaction: Some(TransactionParts {
                id: source_column::BLOCK_ID,
                total_order: source_column::BLOCK_ORDER,
                data_collection_order: source_column::BLOCK_TABLE_ORDER,
            }),
            ..Schema::open(id, topic(&self.topic_prefix, name).into(), true)
        })
    }

    /// The source block in Debezium's order, as literal text between the values that differ.
    fn source_parts(&self, name: &TableName) -> (Vec<SourcePart>, Vec<(Arc<str>, SourcePart)>) {
        use source_column::{LSN, ORIGIN, ORIGIN_LSN, SEQUENCE, SNAPSHOT, TIME_US, TRANSACTION};
        let text = |value: &str| {
            let mut quoted = Vec::new();
            write_string(value, &mut quoted);
            SourcePart::Literal(String::from_utf8_lossy(&quoted).into())
        };
        let members = [
            ("version", text(concat!("wasmgate-", env!("CARGO_PKG_VERSION")))),
            ("connector", text("postgresql")),
            ("name", text(&self.topic_prefix)),
            ("ts_ms", SourcePart::Millis(TIME_US)),
            ("snapshot", SourcePart::Text(SNAPSHOT)),
            ("db", text(&self.database)),
            ("sequence", SourcePart::Text(SEQUENCE)),
            ("ts_us", SourcePart::Int(TIME_US)),
            ("ts_ns", SourcePart::Nanos(TIME_US)),
            ("schema", text(&name.schema)),
            ("table", text(&name.table)),
            ("txId", SourcePart::Int(TRANSACTION)),
            ("lsn", SourcePart::Int(LSN)),
            ("xmin", SourcePart::Literal("null".into())),
            ("origin", SourcePart::Text(ORIGIN)),
            ("origin_lsn", SourcePart::Int(ORIGIN_LSN)),
        ];
        let mut parts = Vec::new();
        let mut literal = String::from("{");
        for (i, (name, part)) in members.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            literal.push_str(&format!("{comma}\"{name}\":"));
            match part {
                SourcePart::Literal(text) => literal.push_str(text),
                value => {
                    parts.push(SourcePart::Literal(std::mem::take(&mut literal).into()));
                    parts.push(value.clone());
                }
            }
        }
        literal.push('}');
        parts.push(SourcePart::Literal(literal.into()));
        let names = members.into_iter().map(|(name, part)| (name.into(), part)).collect();
        (parts, names)
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

/// `<prefix>.<schema>.<table>` with every character that Kafka refuses replaced by `_`.
pub(crate) fn topic(prefix: &str, name: &TableName) -> String {
    let plain = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
        _ => '_',
    };
    format!("{prefix}.{}.{}", name.schema, name.table).chars().map(plain).collect()
}
