//! One version of one table: the schema its records carry, and how each column of the server's
//! rows becomes a field.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmgate_codec::json::write_string;
use wasmgate_codec::mask::Mask;
use wasmgate_codec::mysqlvalue::{
    BigintMode, Charset, ColumnType, Datum, DecimalMode, Described, Modes, TableMap, TimeMode,
    Wires, column_type, push, wire,
};
use wasmgate_model::{
    Column, ConnectNames, Fault, Field, Kind, Schema, SourcePart, Style, TransactionParts, Values,
};

use crate::catalog::{Charsets, TableName};
use crate::connect::Session;
use crate::definition::{ColumnDefinition, TableDefinition, TypeText};
use crate::said;
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

/// Modes that tell any two values apart.
const EXACT: Modes = Modes {
    decimal: DecimalMode::String,
    bigint: BigintMode::Long,
    time: TimeMode::Microseconds,
    adjust_years: false,
    binary: Style::Plain,
};

/// Ids of schemas. Other sources of the process count from elsewhere.
static NEXT: AtomicU64 = AtomicU64::new(1 << 41);

/// A schema of JSON documents that are no changes of a table.
pub(crate) fn document_schema(topic: &str) -> Arc<Schema> {
    Arc::new(Schema::open(NEXT.fetch_add(1, Ordering::Relaxed), topic.into(), false))
}

/// One version of one table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub name: TableName,
    pub schema: Arc<Schema>,
    /// How the columns stand in rows events; empty for a table that only a snapshot read.
    pub wires: Wires,
    /// `None`: the column is left out of the records.
    pub types: Vec<Option<ColumnType>>,
    /// Names of all columns and what their values are, whatever of them is in records.
    pub all: Vec<(String, Option<ColumnType>)>,
    /// Whether a change of a column is a change of the key.
    pub keys: Vec<bool>,
    /// Masks by number of the field.
    pub masks: Vec<(usize, FieldMask)>,
    /// Columns (their numbers) that only the key has as they are.
    pub key_only: Vec<(usize, ColumnType)>,
}

/// A mask on a field.
#[derive(Debug, Clone)]
pub(crate) struct FieldMask {
    pub mask: Mask,
    /// Characters of the column, where they are bounded.
    pub length: Option<usize>,
}

impl Table {
    /// Masks the values that were filled last.
    pub(crate) fn mask(&self, columns: &mut [Column]) {
        for (field, FieldMask { mask, length }) in &self.masks {
            let Some(column) = columns.get_mut(*field) else { continue };
            let value = column.len().checked_sub(1).and_then(|last| column.bytes(last));
            let (old, mut new) = (value.map(<[u8]>::to_vec), Vec::new());
            match (&old, &column.values) {
                (None, _) if !matches!(mask, Mask::Stars(_)) => continue,
                (Some(bytes), Values::Blobs(_)) => new.extend_from_slice(mask.bytes(bytes)),
                (old, _) => mask.text(old.as_deref().unwrap_or(&[]), *length, &mut new),
            }
            forget_last(column);
            column.push_bytes(&new);
        }
    }

    /// Appends to the columns that only the key has, which stand behind the fields'.
    pub(crate) fn fill_key<'v>(
        &self,
        columns: &mut [Column],
        value: impl Fn(usize, &ColumnType) -> Option<Datum<'v>>,
    ) {
        let fields = self.schema.fields.len();
        for ((i, ty), column) in
            self.key_only.iter().zip(columns.get_mut(fields..).unwrap_or(&mut []))
        {
            let rows = column.len();
            let pushed = value(*i, ty).map(|value| push(column, ty, value));
            if !matches!(pushed, Some(Ok(()))) && column.len() == rows {
                column.push_null();
            }
        }
    }
}

/// Takes the last value of a text or bytes column back.
fn forget_last(column: &mut Column) {
    let Some(last) = column.len().checked_sub(1) else { return };
    if let Values::Texts(block) | Values::Blobs(block) = &mut column.values {
        block.offsets.pop();
        let end = block.offsets.last().map_or(0, |end| *end as usize);
        block.data.truncate(end);
    }
    for marks in [&mut column.nulls, &mut column.absent] {
        if marks.last() == Some(&(last as u32)) {
            marks.pop();
        }
    }
}

