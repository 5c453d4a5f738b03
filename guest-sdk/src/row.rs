//! What `#[derive(Row)]` generates: reads, writes and a view of one row over the columns.
//!
//! A field that is no `Option` needs a value: a record whose value is null is dead-lettered with
//! the code `null-field` and a message that names the field. Fields marked `#[write]` start as
//! their default. `None` in a written `Option` writes null; where the name is reserved
//! (`$topic`, `$header.x`) it leaves what was there.
//!
//! A type that cannot cross is an error at the field:
//! ```compile_fail,E0277
//! # use wasmgate_sdk::prelude::*;
//! #[derive(Row)]
//! struct Payment { amount: f32 } // `f32` cannot be read from a record
//! ```
//! ```compile_fail,E0277
//! # use wasmgate_sdk::prelude::*;
//! #[derive(Row)]
//! struct Payment { note: String } // read as `&'a str`: nothing is copied
//! ```
//! ```compile_fail,E0277
//! # use wasmgate_sdk::prelude::*;
//! #[derive(Row)]
//! struct Payment { #[write] tags: Vec<String> } // cannot be written to a record
//! ```
//! So is a function whose row is none, or that answers no [`Verdict`]:
//! ```compile_fail,E0277
//! # use wasmgate_sdk::prelude::*;
//! struct Payment { amount: f64 } // add `#[derive(Row)]`
//! #[transform]
//! fn rule(row: &mut Payment) -> Verdict { keep() }
//! ```
//! ```compile_fail,E0308
//! # use wasmgate_sdk::prelude::*;
//! #[derive(Row)]
//! struct Payment { amount: f64 }
//! #[transform]
//! fn rule(row: &mut Payment) -> bool { true }
//! ```
//! A kind of another storage, or a reserved name that does not exist, is an error too, and not
//! first seen when the gateway binds the module:
//! ```compile_fail
//! # use wasmgate_sdk::prelude::*;
//! #[derive(Row)]
//! struct Payment { #[row(kind = "timestamp-us")] at: f64 } // has the type `i64`
//! ```
//! ```compile_fail
//! # use wasmgate_sdk::prelude::*;
//! #[derive(Row)]
//! struct Payment<'a> { #[row(name = "$topik")] topic: &'a str } // only $key, $topic, ...
//! ```

use std::borrow::Cow;

pub use wasmgate_sdk_macros::Row;

use crate::column::{
    BoolBuilder, BoolCells, Cell, ColumnBuilder, FloatBuilder, FloatCells, IntBuilder, IntCells,
    TextBuilder, TextCells,
};
use crate::contract::{Batch, Column, Kind, Output, Projection};

/// What a rule says about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    Discard,
    DeadLetter { code: Cow<'static, str>, message: String },
}

/// The record goes on, with the written fields.
#[must_use]
pub fn keep() -> Verdict {
    Verdict::Keep
}

/// The record ends here, on purpose. It is counted, not kept.
#[must_use]
pub fn discard() -> Verdict {
    Verdict::Discard
}

/// The record goes to the dead letters. `code` is a short stable word that metrics and filters use
/// ("missing-field"); `message` is for people.
#[must_use]
pub fn dead_letter(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Verdict {
    Verdict::DeadLetter { code: code.into(), message: message.into() }
}

/// A type that a row field can be read as.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a record",
    label = "not a type of a row field",
    note = "read fields are bool, i64, f64, &'a str, or an Option of one of these"
)]
pub trait ReadField<'b>: Sized {
    /// Kind that is asked for where the attribute names none.
    const KIND: Kind;
    /// Null and missing are values of it.
    const OPTIONAL: bool = false;
    /// The column being walked.
    type Cells;
    /// Starts at row 0.
    ///
    /// # Errors
    /// The column holds another representation.
    fn open(column: &'b Column) -> Result<Self::Cells, String>;
    /// The next row's value; `None` where it is null and the type has no null.
    fn take(cells: &mut Self::Cells) -> Option<Self>;
}

macro_rules! read_field {
    ($($type:ty, $kind:ident, $cells:ty, $open:ident;)*) => {$(
        impl<'b> ReadField<'b> for $type {
            const KIND: Kind = Kind::$kind;
            type Cells = $cells;
            fn open(column: &'b Column) -> Result<Self::Cells, String> {
                column.$open()
            }
            #[inline]
            fn take(cells: &mut Self::Cells) -> Option<Self> {
                cells.next().and_then(Cell::value)
            }
        }
    )*};
}
read_field! {
    bool, Boolean, BoolCells<'b>, booleans;
    i64, Integer, IntCells<'b>, ints;
    f64, Float, FloatCells<'b>, floats;
    &'b str, Text, TextCells<'b>, texts;
}

