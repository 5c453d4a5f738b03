//! Reads and writes of one schema: which column is what, and how the written ones are filled.

use std::borrow::Cow;
use std::slice::Iter;

use wasmgate_sdk::column::TextCells;
use wasmgate_sdk::contract::Column;
use wasmgate_sdk::json;
use wasmgate_sdk::prelude::*;

use crate::options::Mode;
use crate::removals::Removals;
use crate::{Addition, Form, Place, Unwrap};

/// Where an added value comes from, as column numbers.
enum Origin {
    Op,
    Read {
        column: usize,
        /// Null where the record does not have it: the schema knows the field.
        known: bool,
        /// Not there in a delete.
        after: bool,
    },
}

/// The code and the message of what keeps a record from its topic.
pub(crate) type Problem = (&'static str, &'static str);

/// How the existence of a row image is seen.
enum Image {
    Unread,
    /// A field that an image never has as null.
    Key(usize),
    /// A field that is absent where there is no image.
    Field(usize),
}

/// What was bound for one schema.
pub(crate) struct Plan {
    deleted: bool,
    fields: Vec<Origin>,
    headers: Vec<Origin>,
    /// For a kept tombstone: this header is the operation, which is a delete.
    op_headers: Vec<bool>,
    route: Option<usize>,
    empties: bool,
    image: Image,
    pub(crate) removals: Option<Removals>,
    /// (column of the field, its default as JSON).
    defaults: Vec<(usize, String)>,
}

impl Plan {
    /// Adds the reads and writes to the projection and remembers their places.
    pub(crate) fn new(unwrap: &Unwrap, schema: &Schema, projection: &mut Projection) -> Self {
        let options = &unwrap.options;
        let image = match options.mode {
            Mode::Drop => Image::Unread,
            _ => image(schema, projection),
        };
        let deleted = options.mode.rewrites();
        if deleted {
            write(projection, "__deleted", Kind::Text);
        }
        let mut fields = Vec::new();
        for addition in known(schema, &unwrap.fields) {
            let kind = if addition.place == Place::Op { Kind::Text } else { Kind::Json };
            fields.push(origin(projection, addition));
            write(projection, &addition.name, kind);
        }
        let (mut headers, mut op_headers) = (Vec::new(), Vec::new());
        for addition in known(schema, &unwrap.headers) {
            headers.push(origin(projection, addition));
            op_headers.push(addition.place == Place::Op);
            write(projection, &format!("$header.{}", addition.name), Kind::Text);
        }
        let route = (!options.route_by_field.is_empty()).then(|| {
            write(projection, "$topic", Kind::Text);
            read(projection, &options.route_by_field, Kind::Json)
        });
        let empties = !deleted;
        if empties {
            write(projection, "$tombstone", Kind::Boolean);
        }
        let removals = (!options.drop_fields_header.is_empty()).then(|| {
            let name = format!("$header.{}", options.drop_fields_header);
            Removals::new(read(projection, &name, Kind::Text), options, schema)
        });
        let rebuilt = deleted || !fields.is_empty();
        let mut defaults = Vec::new();
        if rebuilt && options.replace_null_with_default.0 {
            for (name, default) in &schema.defaults {
                defaults.push((read(projection, name, Kind::Json), default.clone()));
                write(projection, name, Kind::Json);
            }
        }
        Self { deleted, fields, headers, op_headers, route, empties, image, removals, defaults }
    }

    /// Whether a record has a row image.
    pub(crate) fn has_image(&self, batch: &Batch, row: u32) -> bool {
        let without = match self.image {
            Image::Unread => None,
            Image::Key(column) => batch.column(column).ok().map(|column| &column.nulls),
            Image::Field(column) => batch.column(column).ok().map(|column| &column.absent),
        };
        without.is_none_or(|rows| rows.binary_search(&row).is_err())
    }

