//! Documents out: the original bytes with the chain's edits spliced in.
//!
//! The places come from the walk of the batch. For every row they become steps in the order of
//! the document; what lies between them is copied. A document is walked a second time only for
//! names that nobody announced: fields left out of single rows, and new fields of nested objects.

use std::cell::RefCell;

use wasmgate_model::{Batch, Documents, Edits, Member, Op, Payload, Removal, Shape};

use super::DocumentError;
use super::insert::{self, Insert};
use super::place::{Found, Places, parent_of};
use super::scan::Scanner;
use super::text::{decoded, inner};
use crate::json;

/// What happens to a piece of the document.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    /// A member goes, with its comma.
    Remove,
    /// A value becomes the one of this written column.
    Value(usize),
    /// A name becomes the new one of this renaming, from this byte on: without the names of the
    /// objects around it.
    Name { renamed: usize, from: usize },
    /// Members are added before this place, the end of an object; or in place of a null, which
    /// becomes an object.
    Insert(Insert),
}

/// An action on `at..end`. Steps inside an earlier one are void.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) action: Action,
}

/// Memory kept from row to row.
#[derive(Debug, Default)]
struct Scratch {
    steps: Vec<Step>,
    places: Found,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Appends the document of `sel[i]` with the edits of the batch: fields written, removed and
/// renamed, in the row image where the record is an envelope. [`Shape::Row`] gives the image
/// alone. A written value that is absent leaves what was there. Fields that are not there yet are
/// appended to the image; dotted names go into their nested object, which is made if need be
/// (`a.b` becomes a literal name where `a` is neither an object nor null). Every occurrence of a
/// duplicate name is edited. A field that is both removed from its row and written is left out.
///
/// False, and nothing is appended: the record has no value (a tombstone, or the image is wanted
/// and there is none).
///
/// # Errors
/// A stage wrote a field of kind JSON that is not JSON, or the document was never checked and is
/// not an object; `out` holds a part of the document then.
pub fn write_value(batch: &Batch, i: usize, out: &mut Vec<u8>) -> Result<bool, DocumentError> {
    let (Payload::Documents(documents), Some(&row)) = (&batch.payload, batch.sel.get(i)) else {
        return Ok(false);
    };
    let (at, edits) = (row as usize, &batch.edits);
    let emptied = edits.tombstone.as_ref().and_then(|c| c.boolean(i)) == Some(true);
    if emptied || batch.ops.get(at).is_none_or(|op| *op == Op::Tombstone) {
        return Ok(false);
    }
    let document = documents.values.get(at);
    let image = documents.images.get(at).copied();
    let span = match image {
        Some(image) if edits.shape == Shape::Row && batch.schema.envelope => {
            if !image.found() {
                return Ok(false);
            }
            (image.value as usize, image.end as usize)
        }
        _ => (0, document.len()),
    };
    let first = edits.removals.partition_point(|r| r.row < row);
    let removals = edits.removals.get(first..).unwrap_or(&[]);
    let removals = removals.get(..removals.partition_point(|r| r.row == row)).unwrap_or(&[]);
    let untouched = edits.written.is_empty()
        && edits.removed.is_empty()
        && edits.renamed.is_empty()
        && removals.is_empty();
    if untouched || image.is_some_and(|m| !m.found()) {
        out.extend_from_slice(document.get(span.0..span.1).unwrap_or(&[]));
        return Ok(true);
    }
    let row = Row { batch, documents, removals, document, image: object(document, image)?, i, at };
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.steps.clear();
        row.collect(scratch)?;
        scratch.steps.sort_by_key(|s| s.at);
        row.apply(span, &scratch.steps, out)
    })?;
    Ok(true)
}

/// The row image; of a document that was never walked, the document itself.
fn object(document: &[u8], image: Option<Member>) -> Result<Member, DocumentError> {
    if let Some(image) = image {
        return Ok(image);
    }
    let mut scan = Scanner::new(document, 0);
    scan.space();
    let start = scan.at as u32;
    let end = super::scan::members(document, scan.at, |_, _| {})? as u32;
    Ok(Member { name: start, value: start, end })
}

/// One row that is edited.
struct Row<'a> {
    batch: &'a Batch,
    documents: &'a Documents,
    removals: &'a [Removal],
    document: &'a [u8],
    image: Member,
    /// Place in `sel`, and number in the payload.
    i: usize,
    at: usize,
}

