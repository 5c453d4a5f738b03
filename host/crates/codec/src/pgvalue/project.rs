//! What a chain reads of a batch of rows, one column per read of its plan. A field that is read
//! as it is stored is not copied.

use wasmgate_model::{
    Batch, Column, Field, FieldPath, Kind, Logical, Op, Payload, PlanRead, ReadColumn, Rows,
    Schema, SourcePart, Style, Values,
};

use super::instant::true_us;
use crate::encode::{Lane, Layout, Manner, RowWriter};
use crate::json;

/// Fills `batch.reads` by `batch.plan`. A row without an image (a truncate, a tombstone) reads
/// null; a field that the schema lacks reads absent.
pub fn project_rows(batch: &mut Batch) {
    let Payload::Rows(rows) = &batch.payload else { return };
    let view = View { batch, rows };
    batch.reads = batch.plan.reads.iter().map(|read| view.read(read)).collect();
}

/// A batch of rows.
struct View<'a> {
    batch: &'a Batch,
    rows: &'a Rows,
}

impl<'a> View<'a> {
    fn read(&self, read: &PlanRead) -> ReadColumn {
        let wanted = read.kind;
        let (kind, column) = match &read.path {
            FieldPath::Current(name) => {
                return self.field(name, wanted, |op| matches!(op, Op::Truncate | Op::Tombstone));
            }
            FieldPath::KeyField(name) if self.has_own_key(name) => {
                let found = self.batch.schema.key_field(name);
                return self.column(found, wanted, |op| op == Op::Truncate);
            }
            FieldPath::Before(name) => return ReadColumn::Own(self.before(name, wanted)),
            FieldPath::Key => {
                let text = matches!(wanted, Kind::Json | Kind::Bytes);
                let kind = if text { wanted } else { Kind::Text };
                (kind, self.keys(kind))
            }
            FieldPath::Topic => {
                (Kind::Text, self.each(Kind::Text, |_, out| text(&self.batch.schema.topic, out)))
            }
            FieldPath::Partition => {
                let number = i64::from(self.batch.source_partition);
                (Kind::Integer, self.ints(|_| (number >= 0).then_some(number)))
            }
            FieldPath::Offset => {
                let offset = |row: usize| Some(self.batch.positions.get(row)?.major as i64);
                (Kind::Integer, self.ints(offset))
            }
            FieldPath::TimestampUs => {
                let kind = if wanted == Kind::TimestampUs { wanted } else { Kind::Integer };
                (kind, self.ints(|row| self.batch.times_us.get(row).copied()))
            }
            FieldPath::Header(name) => (Kind::Text, self.header(name)),
            FieldPath::Source(name) => self.source(name),
            FieldPath::Envelope(name) => self.envelope(name),
            FieldPath::Transaction(name) => self.transaction(name),
            FieldPath::KeyField(_) => (wanted, Column::all_absent(wanted, self.batch.len())),
        };
        ReadColumn::Own(converted(column, kind, wanted))
    }

    fn each(&self, kind: Kind, mut push: impl FnMut(usize, &mut Column)) -> Column {
        let mut column = Column::new(kind);
        (0..self.batch.len()).for_each(|row| push(row, &mut column));
        column
    }

    fn ints(&self, value: impl Fn(usize) -> Option<i64>) -> Column {
        self.each(Kind::Integer, |row, out| match value(row) {
            Some(value) => out.push_int(value),
            None => out.push_null(),
        })
    }

    fn op(&self, row: usize) -> Op {
        self.batch.ops.get(row).copied().unwrap_or(Op::Tombstone)
    }

    /// Keys follow from fields, and this is one of them.
    fn has_own_key(&self, name: &str) -> bool {
        self.batch.keys.is_none() && self.batch.schema.key.iter().any(|k| **k == *name)
    }

    /// A field of the current image; rows whose operation is `hidden` have none.
    fn field(&self, name: &str, wanted: Kind, hidden: impl Fn(Op) -> bool) -> ReadColumn {
        self.column(self.batch.schema.field(name), wanted, hidden)
    }

    fn column(
        &self,
        found: Option<(usize, &Field)>,
        wanted: Kind,
        hidden: impl Fn(Op) -> bool,
    ) -> ReadColumn {
        let found = found.and_then(|(n, field)| Some((n, field, self.rows.current.get(n)?)));
        let Some((n, field, column)) = found else {
            return ReadColumn::Own(Column::all_absent(wanted, self.batch.len()));
        };
        let stored = field.kind == wanted && !wrapped(column, wanted);
        if stored && !self.batch.ops.iter().any(|op| hidden(*op)) {
            return ReadColumn::Current(n);
        }
        let from = Conversion::new(column, field, wanted);
        let mut scratch = Vec::new();
        ReadColumn::Own(self.each(wanted, |row, out| match hidden(self.op(row)) {
            true => out.push_null(),
            false => from.push(row, out, &mut scratch),
        }))
    }