    /// The values that route, where a field does.
    pub(crate) fn routes<'b>(&self, batch: &'b Batch) -> Result<Option<TextCells<'b>>, String> {
        self.route.map(|column| batch.column(column)?.texts()).transpose()
    }

    /// The written columns, in the order of the projection.
    pub(crate) fn columns(&self, batch: &Batch, forms: &[Form]) -> Result<Vec<Column>, String> {
        let mut columns = Vec::new();
        if self.deleted {
            columns.push(deleted(forms));
        }
        for origin in &self.fields {
            columns.push(added(origin, batch, forms)?);
        }
        for (origin, is_op) in self.headers.iter().zip(&self.op_headers) {
            columns.push(header(origin, *is_op, batch, forms)?);
        }
        if let Some(column) = self.route {
            columns.push(topics(batch.column(column)?.texts()?, forms));
        }
        if self.empties {
            let mut empty = BoolBuilder::with_rows(forms.len());
            forms.iter().for_each(|form| empty.push(*form == Form::Emptied));
            columns.push(empty.finish());
        }
        for (column, default) in &self.defaults {
            columns.push(defaulted(batch.column(*column)?.texts()?, default, forms));
        }
        Ok(columns)
    }

    /// Fields that single rows leave without.
    pub(crate) fn remove_fields(
        &self,
        batch: &Batch,
        forms: &[Form],
        output: &mut Output,
    ) -> Result<(), String> {
        match &self.removals {
            Some(removals) => removals.apply(batch, forms, output),
            None => Ok(()),
        }
    }
}

fn write(projection: &mut Projection, name: &str, kind: Kind) {
    *projection = std::mem::take(projection).write(name, kind);
}

/// The column of a read, which is shared where two ask for the same.
fn read(projection: &mut Projection, name: &str, kind: Kind) -> usize {
    let same = |read: &wasmgate_sdk::contract::Read| read.name == name && read.kind == kind;
    if let Some(column) = projection.reads.iter().position(same) {
        return column;
    }
    *projection = std::mem::take(projection).read_optional(name, kind);
    projection.reads.len() - 1
}

/// Rows of a typed schema are looked up by a field that every image carries; a JSON envelope by
/// its member.
fn image(schema: &Schema, projection: &mut Projection) -> Image {
    if schema.open {
        return Image::Key(read(projection, "$envelope.before", Kind::Json));
    }
    let fields = &schema.fields;
    let kind =
        |name: &String| fields.iter().find(|f| f.name == *name).map_or(Kind::Text, |f| f.kind);
    match (schema.key.first(), schema.fields.first()) {
        (Some(key), _) => Image::Key(read(projection, &format!("before.{key}"), kind(key))),
        (None, Some(field)) => {
            Image::Field(read(projection, &format!("before.{}", field.name), field.kind))
        }
        (None, None) => Image::Unread,
    }
}

/// Additions that this schema can have: Debezium adds nothing for a field that no row has.
fn known<'a>(schema: &Schema, additions: &'a [Addition]) -> impl Iterator<Item = &'a Addition> {
    let has = |name: &str| schema.open || schema.fields.iter().any(|field| field.name == name);
    additions.iter().filter(move |addition| match &addition.place {
        Place::Before(name) => name.strip_prefix("before.").is_some_and(has),
        Place::After(name) => has(name),
        Place::Op | Place::Reserved(_) => true,
    })
}

fn origin(projection: &mut Projection, addition: &Addition) -> Origin {
    let (name, known, after) = match &addition.place {
        Place::Op => return Origin::Op,
        Place::Before(name) => (name, true, false),
        Place::After(name) => (name, true, true),
        // A record outside a transaction still has the fields of the block, as null.
        Place::Reserved(name) => {
            let member = name.strip_prefix("$transaction.").unwrap_or_default();
            let known = matches!(member, "id" | "total_order" | "data_collection_order");
            (name, known, false)
        }
    };
    Origin::Read { column: read(projection, name, Kind::Json), known, after }
}

/// Neighbours that are the same, with their number.
fn runs<T: PartialEq>(items: impl Iterator<Item = T>) -> impl Iterator<Item = (T, usize)> {
    let mut items = items.peekable();
    std::iter::from_fn(move || {
        let first = items.next()?;
        let mut rows = 1;
        while items.next_if(|next| *next == first).is_some() {
            rows += 1;
        }
        Some((first, rows))
    })
}

fn push_run(column: &mut TextBuilder, text: Option<&str>, rows: usize) {
    match text {
        Some(text) => column.push_run(text, rows),
        None => (0..rows).for_each(|_| column.push_absent()),
    }
}

