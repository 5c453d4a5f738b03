//! Rows as JSON: the key, the flat image, and the envelope around both images.

use std::borrow::Cow;

use wasmgate_model::{
    Batch, Column, Edits, Field, Logical, Op, Rows, Schema, Shape, Style, WrittenColumn,
};

use super::cell::{Lane, Manner};
use super::layout::{Layout, Member, Openings, close_object};
use super::options::JsonOptions;
use super::schema::{SchemaWriter, key_schema, value_schema};
use super::source::SourceBlock;
use super::{EncodeError, removed_from_row};
use crate::json;

/// A field of the written image.
#[derive(Debug)]
struct Slot<'a> {
    /// Its name in the payload, or the one a stage gave it where the payload has it not.
    name: &'a str,
    /// The name as it is written.
    member: Cow<'a, Member>,
    /// The record's own value, by payload row.
    own: Option<Lane<'a>>,
    /// What a stage wrote, by place in `sel`; absent leaves the record's own.
    written: Option<Lane<'a>>,
    /// A NOT NULL `timestamptz`: the zero that stands for it in a delete that carries the key
    /// alone has no fraction digits, whatever the column has.
    zero_filled: bool,
}

/// Writes the rows of one batch.
#[derive(Debug)]
pub(crate) struct RowWriter<'a> {
    layout: &'a Layout,
    batch: &'a Batch,
    rows: &'a Rows,
    /// `None`: as they came.
    edits: Option<&'a Edits>,
    /// The current image as it goes out.
    slots: Vec<Slot<'a>>,
    /// The old image, by entry.
    old: Vec<Lane<'a>>,
    key: Vec<Lane<'a>>,
    source: SourceBlock<'a>,
    /// Id, order in the transaction, order of the table in it.
    transaction: Option<[Lane<'a>; 3]>,
    /// The end of every envelope, from `ts_ms` on.
    tail: Vec<u8>,
    flat: bool,
    options: JsonOptions,
    openings: Openings,
}

impl<'a> RowWriter<'a> {
    pub(crate) fn new(
        layout: &'a Layout,
        batch: &'a Batch,
        rows: &'a Rows,
        edits: Option<&'a Edits>,
        (options, openings): (JsonOptions, Openings),
    ) -> Self {
        let schema = &*batch.schema;
        let manner = Manner { options, unavailable: schema.unavailable.as_deref() };
        let lane = |(field, column): (&'a Field, &'a Column)| Lane::of(column, field, manner);
        let flat = !schema.envelope || edits.is_some_and(|e| e.shape == Shape::Row);
        let key = layout
            .key
            .iter()
            .filter_map(|(_, name, _)| schema.key_field(name))
            .filter_map(|(n, field)| Some(lane((field, rows.current.get(n)?))));
        let old = if flat { &[][..] } else { &rows.old };
        let source = match edits {
            _ if flat => SourceBlock::of_some(&[], rows),
            // As they came: asked for row by row.
            None => SourceBlock::of_some(&schema.source, rows),
            Some(_) => SourceBlock::of_all(&schema.source, rows),
        };
        Self {
            layout,
            batch,
            rows,
            edits,
            slots: slots(layout, batch, rows, edits, manner),
            old: schema.fields.iter().zip(old).map(lane).collect(),
            key: key.collect(),
            source,
            transaction: transaction(schema, rows),
            tail: tail(batch.received_us),
            flat,
            options,
            openings,
        }
    }

    fn op(&self, row: usize) -> Op {
        self.batch.ops.get(row).copied().unwrap_or(Op::Tombstone)
    }

    /// Appends the key: its fields without those named. False: the record has none.
    pub(crate) fn key(&self, row: usize, removed: &[&str], out: &mut Vec<u8>) -> bool {
        let keyless = self.batch.null_keys.binary_search(&(row as u32)).is_ok();
        if self.key.is_empty() || keyless || self.op(row) == Op::Truncate {
            return false;
        }
        let whole = out.len();
        self.open_key(removed, out);
        let start = out.len();
        for ((_, name, member), lane) in self.layout.key.iter().zip(&self.key) {
            if removed.contains(&&**name) {
                continue;
            }
            member.write(out);
            if lane.write(row, out).is_err() {
                out.truncate(whole);
                return false;
            }
        }
        close_object(start, out);
        if self.options.key_schemas {
            out.push(b'}');
        }
        true
    }

