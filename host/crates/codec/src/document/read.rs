//! The values of one record, appended to the columns of the plan's reads: exactly one per column,
//! whatever the record is like.

use std::sync::Arc;

use wasmgate_model::{
    Batch, Column, DeadLetterCause, FieldPath, Op, Payload, PlanRead, ReadColumn, Reject, Verdict,
};

use super::convert::{self, Mismatch};
use super::project::Seen;
use super::tree::{Found, Target, is_null};
use super::walker::{Origin, Walker};

/// Appends one value to every column of the reads. The first that does not fit rejects the row.
pub(super) fn read_row(
    walker: &mut Walker,
    batch: &mut Batch,
    row: usize,
    seen: &Seen,
    reads: &[PlanRead],
) {
    if walker.reads_key {
        walk_key(walker, batch, row);
    }
    let mut columns = std::mem::take(&mut batch.reads);
    let document = match &batch.payload {
        Payload::Documents(documents) => documents.values.get(row),
        Payload::Rows(_) => &[],
    };
    let record = Record { walker, batch, document, seen, row };
    let mut refused = None;
    for ((origin, read), column) in walker.origins.iter().zip(reads).zip(&mut columns) {
        let ReadColumn::Own(column) = column else {
            continue;
        };
        if let Err(refusal) = record.read(origin, read, column) {
            column.push_null();
            refused.get_or_insert((refusal, read));
        }
    }
    batch.reads = columns;
    if let Some((refusal, read)) = refused {
        refusal.reject(&mut batch.rejects, row, read);
    }
}

/// Why a row cannot go on.
enum Refusal {
    Kind(Mismatch),
    Missing,
}

impl From<Mismatch> for Refusal {
    fn from(found: Mismatch) -> Self {
        Self::Kind(found)
    }
}

impl Refusal {
    #[cold]
    fn reject(&self, rejects: &mut Vec<Reject>, row: usize, read: &PlanRead) {
        let name = name(&read.path);
        match self {
            Self::Kind(found) => {
                let wanted = read.kind.name();
                let message = format!("field {name}: wanted {wanted}, found {found}");
                reject(rejects, row, &"convert".into(), "wrong-kind", message);
            }
            Self::Missing => {
                let message = format!("field {name} is not there, and it is not optional");
                reject(rejects, row, &read.stage, "missing-field", message);
            }
        }
    }
}

/// Takes a row out.
#[cold]
pub(super) fn reject(
    rejects: &mut Vec<Reject>,
    row: usize,
    stage: &Arc<str>,
    code: &str,
    message: String,
) {
    let stage = Arc::clone(stage);
    let cause = DeadLetterCause { stage, code: code.into(), message, module: None };
    rejects.push(Reject { row: row as u32, verdict: Verdict::DeadLetter(Box::new(cause)) });
}

/// The contract's name of a field.
fn name(path: &FieldPath) -> String {
    match path {
        FieldPath::Current(name) => name.to_string(),
        FieldPath::Before(name) => format!("before.{name}"),
        FieldPath::Key => "$key".to_owned(),
        FieldPath::KeyField(name) => format!("$key.{name}"),
        FieldPath::Topic => "$topic".to_owned(),
        FieldPath::Partition => "$partition".to_owned(),
        FieldPath::Offset => "$offset".to_owned(),
        FieldPath::TimestampUs => "$timestamp-us".to_owned(),
        FieldPath::Header(name) => format!("$header.{name}"),
        FieldPath::Source(name) => format!("$source.{name}"),
        FieldPath::Transaction(name) => format!("$transaction.{name}"),
        FieldPath::Envelope(name) => format!("$envelope.{name}"),
    }
}

/// Finds the members of a row's key. One that is no JSON object has none.
fn walk_key(walker: &mut Walker, batch: &Batch, row: usize) {
    let key = batch.key_bytes(row).unwrap_or(&[]);
    let walked = simdutf8::basic::from_utf8(key).is_ok()
        && walker.key.walk(key, &mut walker.key_found).is_ok();
    if !walked {
        walker.key_found.clear();
    }
}