    /// A field of the image before the change: for a delete that is the current one.
    fn before(&self, name: &str, wanted: Kind) -> Column {
        let Some((n, field)) = self.batch.schema.field(name) else {
            return Column::all_absent(wanted, self.batch.len());
        };
        let from = |column| Conversion::new(column, field, wanted);
        let (current, old) = (self.rows.current.get(n).map(from), self.rows.old.get(n).map(from));
        let mut scratch = Vec::new();
        self.each(wanted, |row, out| match (self.op(row), self.rows.old_of(row)) {
            (Op::Delete, _) => push(current.as_ref(), row, out, &mut scratch),
            (Op::Update, Some(entry)) => push(old.as_ref(), entry, out, &mut scratch),
            _ => out.push_null(),
        })
    }

    /// Whole keys as text.
    fn keys(&self, kind: Kind) -> Column {
        let layout = Layout::new(&self.batch.schema);
        let writer = RowWriter::new(&layout, self.batch, self.rows, None, Default::default());
        let mut key = Vec::new();
        self.each(kind, |row, out| {
            key.clear();
            if let Some(bytes) = self.batch.key_bytes(row) {
                key.extend_from_slice(bytes);
            } else if self.batch.keys.is_some() || !writer.key(row, &[], &mut key) {
                return out.push_null();
            }
            match kind == Kind::Bytes || std::str::from_utf8(&key).is_ok() {
                true => out.push_bytes(&key),
                false => out.push_null(),
            }
        })
    }

    /// The last header of this name.
    fn header(&self, name: &str) -> Column {
        let headers = &self.batch.schema.headers;
        let own = |name: &str| headers.iter().find(|(n, _)| **n == *name).map(|(_, v)| &**v);
        self.each(Kind::Text, |row, out| {
            match self.batch.headers.row(row).filter(|(n, _)| *n == name).last() {
                None => match own(name) {
                    Some(value) => text(value, out),
                    None => out.push_absent(),
                },
                Some((_, value)) => match value.and_then(|v| std::str::from_utf8(v).ok()) {
                    Some(value) => text(value, out),
                    None => out.push_null(),
                },
            }
        })
    }

    fn source(&self, name: &str) -> (Kind, Column) {
        let schema: &Schema = &self.batch.schema;
        let part = schema.source_names.iter().find(|(n, _)| **n == *name).map(|(_, part)| part);
        let column = |n: &usize| self.rows.source.get(*n);
        let int = |n: &usize, row: usize| column(n).and_then(|c| c.int(row));
        match part {
            None => (Kind::Text, Column::all_absent(Kind::Text, self.batch.len())),
            Some(SourcePart::Literal(literal)) => self.literal(literal),
            Some(SourcePart::Int(n)) => (Kind::Integer, self.ints(|row| int(n, row))),
            Some(SourcePart::Millis(n)) => {
                (Kind::Integer, self.ints(|row| Some(int(n, row)?.div_euclid(1000))))
            }
            Some(SourcePart::Nanos(n)) => {
                (Kind::Integer, self.ints(|row| Some(int(n, row)?.saturating_mul(1000))))
            }
            Some(SourcePart::Text(n)) => {
                let value = |row| column(n).and_then(|c| c.text(row));
                (Kind::Text, self.texts(value))
            }
        }
    }

    /// A member of the envelope's transaction block; null where a row has none.
    fn transaction(&self, name: &str) -> (Kind, Column) {
        let parts = self.batch.schema.transaction;
        let column = |n: usize| self.rows.source.get(n);
        let order = |n: Option<usize>| {
            (Kind::Integer, self.ints(|row| n.and_then(column).and_then(|c| c.int(row))))
        };
        match name {
            "id" => {
                let id = parts.and_then(|p| column(p.id));
                (Kind::Text, self.texts(|row| id.and_then(|c| c.text(row))))
            }
            "total_order" => order(parts.map(|p| p.total_order)),
            "data_collection_order" => order(parts.map(|p| p.data_collection_order)),
            _ => (Kind::Text, Column::all_absent(Kind::Text, self.batch.len())),
        }
    }