/// Makes tables.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    pub settings: Arc<Settings>,
    pub maria: bool,
    /// Statements may write names of tables in any case.
    pub lower_names: bool,
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
        let mut all = Vec::with_capacity(definition.columns.len());
        let mut fields = Vec::with_capacity(definition.columns.len());
        let (mut wires, mut masks, mut key_only) = (Vec::new(), Vec::new(), Vec::new());
        let rules = &self.settings.columns;
        let qualified = format!("{}.{}", name.0, name.1);
        let own_key = rules.key(&qualified);
        let key = own_key.unwrap_or(&definition.key);
        let has = |k: &&String| definition.columns.iter().any(|c| c.name == **k);
        let key: Vec<Arc<str>> = key.iter().filter(has).map(|k| k.as_str().into()).collect();
        let mut key_fields = Vec::new();
        for (i, column) in definition.columns.iter().enumerate() {
            let parsed = TypeText::parse(&column.column_type);
            let modes = &self.settings.modes;
            let mut ty = self.column(column, &parsed, modes);
            all.push((column.name.clone(), self.column(column, &parsed, &EXACT)));
            let column_name = format!("{qualified}.{}", column.name);
            let in_rows = rules.filter.wants(&column_name);
            let mask =
                ty.as_ref().and_then(|ty| field_mask(rules.mask(&column_name)?, ty, &parsed));
            let is_key = key.iter().any(|k| **k == *column.name);
            if let Some(ty) = ty.as_ref().filter(|_| is_key && (mask.is_some() || !in_rows)) {
                key_fields.push(self.field(column, &parsed, ty));
                key_only.push((i, ty.clone()));
            }
            if let Some(mapped) = map.and_then(|m| m.columns.get(i)) {
                wires.extend(wire(mapped, parsed.unsigned));
            }
            if !in_rows {
                ty = None;
            }
            match &ty {
                Some(ty) => {
                    masks.extend(mask.map(|mask| (fields.len(), mask)));
                    fields.push(self.field(column, &parsed, ty));
                }
                None if !in_rows => {}
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
        // A key of somebody's choice is no identity: its changes are updates.
        let identity =
            |c: &ColumnDefinition| own_key.is_none() && key.iter().any(|k| **k == *c.name);
        let keys = definition.columns.iter().map(identity).collect();
        let schema = self.schema(name, (fields, key_fields), key, before);
        let wires = wires.into_iter().collect();
        Table { name: name.clone(), schema, wires, types, all, keys, masks, key_only }
    }

    fn column(
        &self,
        column: &ColumnDefinition,
        parsed: &TypeText,
        modes: &Modes,
    ) -> Option<ColumnType> {
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
        column_type(&described, modes)
    }

    fn field(&self, column: &ColumnDefinition, parsed: &TypeText, ty: &ColumnType) -> Field {
        let mut field =
            Field::new(column.name.as_str(), ty.kind, ty.logical.clone(), column.nullable);
        field.style = ty.style;
        field.connect = said::field(column, parsed, ty).map(Arc::new);
        field
    }

    fn schema(
        &self,
        name: &TableName,
        (fields, key_only): (Vec<Field>, Vec<Field>),
        key: Vec<Arc<str>>,
        before: Option<&Table>,
    ) -> Arc<Schema> {
        if let Some(before) = before.map(|t| &t.schema)
            && (&before.fields, &before.key_only, &before.key) == (&fields, &key_only, &key)
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
        let names = ConnectNames { base: Arc::clone(&topic), source: said::source(self.maria) };
        Arc::new(Schema {
            fields,
            key_only,
            key,
            connect: Some(Arc::new(names)),
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

/// A mask for a column; where its type has no masked form the log says so.
fn field_mask(mask: &Mask, ty: &ColumnType, parsed: &TypeText) -> Option<FieldMask> {
    let fits = matches!((ty.kind, mask), (Kind::Text, _) | (Kind::Bytes, Mask::Truncate(_)));
    if !fits {
        tracing::warn!(
            column_type = parsed.name,
            "only text can be masked: the column goes out as it is; exclude it to keep it in"
        );
        return None;
    }
    let bounded = matches!(parsed.name.as_str(), "char" | "varchar");
    let length = parsed.argument(0).filter(|_| bounded).map(|n| n as usize);
    Some(FieldMask { mask: mask.clone(), length })
}

/// `<prefix>.<database>.<table>` with every character that Kafka refuses replaced by `_`.
pub(crate) fn topic(prefix: &str, (database, table): &TableName) -> String {
    let plain = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
        _ => '_',
    };
    format!("{prefix}.{database}.{table}").chars().map(plain).collect()
}