impl<'b, T: ReadField<'b>> ReadField<'b> for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;
    type Cells = T::Cells;
    fn open(column: &'b Column) -> Result<Self::Cells, String> {
        T::open(column)
    }
    #[inline]
    fn take(cells: &mut Self::Cells) -> Option<Self> {
        Some(T::take(cells))
    }
}

/// A type that a row field can be written as.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written to a record",
    label = "not a type of a written row field",
    note = "written fields are bool, i64, f64, &str, String, or an Option of one of these"
)]
pub trait WriteField {
    /// Kind that is written where the attribute names none.
    const KIND: Kind;
    /// The column being built.
    type Builder: ColumnBuilder;
    /// Appends the row's value. `leave`: write nothing instead of null.
    fn put(&self, builder: &mut Self::Builder, leave: bool);
}

macro_rules! write_field {
    ($($type:ty, $kind:ident, $builder:ty, $value:ident => $push:expr;)*) => {$(
        impl WriteField for $type {
            const KIND: Kind = Kind::$kind;
            type Builder = $builder;
            #[inline]
            fn put(&self, builder: &mut Self::Builder, _leave: bool) {
                let $value = self;
                builder.push($push);
            }
        }
    )*};
}
write_field! {
    bool, Boolean, BoolBuilder, value => *value;
    i64, Integer, IntBuilder, value => *value;
    f64, Float, FloatBuilder, value => *value;
    &str, Text, TextBuilder, value => value;
    String, Text, TextBuilder, value => value;
}

impl<T: WriteField> WriteField for Option<T> {
    const KIND: Kind = T::KIND;
    type Builder = T::Builder;
    #[inline]
    fn put(&self, builder: &mut Self::Builder, leave: bool) {
        match self {
            Some(value) => value.put(builder, leave),
            None if leave => builder.push_absent(),
            None => builder.push_null(),
        }
    }
}

/// A required field that a record has no value for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NullField {
    pub name: &'static str,
    pub kind: Kind,
}

/// A struct whose fields are the contract; implement it with `#[derive(Row)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a row",
    label = "not a row",
    note = "add `#[derive(Row)]` to the struct"
)]
pub trait Row<'b>: Sized {
    /// Columns being walked.
    type Reads;
    /// Columns being built.
    type Writes;
    /// What the fields say.
    fn projection() -> Projection;
    /// Starts at row 0.
    ///
    /// # Errors
    /// The batch does not follow the projection.
    fn reads(batch: &'b Batch) -> Result<Self::Reads, String>;
    /// Room for `rows` rows.
    fn writes(rows: usize) -> Self::Writes;
    /// The next row.
    ///
    /// # Errors
    /// A required field is null.
    fn take(reads: &mut Self::Reads) -> Result<Self, NullField>;
    /// Appends the written fields.
    fn put(&self, writes: &mut Self::Writes);
    /// Appends nothing for a row that does not go on.
    fn skip(writes: &mut Self::Writes);
    /// The built columns, in the order of the projection's writes.
    fn finish(writes: Self::Writes) -> Vec<Column>;
}

/// Runs a rule over the rows of a batch.
///
/// # Errors
/// The batch does not follow the row's projection.
pub fn process<'b, R: Row<'b>>(
    batch: &'b Batch,
    mut rule: impl FnMut(&mut R) -> Verdict,
) -> Result<Output, String> {
    let mut reads = R::reads(batch)?;
    let mut writes = R::writes(batch.rows as usize);
    let mut output = Output::new();
    for number in 0..batch.rows {
        let verdict = match R::take(&mut reads) {
            Ok(mut row) => {
                let verdict = rule(&mut row);
                if matches!(verdict, Verdict::Keep) {
                    row.put(&mut writes);
                    continue;
                }
                verdict
            }
            Err(NullField { name, kind }) => dead_letter(
                "null-field",
                format!("field `{name}` is null, expected a value of kind {}", kind.name()),
            ),
        };
        R::skip(&mut writes);
        match verdict {
            Verdict::DeadLetter { code, message } => output.dead_letter(number, code, message),
            Verdict::Keep | Verdict::Discard => output.discard(number),
        }
    }
    output.columns = R::finish(writes);
    Ok(output)
}
