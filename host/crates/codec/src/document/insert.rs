//! New members of documents, and written values as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use wasmgate_model::{Batch, Column, Kind, Member, Values};

use super::place::NewPlace;
use super::scan::Scanner;
use super::splice::{Action, Step};
use super::{DocumentError, Reason};
use crate::json;

/// A member to be added.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insert {
    value: Source,
    /// Where in the field's name the member's name starts.
    from: usize,
    /// The rest of the field's name is one name, dots and all.
    literal: bool,
}

/// Where name and value of an added member come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A written column.
    Written(usize),
    /// A renaming that moves this member into another object.
    Moved(usize, Member),
}

impl Insert {
    /// The value of a written column.
    pub(super) fn written(number: usize) -> Self {
        Self { value: Source::Written(number), from: 0, literal: false }
    }

    /// A member that stood elsewhere, under the new name of a renaming.
    pub(super) fn moved(renamed: usize, member: Member) -> Self {
        Self { value: Source::Moved(renamed, member), from: 0, literal: false }
    }

    pub(super) fn into_place(mut self, place: &NewPlace) -> Self {
        self.from = place.from;
        self.literal = place.literal;
        self
    }

    /// The member's name inside the object that it is added to.
    fn name(self, batch: &Batch) -> &str {
        let (written, renamed) = (&batch.edits.written, &batch.edits.renamed);
        let name: Option<&str> = match self.value {
            Source::Moved(number, _) => renamed.get(number).map(|(_, new)| &**new),
            Source::Written(number) => written.get(number).map(|w| {
                // A renamed field that a stage wrote and the record lacked.
                let new = renamed.iter().find(|(old, _)| *old == w.name);
                new.map_or(&*w.name, |(_, new)| &**new)
            }),
        };
        name.and_then(|n| n.get(self.from..)).unwrap_or("")
    }
}

/// What the additions to one row have in common.
struct Writer<'a> {
    batch: &'a Batch,
    i: usize,
    document: &'a [u8],
}

/// Appends the members of `first` and of `more`, which all stand at the same place.
pub(super) fn write_all(
    batch: &Batch,
    i: usize,
    document: &[u8],
    first: &Step,
    more: &[Step],
    out: &mut Vec<u8>,
) -> Result<(), DocumentError> {
    let writer = Writer { batch, i, document };
    let from_null = first.end > first.at;
    if from_null {
        out.push(b'{');
    }
    let inserts = std::iter::once(first).chain(more).filter_map(|step| match step.action {
        Action::Insert(insert) => Some(insert),
        _ => None,
    });
    let nested = inserts.clone().any(|n| !n.literal && n.name(batch).contains('.'));
    if nested {
        let members: Vec<_> = inserts.map(|n| (n.name(batch), n)).collect();
        writer.nested(&members, out)?;
    } else {
        for insert in inserts {
            writer.member(insert.name(batch), insert, out)?;
        }
    }
    if from_null {
        out.push(b'}');
    }
    Ok(())
}

impl Writer<'_> {
    /// One member.
    fn member(&self, name: &str, insert: Insert, out: &mut Vec<u8>) -> Result<(), DocumentError> {
        separate(out);
        json::write_string(name, out);
        out.push(b':');
        match insert.value {
            Source::Written(number) => write_written(self.batch, self.i, number, out),
            Source::Moved(_, member) => {
                let value = self.document.get(member.value as usize..member.end as usize);
                out.extend_from_slice(value.unwrap_or(&[]));
                Ok(())
            }
        }
    }

    /// Members of which some go into objects that have to be made, each of them once.
    fn nested(&self, members: &[(&str, Insert)], out: &mut Vec<u8>) -> Result<(), DocumentError> {
        let split = |(name, insert): &(&str, Insert)| {
            let (head, tail) = if insert.literal { None } else { name.split_once('.') }?;
            Some((head.len(), tail.len()))
        };
        let mut made: Vec<&str> = Vec::new();
        for member in members {
            let (name, insert) = *member;
            let Some((head, _)) = split(member) else {
                self.member(name, insert, out)?;
                continue;
            };
            let head = name.get(..head).unwrap_or(name);
            if made.contains(&head) {
                continue;
            }
            made.push(head);
            let inside =
                |m: &(&'_ str, Insert)| split(m).is_some_and(|(at, _)| m.0.get(..at) == Some(head));
            let inner: Vec<_> = members
                .iter()
                .filter(|m| inside(m))
                .map(|(name, insert)| (name.get(head.len() + 1..).unwrap_or(""), *insert))
                .collect();
            separate(out);
            json::write_string(head, out);
            out.extend_from_slice(b":{");
            self.nested(&inner, out)?;
            out.push(b'}');
        }
        Ok(())
    }
}

/// Appends the comma that a further member of an object needs: none directly after the brace.
pub(super) fn separate(out: &mut Vec<u8>) {
    if out.trim_ascii_end().last() != Some(&b'{') {
        out.push(b',');
    }
}

/// Appends the value that a stage wrote for place `i` of `sel`.
pub(super) fn write_written(
    batch: &Batch,
    i: usize,
    number: usize,
    out: &mut Vec<u8>,
) -> Result<(), DocumentError> {
    match batch.edits.written.get(number) {
        Some(written) => write_column_value(&written.column, written.kind, i, out),
        None => Ok(()),
    }
}

fn write_column_value(
    column: &Column,
    kind: Kind,
    i: usize,
    out: &mut Vec<u8>,
) -> Result<(), DocumentError> {
    if column.is_null(i) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &column.values {
        Values::Booleans(values) => {
            let text: &[u8] = if values.get(i) == Some(&true) { b"true" } else { b"false" };
            out.extend_from_slice(text);
        }
        Values::Ints(values) => json::write_int(values.get(i).copied().unwrap_or(0), out),
        Values::Floats(values) => json::write_float(values.get(i).copied().unwrap_or(0.0), out),
        Values::Texts(block) if kind == Kind::Json => {
            let text = block.get(i);
            check(text)?;
            out.extend_from_slice(text);
        }
        Values::Texts(block) => json::write_string(block.text(i), out),
        Values::Blobs(block) => {
            out.push(b'"');
            let start = out.len();
            let bytes = block.get(i);
            out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
            let room = out.get_mut(start..).unwrap_or(&mut []);
            // The room is exactly what the encoding takes.
            let written = BASE64.encode_slice(bytes, room).unwrap_or(0);
            out.truncate(start + written);
            out.push(b'"');
        }
    }
    Ok(())
}

/// A module's JSON text goes into the document as it is: it must be one value.
fn check(text: &[u8]) -> Result<(), DocumentError> {
    let mut scan = Scanner::new(text, 0);
    scan.space();
    let checked = scan.value(0).and_then(|()| scan.finish());
    checked.map_err(|_| DocumentError { offset: scan.at, reason: Reason::Written })
}
