//! The gateway's columns as the contract's, by reference: wasmtime copies them once, into the
//! guest's memory. Text in block form is one string; in each form a list of slices is made.

use wasmgate_connector::Read;
use wasmgate_model::{Block, Column, Field, Kind, Op, Schema, Values};

use crate::bindings::types;

/// What a column needs beside the column itself: the slices of its values.
pub(crate) enum Slices<'a> {
    None,
    Texts(Vec<&'a str>),
    Blobs(Vec<&'a [u8]>),
}

/// The slices that `column` needs in this text form.
///
/// # Errors
/// A text column that is not UTF-8: a bug in whoever filled it.
pub(crate) fn slices<'a>(
    column: &'a Column,
    form: types::TextForm,
) -> Result<Slices<'a>, &'static str> {
    Ok(match (&column.values, form) {
        (Values::Texts(block), types::TextForm::Each) => {
            let data = text(block)?;
            let mut from = 0;
            let mut texts = Vec::with_capacity(block.len());
            for end in block.ends() {
                let end = *end as usize;
                texts.push(data.get(from..end).ok_or(NOT_TEXT)?);
                from = end;
            }
            Slices::Texts(texts)
        }
        (Values::Blobs(block), _) => {
            Slices::Blobs((0..block.len()).map(|i| block.get(i)).collect())
        }
        _ => Slices::None,
    })
}

/// A column of the contract over a column of the gateway.
///
/// # Errors
/// As for [`slices`].
pub(crate) fn column<'a>(
    column: &'a Column,
    slices: &'a Slices<'a>,
) -> Result<types::ColumnParam<'a>, &'static str> {
    let values = match (&column.values, slices) {
        (_, Slices::Texts(texts)) => types::ValuesParam::Texts(texts),
        (_, Slices::Blobs(blobs)) => types::ValuesParam::Blobs(blobs),
        (Values::Booleans(v), _) => types::ValuesParam::Booleans(v),
        (Values::Ints(v), _) => types::ValuesParam::Ints(v),
        (Values::Floats(v), _) => types::ValuesParam::Floats(v),
        (Values::Texts(block) | Values::Blobs(block), Slices::None) => {
            let block = types::BlockParam { ends: block.ends(), data: text(block)? };
            types::ValuesParam::Block(block)
        }
    };
    Ok(types::ColumnParam { values, nulls: &column.nulls, absent: &column.absent })
}

/// Whether a column is stored as a read of its kind is, with one value per row.
pub(crate) fn fits(column: &Column, read: &Read, rows: u32) -> bool {
    let stored = match &column.values {
        Values::Booleans(_) => matches!(read.kind, Kind::Boolean),
        Values::Ints(_) => is_int(read.kind),
        Values::Floats(_) => matches!(read.kind, Kind::Float),
        Values::Texts(_) => is_text(read.kind),
        Values::Blobs(_) => matches!(read.kind, Kind::Bytes),
    };
    stored && column.len() == rows as usize
}

/// Kinds that are stored as integers.
pub(crate) fn is_int(kind: Kind) -> bool {
    matches!(kind, Kind::Integer | Kind::TimestampUs | Kind::DateDays | Kind::TimeUs)
}

/// Kinds that are stored as text.
pub(crate) fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Json | Kind::Decimal | Kind::Uuid)
}

const NOT_TEXT: &str = "a text column is not UTF-8";

fn text(block: &Block) -> Result<&str, &'static str> {
    simdutf8::basic::from_utf8(&block.data).map_err(|_| NOT_TEXT)
}

/// The fields of a schema.
pub(crate) fn fields(schema: &Schema) -> Vec<types::FieldParam<'_>> {
    fn field(f: &Field) -> types::FieldParam<'_> {
        types::FieldParam { name: &f.name, kind: kind(f.kind), nullable: f.nullable }
    }
    schema.fields.iter().map(field).collect()
}

/// The contract's kind for the model's.
fn kind(kind: Kind) -> types::Kind {
    match kind {
        Kind::Boolean => types::Kind::Boolean,
        Kind::Integer => types::Kind::Integer,
        Kind::Float => types::Kind::Float,
        Kind::Text => types::Kind::Text,
        Kind::Bytes => types::Kind::Bytes,
        Kind::Json => types::Kind::Json,
        Kind::Decimal => types::Kind::Decimal,
        Kind::Uuid => types::Kind::Uuid,
        Kind::TimestampUs => types::Kind::TimestampUs,
        Kind::DateDays => types::Kind::DateDays,
        Kind::TimeUs => types::Kind::TimeUs,
    }
}

/// The contract's op for the model's.
pub(crate) fn op(op: Op) -> types::Op {
    match op {
        Op::Create => types::Op::Create,
        Op::Update => types::Op::Update,
        Op::Delete => types::Op::Delete,
        Op::Snapshot => types::Op::Snapshot,
        Op::Truncate => types::Op::Truncate,
        Op::Message => types::Op::Message,
        Op::Append => types::Op::Append,
        Op::Tombstone => types::Op::Tombstone,
    }
}