/// One record whose values are read.
struct Record<'a> {
    walker: &'a Walker,
    batch: &'a Batch,
    document: &'a [u8],
    seen: &'a Seen,
    row: usize,
}

impl Record<'_> {
    /// Appends one value; nothing on an error.
    #[inline]
    fn read(&self, origin: &Origin, read: &PlanRead, to: &mut Column) -> Result<(), Refusal> {
        let (document, found) = (self.document, &self.walker.found);
        let required = !read.optional;
        match (origin, self.seen) {
            (_, Seen::Broken) => to.push_null(),
            (Origin::Image { .. } | Origin::Member(_), Seen::Nothing) => to.push_absent(),
            (Origin::Image { after, before }, Seen::Object { delete, image }) => {
                let target = before.as_ref().filter(|_| *delete).unwrap_or(after);
                // A record without an image (truncate, message) has no field to miss.
                push_member(target, document, found, read, required && *image, to)?;
            }
            (Origin::Member(target), Seen::Object { .. }) => {
                push_member(target, document, found, read, required, to)?;
            }
            (Origin::KeyMember(target), _) => {
                let key = self.batch.key_bytes(self.row).unwrap_or(&[]);
                let required = required && !self.is_tombstone();
                push_member(target, key, &self.walker.key_found, read, required, to)?;
            }
            _ => self.read_own(origin, read, to)?,
        }
        Ok(())
    }

    fn is_tombstone(&self) -> bool {
        self.batch.ops.get(self.row) == Some(&Op::Tombstone)
    }

    /// Appends what belongs to the record itself and not to its value or key.
    fn read_own(&self, origin: &Origin, read: &PlanRead, to: &mut Column) -> Result<(), Refusal> {
        let (batch, row, kind) = (self.batch, self.row, read.kind);
        match origin {
            Origin::Topic => convert::push_raw(to, kind, batch.schema.topic.as_bytes())?,
            Origin::Key => match batch.key_bytes(row) {
                Some(key) => convert::push_raw(to, kind, key)?,
                None => to.push_null(),
            },
            Origin::Partition => match batch.partitions.get(row).copied().unwrap_or(-1) {
                -1 => to.push_null(),
                partition => convert::push_number(to, kind, i64::from(partition))?,
            },
            Origin::Offset => {
                let offset = batch.positions.get(row).map_or(0, |p| p.major);
                convert::push_number(to, kind, i64::try_from(offset).unwrap_or(i64::MAX))?;
            }
            Origin::Time => {
                let time = batch.times_us.get(row).copied().unwrap_or(0);
                convert::push_number(to, kind, time)?;
            }
            Origin::Header(name) => {
                match batch.headers.row(row).filter(|(n, _)| *n == &**name).last() {
                    Some((_, Some(value))) => convert::push_raw(to, kind, value)?,
                    Some((_, None)) => to.push_null(),
                    None if read.optional || self.is_tombstone() => to.push_absent(),
                    None => return Err(Refusal::Missing),
                }
            }
            Origin::Image { .. } | Origin::Member(_) | Origin::KeyMember(_) => to.push_absent(),
        }
        Ok(())
    }
}

/// Appends a member of a document: its value, null, or absent.
#[inline]
fn push_member(
    target: &Target,
    document: &[u8],
    found: &Found,
    read: &PlanRead,
    required: bool,
    column: &mut Column,
) -> Result<(), Refusal> {
    match target.find(found) {
        Some((_, member)) if is_null(document, member) => column.push_null(),
        Some((_, member)) => {
            let token = document.get(member.value as usize..member.end as usize);
            convert::push(column, read.kind, token.unwrap_or(&[]))?;
        }
        None if target.parent_is_null(document, found) => column.push_null(),
        None if required => return Err(Refusal::Missing),
        None => column.push_absent(),
    }
    Ok(())
}