    fn texts<'t>(&self, value: impl Fn(usize) -> Option<&'t str>) -> Column {
        self.each(Kind::Text, |row, out| match value(row) {
            Some(value) => text(value, out),
            None => out.push_null(),
        })
    }

    /// JSON text that is the same for every row.
    fn literal(&self, literal: &str) -> (Kind, Column) {
        if let Some(string) = json::read_string(literal) {
            (Kind::Text, self.texts(|_| Some(&string)))
        } else if let Ok(number) = literal.parse() {
            (Kind::Integer, self.ints(|_| Some(number)))
        } else if literal == "null" {
            (Kind::Text, self.texts(|_| None))
        } else {
            (Kind::Json, self.each(Kind::Json, |_, out| text(literal, out)))
        }
    }

    fn envelope(&self, name: &str) -> (Kind, Column) {
        let us = self.batch.received_us;
        let time = match name {
            "op" => return (Kind::Text, self.texts(|row| self.op(row).letter())),
            "ts_ms" => us.div_euclid(1000),
            "ts_us" => us,
            "ts_ns" => us.saturating_mul(1000),
            _ => return (Kind::Text, Column::all_absent(Kind::Text, self.batch.len())),
        };
        (Kind::Integer, self.ints(|_| Some(time)))
    }
}

fn text(value: &str, out: &mut Column) {
    out.push_bytes(value.as_bytes());
}

fn push(from: Option<&Conversion<'_>>, row: usize, out: &mut Column, scratch: &mut Vec<u8>) {
    match from {
        Some(from) => from.push(row, out, scratch),
        None => out.push_null(),
    }
}

fn converted(column: Column, kind: Kind, wanted: Kind) -> Column {
    if kind == wanted {
        return column;
    }
    let from = Conversion { column: &column, kind, wanted, lane: lane(&column, kind) };
    let (mut out, mut scratch) = (Column::new(wanted), Vec::new());
    (0..column.len()).for_each(|row| from.push(row, &mut out, &mut scratch));
    out
}

fn lane(column: &Column, kind: Kind) -> Lane<'_> {
    Lane::new(column, kind, &Logical::Plain, Style::Plain)
}

/// Whether a column holds timestamps beyond 64 bits; see [`super::instant`].
fn wrapped(column: &Column, kind: Kind) -> bool {
    match (&column.values, kind) {
        (Values::Ints(v), Kind::TimestampUs) => {
            v.iter().any(|us| true_us(*us) > i128::from(i64::MAX))
        }
        _ => false,
    }
}

/// A column on its way to another kind.
struct Conversion<'a> {
    column: &'a Column,
    kind: Kind,
    wanted: Kind,
    /// How the flat row has the values.
    lane: Lane<'a>,
}

impl<'a> Conversion<'a> {
    fn new(column: &'a Column, field: &'a Field, wanted: Kind) -> Self {
        Self { column, kind: field.kind, wanted, lane: Lane::of(column, field, Manner::default()) }
    }

    fn push(&self, row: usize, out: &mut Column, scratch: &mut Vec<u8>) {
        if self.column.is_absent(row) {
            return out.push_absent();
        }
        if self.column.is_null(row) || !self.convert(row, out, scratch) {
            out.push_null();
        }
    }

    /// False where the value has no such form; nothing was appended.
    fn convert(&self, row: usize, out: &mut Column, scratch: &mut Vec<u8>) -> bool {
        let column = self.column;
        scratch.clear();
        match (self.kind, self.wanted) {
            (Kind::TimestampUs, Kind::TimestampUs | Kind::Integer) => {
                let us = true_us(column.int(row).unwrap_or_default());
                out.push_int(i64::try_from(us).unwrap_or(i64::MAX));
            }
            (Kind::DateDays | Kind::TimeUs, Kind::Integer) => {
                out.push_int(column.int(row).unwrap_or_default());
            }
            (kind, wanted) if kind == wanted => out.push_from(column, row),
            (Kind::Integer, Kind::Float) => {
                out.push_float(column.int(row).unwrap_or_default() as f64);
            }
            (Kind::Decimal, Kind::Float) => match column.text(row).and_then(|t| t.parse().ok()) {
                Some(value) => out.push_float(value),
                None => return false,
            },
            (Kind::Integer, Kind::Decimal) => {
                json::write_int(column.int(row).unwrap_or_default(), scratch);
                out.push_bytes(scratch);
            }
            (Kind::Text, Kind::Bytes) | (_, Kind::Text) if column.text(row).is_some() => {
                out.push_bytes(column.bytes(row).unwrap_or_default());
            }
            (_, Kind::Text | Kind::Json) if self.lane.write(row, scratch).is_ok() => {
                let json = scratch.as_slice();
                let inner = json.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\""));
                // text without its quotes: nothing that gets here has escapes
                let text = inner.filter(|_| self.wanted == Kind::Text);
                out.push_bytes(text.unwrap_or(json));
            }
            _ => return false,
        }
        true
    }
}