impl Row<'_> {
    fn edits(&self) -> &Edits {
        &self.batch.edits
    }

    /// Notes every step, removals first: they win over what else is done to the same member.
    fn collect(&self, scratch: &mut Scratch) -> Result<(), DocumentError> {
        let everywhere = self.edits().removed.iter().map(|n| &**n).filter(|n| !self.writes(n));
        let here = self.removals.iter().flat_map(|r| &r.fields).map(String::as_str);
        for name in here.filter(|n| !n.starts_with("$key.")).chain(everywhere) {
            self.find(self.payload_name(name).0, &mut scratch.places)?;
            scratch.steps.extend(scratch.places.all.iter().map(|m| remove(*m)));
        }
        for (number, written) in self.edits().written.iter().enumerate() {
            if !self.gives(number) {
                continue;
            }
            let (name, renamed) = self.payload_name(&written.name);
            self.find(name, &mut scratch.places)?;
            let Some(renamed) = renamed else {
                scratch.steps.extend(scratch.places.all.iter().map(|m| value(*m, number)));
                if scratch.places.current.is_none() {
                    self.add(&written.name, Insert::written(number), &mut scratch.steps)?;
                }
                continue;
            };
            self.rename(renamed, name, Some(number), scratch)?;
        }
        for (number, (old, _)) in self.edits().renamed.iter().enumerate() {
            if !self.writes(old) && !self.removes(old) {
                self.find(old, &mut scratch.places)?;
                self.rename(number, old, None, scratch)?;
            }
        }
        Ok(())
    }

    /// The name of a field in the payload, and the renaming that concerns it. Stages after a
    /// renaming use the new name.
    fn payload_name<'n>(&'n self, name: &'n str) -> (&'n str, Option<usize>) {
        let renamed = &self.edits().renamed;
        let by = |end: fn(&(std::sync::Arc<str>, std::sync::Arc<str>)) -> &str| {
            renamed.iter().position(|pair| end(pair) == name)
        };
        let number = by(|(old, _)| old).or_else(|| by(|(_, new)| new));
        let old = number.and_then(|n| renamed.get(n)).map_or(name, |(old, _)| &**old);
        (old, number)
    }

    /// Whether this row leaves out the field with this name in the payload.
    fn removes(&self, name: &str) -> bool {
        let fields = self.removals.iter().flat_map(|r| &r.fields);
        fields.into_iter().any(|field| self.payload_name(field).0 == name)
    }

    /// Whether a written column has a value for this row.
    fn gives(&self, number: usize) -> bool {
        self.edits().written.get(number).is_some_and(|w| {
            !w.column.is_absent(self.i) && !self.removes(self.payload_name(&w.name).0)
        })
    }

    /// Whether some written column gives this field of the payload a value.
    fn writes(&self, name: &str) -> bool {
        let mut written = self.edits().written.iter().enumerate();
        written.any(|(n, w)| self.payload_name(&w.name).0 == name && self.gives(n))
    }

    /// Where a field lies, every occurrence.
    fn find(&self, name: &str, places: &mut Found) -> Result<(), DocumentError> {
        let known = Places { batch: self.batch, documents: self.documents, row: self.at };
        known.find(self.document, self.image, name, places)
    }

    /// Renames the members at `scratch.places`, and gives them the value of a written column.
    fn rename(
        &self,
        number: usize,
        old: &str,
        written: Option<usize>,
        scratch: &mut Scratch,
    ) -> Result<(), DocumentError> {
        let Some((_, new)) = self.edits().renamed.get(number) else {
            return Ok(());
        };
        let mut moved = false;
        for member in &scratch.places.all {
            let end = self.name_end(*member);
            let token = self.document.get(member.name as usize..end).unwrap_or(&[]);
            if let Some(from) = stays(old, new, &decoded(inner(token))) {
                let action = Action::Name { renamed: number, from };
                scratch.steps.push(Step { at: member.name as usize, end, action });
                scratch.steps.extend(written.map(|written| value(*member, written)));
            } else {
                scratch.steps.push(remove(*member));
                moved = true;
            }
        }
        let insert = match (written, scratch.places.current) {
            (Some(written), None) => Insert::written(written),
            (Some(written), Some(_)) if moved => Insert::written(written),
            (None, Some(member)) if moved => Insert::moved(number, member),
            _ => return Ok(()),
        };
        self.add(new, insert, &mut scratch.steps)
    }

    /// One past the closing quote of a member's name.
    fn name_end(&self, member: Member) -> usize {
        let mut scan = Scanner::new(self.document, member.name as usize);
        scan.name().map_or(member.value as usize, |(token, _)| member.name as usize + token.len())
    }

    /// Adds a field that is not there.
    fn add(&self, name: &str, insert: Insert, steps: &mut Vec<Step>) -> Result<(), DocumentError> {
        let gone = |m: &Member| {
            steps.iter().any(|s| {
                matches!(s.action, Action::Remove)
                    && s.at <= m.name as usize
                    && m.end as usize <= s.end
            })
        };
        let place = parent_of(self.document, self.image, name, gone)?;
        let action = Action::Insert(insert.into_place(&place));
        steps.push(Step { at: place.at, end: place.end, action });
        Ok(())
    }

    /// Writes the span with every step.
    fn apply(
        &self,
        span: (usize, usize),
        steps: &[Step],
        out: &mut Vec<u8>,
    ) -> Result<(), DocumentError> {
        let mut cursor = span.0;
        let mut rest = steps;
        while let Some((step, tail)) = rest.split_first() {
            rest = tail;
            // Inside an earlier step, or (a duplicate image) outside of what is written.
            if step.at < cursor || step.end > span.1 {
                continue;
            }
            out.extend_from_slice(self.document.get(cursor..step.at).unwrap_or(&[]));
            cursor = step.end;
            match step.action {
                Action::Remove => cursor = self.skip_member(step.end, out),
                Action::Value(number) => insert::write_written(self.batch, self.i, number, out)?,
                Action::Name { renamed, from } => {
                    let new = self.edits().renamed.get(renamed).and_then(|(_, n)| n.get(from..));
                    json::write_string(new.unwrap_or(""), out);
                }
                Action::Insert(_) => {
                    let more = tail.iter().take_while(|s| s.at == step.at).count();
                    let (group, after) = tail.split_at_checked(more).unwrap_or((&[], tail));
                    rest = after;
                    insert::write_all(self.batch, self.i, self.document, step, group, out)?;
                }
            }
        }
        out.extend_from_slice(self.document.get(cursor..span.1).unwrap_or(&[]));
        Ok(())
    }

    /// Leaves out a member that ends at `end`, with the comma after it; behind the last one, the
    /// comma before it is taken back. Where to go on.
    fn skip_member(&self, end: usize, out: &mut Vec<u8>) -> usize {
        let mut scan = Scanner::new(self.document, end);
        scan.space();
        if scan.peek() == b',' {
            scan.at += 1;
            scan.space();
            return scan.at;
        }
        let kept = out.trim_ascii_end();
        if let Some(kept) = kept.strip_suffix(b",") {
            out.truncate(kept.len());
        }
        end
    }
}