fn deleted(forms: &[Form]) -> Column {
    let mut column = TextBuilder::with_rows(forms.len());
    for (form, rows) in runs(forms.iter()) {
        let text = match form {
            Form::Row { deleted } => Some(if *deleted { "true" } else { "false" }),
            Form::Emptied | Form::Tombstone | Form::Gone => None,
        };
        push_run(&mut column, text, rows);
    }
    column.finish()
}

/// The operation's letter.
fn letters(batch: &Batch, forms: &[Form]) -> Column {
    let mut column = TextBuilder::with_rows(forms.len());
    for ((op, form), rows) in runs(batch.ops.iter().zip(forms)) {
        let letter = op.letter().filter(|_| matches!(form, Form::Row { .. }));
        push_run(&mut column, letter, rows);
    }
    column.finish()
}

/// The value of an addition in each row, as JSON text, or the operation's letter as text.
struct Added<'b> {
    ops: Iter<'b, Op>,
    /// The column, whether the schema knows the field, whether a delete lacks it.
    read: Option<(TextCells<'b>, bool, bool)>,
}

impl<'b> Added<'b> {
    fn new(origin: &Origin, batch: &'b Batch) -> Result<Self, String> {
        let read = match *origin {
            Origin::Op => None,
            Origin::Read { column, known, after } => {
                Some((batch.column(column)?.texts()?, known, after))
            }
        };
        Ok(Self { ops: batch.ops.iter(), read })
    }
}

impl<'b> Iterator for Added<'b> {
    type Item = Cell<&'b str>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let op = self.ops.next()?;
        let Some((cells, known, after)) = &mut self.read else {
            return Some(op.letter().map_or(Cell::Absent, Cell::Value));
        };
        Some(match cells.next()? {
            _ if *after && *op == Op::Delete => Cell::Null,
            Cell::Absent if *known => Cell::Null,
            cell => cell,
        })
    }
}

fn added(origin: &Origin, batch: &Batch, forms: &[Form]) -> Result<Column, String> {
    if let Origin::Op = origin {
        return Ok(letters(batch, forms));
    }
    let mut column = TextBuilder::with_rows(forms.len());
    for (cell, form) in Added::new(origin, batch)?.zip(forms) {
        match form {
            Form::Row { .. } => column.push_cell(cell),
            Form::Emptied | Form::Tombstone | Form::Gone => column.push_absent(),
        }
    }
    Ok(column.finish())
}

fn header(origin: &Origin, is_op: bool, batch: &Batch, forms: &[Form]) -> Result<Column, String> {
    let mut column = TextBuilder::with_rows(forms.len());
    for (cell, form) in Added::new(origin, batch)?.zip(forms) {
        match (form, cell) {
            (Form::Tombstone, _) if is_op => column.push("d"),
            (Form::Row { .. } | Form::Emptied, Cell::Value(json)) => column.push(&text(json)),
            (Form::Row { .. } | Form::Emptied, cell) => column.push_cell(cell),
            (Form::Tombstone | Form::Gone, _) => column.push_absent(),
        }
    }
    Ok(column.finish())
}

fn topics(cells: TextCells<'_>, forms: &[Form]) -> Column {
    let mut column = TextBuilder::with_rows(forms.len());
    for (cell, form) in cells.zip(forms) {
        match (form, cell) {
            (Form::Row { .. } | Form::Emptied, Cell::Value(json)) => column.push(&text(json)),
            _ => column.push_absent(),
        }
    }
    column.finish()
}

/// The default where the field is null; everything else stays as it is.
fn defaulted(cells: TextCells<'_>, default: &str, forms: &[Form]) -> Column {
    let mut column = TextBuilder::with_rows(forms.len());
    for (cell, form) in cells.zip(forms) {
        match (form, cell) {
            (Form::Row { .. }, Cell::Null) => column.push(default),
            _ => column.push_absent(),
        }
    }
    column.finish()
}

/// A JSON string without its quotes, any other value as it is written.
fn text(json: &str) -> Cow<'_, str> {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        Some(_) => json::from_str::<json::Value>(json)
            .ok()
            .and_then(|value| value.as_str().map(|text| Cow::Owned(text.to_owned())))
            .unwrap_or(Cow::Borrowed(json)),
        None => Cow::Borrowed(json),
    }
}
