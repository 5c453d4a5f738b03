//! One version of one table: the schema its records carry, and how each column of the server's
//! rows becomes a field.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmgate_codec::json::write_string;
use wasmgate_codec::mysqlvalue::{
    Charset, ColumnType, Described, TableMap, Wire, column_type, wire,
};
use wasmgate_model::{Column, Fault, Field, Kind, Schema, SourcePart, TransactionParts};

use crate::catalog::{Charsets, TableName};
use crate::connect::Session;
use crate::definition::{ColumnDefinition, TableDefinition, TypeText};
use crate::settings::Settings;

/// Columns of the envelope's source block; numbers of [`wasmgate_model::Rows::source`].
pub(crate) mod source_column {
    pub(crate) const TIME_US: usize = 0;
    pub(crate) const SNAPSHOT: usize = 1;
    pub(crate) const SERVER_ID: usize = 2;
    pub(crate) const GTID: usize = 3;
    pub(crate) const FILE: usize = 4;
    pub(crate) const POS: usize = 5;
    pub(crate) const ROW: usize = 6;
    pub(crate) const THREAD: usize = 7;
    pub(crate) const QUERY: usize = 8;
    pub(crate) const TRANSACTION: usize = 9;
    pub(crate) const TOTAL_ORDER: usize = 10;
    pub(crate) const TABLE_ORDER: usize = 11;
}

/// Empty columns for the source block.
pub(crate) fn source_columns() -> Vec<Column> {
    use Kind::{Integer, Text};
    let kinds = [
        Integer, Text, Integer, Text, Text, Integer, Integer, Integer, Text, Text, Integer, Integer,
    ];
    kinds.map(Column::new).into()
}

/// One version of one table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub name: TableName,
    pub schema: Arc<Schema>,
    /// How the columns stand in rows events; empty for a table that only a snapshot read.
    pub wires: Vec<Wire>,
    /// `None`: the column is left out of the records.
    pub types: Vec<Option<ColumnType>>,
    /// Whether a column is part of the key.
    pub keys: Vec<bool>,
}

/// Makes tables.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    pub settings: Arc<Settings>,
    pub maria: bool,
    pub charsets: Charsets,
}

impl Naming {
    /// Makes every character set of a table known.
    pub(crate) async fn prepare(
        &mut self,
        session: &mut Session,
        definition: &TableDefinition,
    ) -> Result<(), Fault> {
        for column in &definition.columns {
            if let Some(name) = &column.charset {
                self.charsets.load(session, name).await?;
            }
        }
        Ok(())
    }

    /// A table's version; a new schema id, unless nothing differs from `before`.
    pub(crate) fn table(
        &self,
        name: &TableName,
        definition: &TableDefinition,
        map: Option<&TableMap>,
        before: Option<&Table>,
    ) -> Table {
        let mut types = Vec::with_capacity(definition.columns.len());
        let mut fields = Vec::with_capacity(definition.columns.len());
        let mut wires = Vec::new();
        for (i, column) in definition.columns.iter().enumerate() {
            let parsed = TypeText::parse(&column.column_type);
            let mut ty = self.column(column, &parsed);
            if let Some(mapped) = map.and_then(|m| m.columns.get(i)) {
                wires.extend(wire(mapped, parsed.unsigned));
            }
            match &mut ty {
                Some(ty) => fields.push(self.field(column, ty)),
                None => tracing::warn!(
                    database = name.0,
                    table = name.1,
                    column = column.name,
                    column_type = column.column_type,
                    "the column's type has no form in records: the column is left out"
                ),
            }
            types.push(ty);
        }
        let has = |k: &&String| fields.iter().any(|f| *f.name == ***k);
        let key: Vec<Arc<str>> =
            definition.key.iter().filter(has).map(|k| k.as_str().into()).collect();
        let keys = definition.columns.iter().map(|c| key.iter().any(|k| **k == *c.name)).collect();
        let schema = self.schema(name, fields, key, before);
        Table { name: name.clone(), schema, wires, types, keys }
    }

