//! Conversions between stages: a field that one stage wrote, read by a later one in another
//! representation. (What the source sent is converted by its decoder.)

use std::io::Write as _;

use wasmgate_model::{Block, Column, Kind, Values};

/// Whether a written column of kind `from` can be read as `to`.
pub(crate) fn possible(from: Kind, to: Kind) -> bool {
    match to {
        Kind::Text => !matches!(from, Kind::Bytes),
        Kind::Float => matches!(from, Kind::Float | Kind::Integer | Kind::Decimal),
        Kind::Integer => {
            matches!(from, Kind::Integer | Kind::TimestampUs | Kind::DateDays | Kind::TimeUs)
        }
        _ => from == to,
    }
}

/// Converts a column; `possible` said that it can be.
pub(crate) fn convert(column: &Column, from: Kind, to: Kind) -> Column {
    let values = match (&column.values, to) {
        (Values::Ints(v), Kind::Float) => Values::Floats(v.iter().map(|x| *x as f64).collect()),
        (Values::Texts(b), Kind::Float) if from == Kind::Decimal => {
            Values::Floats((0..b.len()).map(|i| b.text(i).parse().unwrap_or_default()).collect())
        }
        (Values::Ints(v), Kind::Text) => texts(v.iter()),
        (Values::Floats(v), Kind::Text) => texts(v.iter()),
        (Values::Booleans(v), Kind::Text) => texts(v.iter()),
        (values, _) => values.clone(),
    };
    Column { values, nulls: column.nulls.clone(), absent: column.absent.clone() }
}

fn texts<T: std::fmt::Display>(values: impl Iterator<Item = T>) -> Values {
    let mut block = Block::default();
    for value in values {
        // Writing to a vector cannot fail.
        if write!(block.data, "{value}").is_ok() {
            block.seal();
        }
    }
    Values::Texts(block)
}
