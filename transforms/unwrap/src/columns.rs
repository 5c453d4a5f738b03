//! Reads and writes of one schema: which column is what, and how the written ones are filled.

use std::borrow::Cow;

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

/// Per record, the code and the message of what keeps it from its topic.
type Problems<'b> = Box<dyn Iterator<Item = Option<(&'static str, String)>> + 'b>;

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

    /// Whether each record has a row image.
    pub(crate) fn images<'b>(
        &self,
        batch: &'b Batch,
    ) -> Result<Box<dyn Iterator<Item = bool> + 'b>, String> {
        Ok(match self.image {
            Image::Unread => Box::new(std::iter::empty()),
            Image::Key(column) => {
                let cells = batch.column(column)?.texts()?;
                Box::new(cells.map(|cell| matches!(cell, Cell::Value(_))))
            }
            Image::Field(column) => {
                let cells = batch.column(column)?.texts()?;
                Box::new(cells.map(|cell| cell != Cell::Absent))
            }
        })
    }

    /// Why each record cannot be routed, if so.
    pub(crate) fn problems<'b>(&self, batch: &'b Batch) -> Result<Problems<'b>, String> {
        let Some(column) = self.route else {
            return Ok(Box::new(std::iter::empty()));
        };
        Ok(Box::new(batch.column(column)?.texts()?.map(|cell| match cell {
            Cell::Value(json) if json.starts_with('"') => None,
            Cell::Null => None,
            Cell::Value(_) => {
                Some(("route-not-text", "the field of route.by.field is not text".to_owned()))
            }
            Cell::Absent => {
                Some(("route-missing", "the record has no field of route.by.field".to_owned()))
            }
        })))
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
    match (schema.key.first(), schema.fields.first()) {
        (Some(key), _) => Image::Key(read(projection, &format!("before.{key}"), Kind::Text)),
        (None, Some(field)) => {
            Image::Field(read(projection, &format!("before.{}", field.name), Kind::Text))
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

fn deleted(forms: &[Form]) -> Column {
    let mut column = TextBuilder::with_rows(forms.len());
    for form in forms {
        match form {
            Form::Row { deleted } => column.push(if *deleted { "true" } else { "false" }),
            Form::Emptied | Form::Tombstone | Form::Gone => column.push_absent(),
        }
    }
    column.finish()
}

/// The value of an addition in each row, as JSON text, or the operation's letter as text.
fn values<'b>(
    origin: &Origin,
    batch: &'b Batch,
) -> Result<Box<dyn Iterator<Item = Cell<&'b str>> + 'b>, String> {
    Ok(match *origin {
        Origin::Op => {
            let letters = batch.ops.iter().map(|op| op.letter());
            Box::new(letters.map(|letter| letter.map_or(Cell::Absent, Cell::Value)))
        }
        Origin::Read { column, known, after } => {
            let cells = batch.column(column)?.texts()?.zip(&batch.ops);
            Box::new(cells.map(move |(cell, op)| match cell {
                _ if after && *op == Op::Delete => Cell::Null,
                Cell::Absent if known => Cell::Null,
                cell => cell,
            }))
        }
    })
}

fn added(origin: &Origin, batch: &Batch, forms: &[Form]) -> Result<Column, String> {
    let mut column = TextBuilder::with_rows(forms.len());
    for (cell, form) in values(origin, batch)?.zip(forms) {
        match form {
            Form::Row { .. } => column.push_cell(cell),
            Form::Emptied | Form::Tombstone | Form::Gone => column.push_absent(),
        }
    }
    Ok(column.finish())
}

fn header(origin: &Origin, is_op: bool, batch: &Batch, forms: &[Form]) -> Result<Column, String> {
    let mut column = TextBuilder::with_rows(forms.len());
    for (cell, form) in values(origin, batch)?.zip(forms) {
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