    fn column(&self, column: &ColumnDefinition, parsed: &TypeText) -> Option<ColumnType> {
        const NONE: &Charset = &Charset::Binary;
        let charset = column.charset.as_deref().and_then(|name| self.charsets.get(name));
        // `char(5) character set binary` is printed as binary(5); bytes have no character set.
        let text = matches!(
            parsed.name.as_str(),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext"
        );
        let charset = charset.or(if text { None } else { Some(NONE) });
        let temporal = matches!(parsed.name.as_str(), "time" | "datetime" | "timestamp");
        let scaled = matches!(parsed.name.as_str(), "decimal" | "float" | "double");
        let small = |i: usize| parsed.argument(i).and_then(|n| u8::try_from(n).ok());
        let length = match (parsed.name.as_str(), parsed.argument(0)) {
            (_, Some(n)) => n,
            ("decimal", None) => 10,
            (_, None) => 1,
        };
        let described = Described {
            data_type: &parsed.name,
            unsigned: parsed.unsigned,
            charset,
            labels: &parsed.labels,
            length,
            scale: if scaled { small(1) } else { None },
            digits: if temporal { small(0).unwrap_or(0) } else { 0 },
            nullable: column.nullable,
        };
        column_type(&described, &self.settings.modes)
    }

    fn field(&self, column: &ColumnDefinition, ty: &ColumnType) -> Field {
        let mut field =
            Field::new(column.name.as_str(), ty.kind, ty.logical.clone(), column.nullable);
        field.style = ty.style;
        field
    }

    fn schema(
        &self,
        name: &TableName,
        fields: Vec<Field>,
        key: Vec<Arc<str>>,
        before: Option<&Table>,
    ) -> Arc<Schema> {
        // Other sources of the process count from elsewhere.
        static NEXT: AtomicU64 = AtomicU64::new(1 << 41);
        if let Some(before) = before.map(|t| &t.schema)
            && (&before.fields, &before.key) == (&fields, &key)
        {
            return Arc::clone(before);
        }
        let (source, source_names) = self.source_parts(name);
        let topic: Arc<str> = topic(&self.settings.topic_prefix, name).into();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let transaction = self.settings.transaction_metadata.then_some(TransactionParts {
            id: source_column::TRANSACTION,
            total_order: source_column::TOTAL_ORDER,
            data_collection_order: source_column::TABLE_ORDER,
        });
        Arc::new(Schema {
            fields,
            key,
            open: false,
            source,
            source_names,
            transaction,
            ..Schema::open(id, topic, true)
        })
    }

    /// The source block in Debezium's order, as literal text between the values that differ.
    fn source_parts(&self, name: &TableName) -> (Vec<SourcePart>, Vec<(Arc<str>, SourcePart)>) {
        use source_column::{FILE, GTID, POS, QUERY, ROW, SERVER_ID, SNAPSHOT, THREAD, TIME_US};
        let text = |value: &str| {
            let mut quoted = Vec::new();
            write_string(value, &mut quoted);
            SourcePart::Literal(String::from_utf8_lossy(&quoted).into())
        };
        let members = [
            ("version", text(concat!("wasmgate-", env!("CARGO_PKG_VERSION")))),
            ("connector", text(if self.maria { "mariadb" } else { "mysql" })),
            ("name", text(&self.settings.topic_prefix)),
            ("ts_ms", SourcePart::Millis(TIME_US)),
            ("snapshot", SourcePart::Text(SNAPSHOT)),
            ("db", text(&name.0)),
            ("sequence", SourcePart::Literal("null".into())),
            ("ts_us", SourcePart::Int(TIME_US)),
            ("ts_ns", SourcePart::Nanos(TIME_US)),
            ("table", text(&name.1)),
            ("server_id", SourcePart::Int(SERVER_ID)),
            ("gtid", SourcePart::Text(GTID)),
            ("file", SourcePart::Text(FILE)),
            ("pos", SourcePart::Int(POS)),
            ("row", SourcePart::Int(ROW)),
            ("thread", SourcePart::Int(THREAD)),
            ("query", SourcePart::Text(QUERY)),
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

/// `<prefix>.<database>.<table>` with every character that Kafka refuses replaced by `_`.
pub(crate) fn topic(prefix: &str, (database, table): &TableName) -> String {
    let plain = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
        _ => '_',
    };
    format!("{prefix}.{database}.{table}").chars().map(plain).collect()
}