fn remove(member: Member) -> Step {
    Step { at: member.name as usize, end: member.end as usize, action: Action::Remove }
}

fn value(member: Member, written: usize) -> Step {
    let action = Action::Value(written);
    Step { at: member.value as usize, end: member.end as usize, action }
}

/// Whether a member of this local name keeps its object when the field `old` becomes `new`: where
/// its local name starts in `new`.
fn stays(old: &str, new: &str, local: &[u8]) -> Option<usize> {
    let around = old.as_bytes().strip_suffix(local).unwrap_or(&[]);
    let local = new.as_bytes().strip_prefix(around)?;
    (!local.contains(&b'.')).then_some(around.len())
}

/// Appends a key without these members, `{}` where none is left, as Debezium's transforms do. A key
/// that is no JSON object has none: it stays as it is, as does one of which nothing is removed.
pub fn write_key_without(key: &[u8], removed: &[&str], out: &mut Vec<u8>) {
    let before = out.len();
    let mut scan = Scanner::new(key, 0);
    scan.space();
    let mut dropped = 0;
    out.push(b'{');
    let end = super::scan::members(key, scan.at, |member, token| {
        let name = decoded(inner(token));
        if removed.iter().any(|r| r.as_bytes() == &*name) {
            dropped += 1;
            return;
        }
        insert::separate(out);
        out.extend_from_slice(key.get(member.name as usize..member.end as usize).unwrap_or(&[]));
    });
    let whole = end.is_ok_and(|end| Scanner::new(key, end).finish().is_ok());
    if whole && dropped > 0 {
        out.push(b'}');
        return;
    }
    out.truncate(before);
    out.extend_from_slice(key);
}