    /// Where keys have schemas: the schema, up to the payload.
    fn open_key(&self, removed: &[&str], out: &mut Vec<u8>) {
        match &self.openings.key {
            Some(opening) if self.options.key_schemas && removed.is_empty() => {
                out.extend_from_slice(opening);
            }
            Some(_) if self.options.key_schemas => {
                let schema = key_schema(&self.batch.schema, removed);
                out.extend_from_slice(&self.schemas().opening(&schema));
            }
            _ => {}
        }
    }

    fn schemas(&self) -> SchemaWriter {
        SchemaWriter { numeric_decimals: self.options.numeric_decimals }
    }

    /// What stands before the payload of a key, where schemas are wanted at all.
    pub(crate) fn key_opening(&self) -> Option<&[u8]> {
        self.openings.key.as_deref()
    }

    /// Appends the value of a payload row, which stands at place `i` of `sel`. False: no value.
    pub(crate) fn value(
        &self,
        row: usize,
        i: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, EncodeError> {
        let op = self.op(row);
        if op == Op::Tombstone || (op == Op::Truncate && self.flat) {
            return Ok(false);
        }
        if let Some(opening) = &self.openings.value {
            match self.removed(row) {
                none if none.is_empty() => out.extend_from_slice(opening),
                removed => {
                    let schema = value_schema(self.batch, self.edits, &removed);
                    out.extend_from_slice(&self.schemas().opening(&schema));
                }
            }
        }
        if self.flat {
            self.image(row, i, out)?;
        } else {
            self.envelope(op, row, i, out)?;
        }
        if self.openings.value.is_some() {
            out.push(b'}');
        }
        Ok(true)
    }

    fn envelope(&self, op: Op, row: usize, i: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(b"{\"before\":");
        match op {
            Op::Delete => self.image(row, i, out)?,
            Op::Update => self.old_image(row, out)?,
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"after\":");
        match op {
            Op::Delete | Op::Truncate => out.extend_from_slice(b"null"),
            _ => self.image(row, i, out)?,
        }
        out.extend_from_slice(b",\"source\":");
        self.source.write(row, out);
        out.extend_from_slice(b",\"transaction\":");
        self.transaction(row, out);
        out.extend_from_slice(b",\"op\":\"");
        out.extend_from_slice(op.letter().unwrap_or("c").as_bytes());
        out.extend_from_slice(&self.tail);
        Ok(())
    }

    /// The current image with what stages did to it.
    fn image(&self, row: usize, i: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let removed = self.removed(row);
        let deleted = self.op(row) == Op::Delete;
        let start = out.len();
        for slot in &self.slots {
            if !removed.is_empty() && removed.contains(&slot.name) {
                continue;
            }
            let written = slot.written.as_ref().filter(|lane| !lane.is_absent(i));
            let (lane, at) = match (written, &slot.own) {
                (Some(lane), _) => (lane, i),
                (None, Some(lane)) => (lane, row),
                (None, None) => continue,
            };
            slot.member.write(out);
            if deleted && slot.zero_filled && lane.is_zero(at) {
                out.extend_from_slice(b"\"1970-01-01T00:00:00Z\"");
                continue;
            }
            lane.write(at, out).map_err(|error| EncodeError::field(slot.name, error))?;
        }
        close_object(start, out);
        Ok(())
    }

    /// Names in the payload of the fields that this row alone leaves without.
    fn removed(&self, row: usize) -> Vec<&str> {
        match self.edits {
            Some(edits) if !edits.removals.is_empty() => {
                let names = removed_from_row(edits, row).iter();
                names.map(|name| payload_name(edits, name).0).collect()
            }
            _ => Vec::new(),
        }
    }

    fn old_image(&self, row: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(entry) = self.rows.old_of(row) else {
            out.extend_from_slice(b"null");
            return Ok(());
        };
        let start = out.len();
        let fields = &self.batch.schema.fields;
        for ((member, lane), field) in self.layout.names.iter().zip(&self.old).zip(fields) {
            member.write(out);
            lane.write(entry, out).map_err(|error| EncodeError::field(&field.name, error))?;
        }
        close_object(start, out);
        Ok(())
    }

    fn transaction(&self, row: usize, out: &mut Vec<u8>) {
        let names = [&b"{\"id\":"[..], b",\"total_order\":", b",\"data_collection_order\":"];
        match &self.transaction {
            Some(lanes) if !lanes.iter().any(|lane| lane.is_null(row)) => {
                for (name, lane) in names.iter().zip(lanes) {
                    out.extend_from_slice(name);
                    let written = lane.write(row, out);
                    debug_assert!(written.is_ok(), "integers and text always have a form");
                }
                out.push(b'}');
            }
            _ => out.extend_from_slice(b"null"),
        }
    }
}

/// The lanes of the transaction block, where the source has one.
fn transaction<'a>(schema: &Schema, rows: &'a Rows) -> Option<[Lane<'a>; 3]> {
    let parts = schema.transaction?;
    let lane = |n: usize| Some(Lane::plain(rows.source.get(n)?));
    Some([lane(parts.id)?, lane(parts.total_order)?, lane(parts.data_collection_order)?])
}

