//! A batch of documents made ready for the chain: one walk per record gives the operation, the
//! row image, the values that are read and the places that are edited.

use std::sync::Arc;

use wasmgate_model::{
    Batch, Block, Column, Documents, Member, Op, Payload, PlanRead, ReadColumn, Values,
};

use super::read::{read_row, reject};
use super::walker::{self, Walker};
use super::{DocumentError, Reason};

/// Fills reads, images, places to edit and operations of a batch of documents.
///
/// A record that is not a JSON object (nor a tombstone) is rejected with stage `decode`, code
/// `invalid-json`; an envelope without a known operation with `invalid-envelope`; a value that
/// does not fit the wanted kind with stage `convert`, code `wrong-kind`; a record without a field
/// that is not optional with the reading stage and `missing-field`. Nothing is looked at where
/// nobody reads or edits a value.
pub fn project(batch: &mut Batch) {
    let plan = Arc::clone(&batch.plan);
    let envelope = batch.schema.envelope;
    if plan.is_empty() && !envelope {
        return;
    }
    let rows = batch.len();
    if let Payload::Documents(documents) = &mut batch.payload {
        documents.images.clear();
        documents.edits.clear();
        documents.duplicates.clear();
    }
    walker::with(&plan, envelope, |walker| {
        let columns = plan.reads.iter().zip(&walker.sizes);
        batch.reads.extend(columns.map(|(r, size)| ReadColumn::Own(with_room(r, rows, *size))));
        let unchecked = walker.walks && !all_utf8(batch);
        for row in 0..rows {
            let found = look(walker, batch, row, unchecked);
            read_row(walker, batch, row, &found, &plan.reads);
        }
        for (size, read) in walker.sizes.iter_mut().zip(&batch.reads) {
            *size = bytes(read).min(ROOM_MAX);
        }
    });
    // A source may have rejected rows before; its reason stands.
    batch.rejects.sort_by_key(|r| r.row);
    batch.rejects.dedup_by_key(|r| r.row);
}

/// What one record turned out to be.
pub(super) enum Seen {
    /// No value, or nobody looks at it.
    Nothing,
    /// Rejected already: its columns are filled up.
    Broken,
    Object {
        delete: bool,
        image: bool,
    },
}

/// Bytes of text that a column gets room for before there are any.
const ROOM_MAX: usize = 64 << 10;

/// A column with room for every row, and for as many bytes as the last batch had.
fn with_room(read: &PlanRead, rows: usize, bytes: usize) -> Column {
    let mut column = Column::new(read.kind);
    match &mut column.values {
        Values::Booleans(v) => v.reserve(rows),
        Values::Ints(v) => v.reserve(rows),
        Values::Floats(v) => v.reserve(rows),
        Values::Texts(b) | Values::Blobs(b) => {
            b.offsets.reserve(rows);
            b.data.reserve(bytes);
        }
    }
    column
}

fn bytes(read: &ReadColumn) -> usize {
    match read {
        ReadColumn::Own(Column { values: Values::Texts(b) | Values::Blobs(b), .. }) => b.data.len(),
        _ => 0,
    }
}

/// Whether every value of the batch is UTF-8: one check for all, and that no character reaches
/// over the border of two values.
fn all_utf8(batch: &Batch) -> bool {
    let Payload::Documents(documents) = &batch.payload else {
        return true;
    };
    let Block { offsets, data } = &documents.values;
    let continues = |at: &u32| data.get(*at as usize).is_some_and(|b| b & 0xC0 == 0x80);
    simdutf8::basic::from_utf8(data).is_ok() && !offsets.iter().any(continues)
}

/// Walks one value: images, places, operation; or the reason why not.
fn look(walker: &mut Walker, batch: &mut Batch, row: usize, unchecked: bool) -> Seen {
    let Payload::Documents(documents) = &mut batch.payload else {
        return Seen::Nothing;
    };
    if !walker.walks {
        return Seen::Nothing;
    }
    let document = documents.values.get(row);
    if batch.ops.get(row) == Some(&Op::Tombstone) {
        note_nothing(walker, documents);
        return Seen::Nothing;
    }
    let utf8 = if unchecked { check_utf8(document) } else { Ok(()) };
    let walked = utf8.and_then(|()| walker.value.walk(document, &mut walker.found));
    let object = match walked {
        Ok(object) => object,
        Err(error) => {
            note_nothing(walker, documents);
            reject(&mut batch.rejects, row, &"decode".into(), "invalid-json", error.to_string());
            return Seen::Broken;
        }
    };
    let Some(envelope) = &walker.envelope else {
        note_places(walker, documents, row, object, false);
        return Seen::Object { delete: false, image: true };
    };
    let op = walker.found.get(envelope.op);
    let Some(op) = operation(document, op) else {
        note_nothing(walker, documents);
        let message = "the envelope's op is not one of c, u, d, r, t, m".to_owned();
        reject(&mut batch.rejects, row, &"decode".into(), "invalid-envelope", message);
        return Seen::Broken;
    };
    if let Some(slot) = batch.ops.get_mut(row) {
        *slot = op;
    }
    let delete = op == Op::Delete;
    let image = walker.found.get(if delete { envelope.before } else { envelope.after });
    let is_object = document.get(image.value as usize) == Some(&b'{') && image.found();
    let image = if is_object { Member { name: image.value, ..image } } else { Member::default() };
    note_places(walker, documents, row, image, delete);
    Seen::Object { delete, image: is_object }
}

/// Where the UTF-8 of a value breaks off, if it does.
#[cold]
fn check_utf8(document: &[u8]) -> Result<(), DocumentError> {
    let error =
        |e: std::str::Utf8Error| DocumentError { offset: e.valid_up_to(), reason: Reason::Utf8 };
    std::str::from_utf8(document).map(|_| ()).map_err(error)
}

/// The operation of an envelope, by its letter.
fn operation(document: &[u8], member: Member) -> Option<Op> {
    Some(match document.get(member.value as usize..member.end as usize)? {
        b"\"c\"" => Op::Create,
        b"\"u\"" => Op::Update,
        b"\"d\"" => Op::Delete,
        b"\"r\"" => Op::Snapshot,
        b"\"t\"" => Op::Truncate,
        b"\"m\"" => Op::Message,
        _ => return None,
    })
}

/// A row without an image.
fn note_nothing(walker: &Walker, documents: &mut Documents) {
    documents.images.push(Member::default());
    let places = documents.edits.len() + walker.edits.len();
    documents.edits.resize(places, Member::default());
}

/// Notes the image and, in it, the places of the fields that are edited.
fn note_places(
    walker: &Walker,
    documents: &mut Documents,
    row: usize,
    image: Member,
    delete: bool,
) {
    documents.images.push(image);
    for (number, (after, before)) in walker.edits.iter().enumerate() {
        let target = before.as_ref().filter(|_| delete).unwrap_or(after);
        let place = target.find(&walker.found).filter(|_| image.found());
        documents.edits.push(place.map_or_else(Member::default, |(_, member)| member));
        if walker.found.earlier.is_empty() {
            continue;
        }
        let best = place.map(|(slot, _)| slot);
        for (slot, member) in &walker.found.earlier {
            // A literal `a.b` hides `b` in `a`, as it does for reads.
            let same = match best {
                Some(best) => best == *slot,
                None => target.places().contains(slot),
            };
            if same && image.found() {
                documents.duplicates.push((row as u32, number as u32, *member));
            }
        }
    }
}