/// The fields of the current image in the order they go out: the record's own, each under its
/// last name and with the value that a stage gave it, then what stages added.
fn slots<'a>(
    layout: &'a Layout,
    batch: &'a Batch,
    rows: &'a Rows,
    edits: Option<&'a Edits>,
    manner: Manner<'_>,
) -> Vec<Slot<'a>> {
    let fields = batch.schema.fields.iter().zip(&rows.current).zip(&layout.names);
    let own = |((field, column), member): ((&'a Field, &'a Column), &'a Member)| Slot {
        name: &field.name,
        member: Cow::Borrowed(member),
        own: Some(Lane::of(column, field, manner)),
        written: None,
        zero_filled: !field.nullable && matches!(field.logical, Logical::TimestampTz { .. }),
    };
    let mut slots: Vec<Slot<'a>> = fields.map(own).collect();
    let Some(edits) = edits else { return slots };
    for slot in &mut slots {
        if edits.removed.iter().any(|name| **name == *slot.name) {
            slot.own = None;
        }
        if let Some((_, new)) = edits.renamed.iter().find(|(old, _)| **old == *slot.name) {
            slot.member = Cow::Owned(Member::new(new));
        }
    }
    for written in &edits.written {
        add_written(written, edits, batch, manner.options, &mut slots);
    }
    slots.retain(|slot| slot.own.is_some() || slot.written.is_some());
    slots
}

/// Puts a written column over the field that it names, else behind all fields.
fn add_written<'a>(
    written: &'a WrittenColumn,
    edits: &'a Edits,
    batch: &Batch,
    options: JsonOptions,
    slots: &mut Vec<Slot<'a>>,
) {
    let (name, new) = payload_name(edits, &written.name);
    // a field keeps its declared form where the stage kept its kind
    let field = batch.schema.field(name).map(|(_, f)| f).filter(|f| f.kind == written.kind);
    let logical = match field.map(|f| &f.logical) {
        // JSON of a stage is checked before it is written unquoted
        None | Some(Logical::JsonValue | Logical::Array(_)) => &Logical::Plain,
        Some(logical) => logical,
    };
    let style = field.map_or(Style::Plain, |f| f.style);
    let lane = Lane::new(&written.column, written.kind, logical, style);
    // schemas have no type for any JSON: it goes as text
    let lane = Some(if options.value_schemas { lane.json_text() } else { lane });
    match slots.iter_mut().find(|slot| slot.name == name) {
        Some(slot) => slot.written = lane,
        None => slots.push(Slot {
            name,
            member: Cow::Owned(Member::new(new.unwrap_or(name))),
            own: None,
            written: lane,
            zero_filled: false,
        }),
    }
}

/// The name of a field in the payload, and the one that a stage gave it. Stages after a renaming
/// use the new name.
pub(super) fn payload_name<'n>(edits: &'n Edits, name: &'n str) -> (&'n str, Option<&'n str>) {
    let mut renamed = edits.renamed.iter();
    let pair = renamed.clone().find(|(old, _)| **old == *name);
    match pair.or_else(|| renamed.find(|(_, new)| **new == *name)) {
        Some((old, new)) => (old, Some(new)),
        None => (name, None),
    }
}

fn tail(received_us: i64) -> Vec<u8> {
    let mut tail = Vec::with_capacity(96);
    let times = [
        (&b"\",\"ts_ms\":"[..], received_us.div_euclid(1000)),
        (b",\"ts_us\":", received_us),
        (b",\"ts_ns\":", received_us.saturating_mul(1000)),
    ];
    for (name, value) in times {
        tail.extend_from_slice(name);
        json::write_int(value, &mut tail);
    }
    tail.push(b'}');
    tail
}
