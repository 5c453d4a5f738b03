//! Where the values of a piece's lines are: in the payload, in what stages wrote, in old images,
//! or in documents that are taken apart here.

use std::borrow::Cow;

use wasmgate_codec::document;
use wasmgate_codec::encode::ValueWriter;
use wasmgate_model::{Batch, Column, Kind, Logical, Op, Payload, Shape as Form};

use super::lines::{Lines, What};
use crate::bind::{Binding, Deletes, kind};
use crate::documents::{DocumentColumns, Refusal};
use crate::native::{BlockWriter, Cells, Misfit};
use crate::settings::TableSettings;

/// Takes the documents of the lines apart; lines of documents that are refused go. `None`: rows.
pub(super) fn documents(
    batch: &Batch,
    lines: &mut Lines,
    binding: &Binding,
    settings: &TableSettings,
    mut refuse: impl FnMut(u32, Refusal),
) -> Option<DocumentColumns> {
    if !binding.documents {
        return None;
    }
    let mut columns = DocumentColumns::new(binding, settings.ignore_unknown, settings.epoch);
    let mut writer = ValueWriter::new();
    let writer = writer.begin(batch);
    let (mut bytes, mut kept) = (Vec::new(), Vec::with_capacity(lines.0.len()));
    for line in &lines.0 {
        bytes.clear();
        let refused = match line.what {
            What::Delete => {
                let key = writer.key(line.at as usize, &mut bytes);
                match (key, image_of_delete(batch, line.row, &mut bytes)) {
                    (_, true) | (true, _) => columns.push(&bytes).err().map(keyless),
                    // A log takes it down all the same.
                    (false, false) if binding.deletes == Deletes::Logged => {
                        columns.push(b"{}").err()
                    }
                    (false, false) => Some(Refusal {
                        code: "no-key",
                        message: "a delete without a key says nothing about any row".to_owned(),
                    }),
                }
            }
            What::Put | What::Cancel => match writer.value(line.at as usize, &mut bytes) {
                Ok(true) => columns.push(image(batch, &bytes)).err(),
                Ok(false) => {
                    let message = "the record has no row image".to_owned();
                    Some(Refusal { code: "no-row", message })
                }
                Err(error) => Some(Refusal { code: error.code(), message: error.to_string() }),
            },
        };
        match refused {
            Some(refusal) => refuse(line.at, refusal),
            None => kept.push(*line),
        }
    }
    let broken = kept.len() < lines.0.len();
    lines.0 = kept;
    // Columns hold a row for refused documents too: the caller encodes once more without them.
    if broken && columns.len() != lines.0.len() {
        lines.0.clear();
    }
    Some(columns)
}

fn keyless(refusal: Refusal) -> Refusal {
    Refusal { message: format!("the key of a delete: {}", refusal.message), ..refusal }
}

/// The old row of an envelope's delete, in place of its key. False: there is none.
fn image_of_delete(batch: &Batch, row: u32, bytes: &mut Vec<u8>) -> bool {
    let Payload::Documents(documents) = &batch.payload else { return false };
    let image = documents.images.get(row as usize).filter(|image| image.found());
    let deleted = batch.ops.get(row as usize) == Some(&Op::Delete);
    let Some(image) = image.filter(|_| deleted && batch.schema.envelope) else {
        return false;
    };
    let document = documents.values.get(row as usize);
    bytes.clear();
    bytes.extend_from_slice(document.get(image.value as usize..image.end as usize).unwrap_or(&[]));
    true
}

/// The row in a document: of an envelope its `after`.
fn image<'d>(batch: &Batch, document: &'d [u8]) -> &'d [u8] {
    if !batch.schema.envelope || batch.edits.shape == Form::Row {
        return document;
    }
    let mut found = document;
    let walked = document::object(document, |name, token| {
        if &*name == b"after" {
            found = token;
        }
    });
    if walked.is_ok() { found } else { document }
}

/// Where the values of a piece's lines are.
pub(super) struct Places<'a> {
    batch: &'a Batch,
    lines: &'a Lines,
    documents: Option<&'a DocumentColumns>,
    /// Payload rows, places in `sel`, and 0, 1, 2, ... of the lines.
    rows: Vec<u32>,
    places: Vec<u32>,
    counted: Vec<u32>,
    /// Some line is an old image: columns are put together line by line.
    mixed: bool,
}

impl<'a> Places<'a> {
    pub(super) fn new(
        batch: &'a Batch,
        lines: &'a Lines,
        documents: Option<&'a DocumentColumns>,
    ) -> Self {
        let each = lines.0.iter();
        Self {
            batch,
            lines,
            documents,
            rows: each.clone().map(|line| line.row).collect(),
            places: each.clone().map(|line| line.at).collect(),
            counted: (0..lines.0.len() as u32).collect(),
            mixed: each.clone().any(|line| line.old.is_some()),
        }
    }

    /// Appends the values of field number `field` to column `at` of the block.
    pub(super) fn push(
        &self,
        block: &mut BlockWriter,
        at: usize,
        field: usize,
        binding: &Binding,
        misfits: &mut Vec<Misfit>,
    ) {
        let Some(shape) = binding.fields.get(field) else { return };
        let (kind, logical) = kind(shape);
        let (column, rows) = match (&self.batch.payload, self.documents) {
            (_, Some(documents)) => match documents.columns.get(field) {
                Some(column) => (Cow::Borrowed(column), &self.counted),
                None => return,
            },
            (Payload::Rows(rows), None) => {
                let own = shape.own.and_then(|number| rows.current.get(number));
                let old = shape.own.and_then(|number| rows.old.get(number));
                let written = shape.written.and_then(|n| self.batch.edits.written.get(n));
                match (own, written.map(|w| &w.column)) {
                    (Some(own), None) if !self.mixed => (Cow::Borrowed(own), &self.rows),
                    (_, Some(written)) if !self.mixed && written.absent.is_empty() => {
                        (Cow::Borrowed(written), &self.places)
                    }
                    (own, written) => {
                        (Cow::Owned(self.merged(kind, own, old, written)), &self.counted)
                    }
                }
            }
            (Payload::Documents(_), None) => return,
        };
        let absent_is_null = binding.absent_is_null || shape.own.is_none();
        let cells = Cells { column: &column, kind, logical, rows, absent_is_null };
        block.push(at, &cells, misfits);
    }

    /// Appends the records' keys to column `at` of the block.
    pub(super) fn push_keys(&self, block: &mut BlockWriter, at: usize, misfits: &mut Vec<Misfit>) {
        let mut writer = ValueWriter::new();
        let writer = writer.begin(self.batch);
        let (mut column, mut bytes) = (Column::new(Kind::Text), Vec::new());
        for line in &self.lines.0 {
            bytes.clear();
            match writer.key(line.at as usize, &mut bytes) {
                true => column.push_bytes(&bytes),
                false => column.push_null(),
            }
        }
        self.push_text(&column, block, at, misfits);
    }

    /// Appends the letters of the operations to column `at` of the block.
    pub(super) fn push_ops(&self, block: &mut BlockWriter, at: usize, misfits: &mut Vec<Misfit>) {
        let mut column = Column::new(Kind::Text);
        self.lines.0.iter().for_each(|line| column.push_bytes(line.op_letter()));
        self.push_text(&column, block, at, misfits);
    }

    fn push_text(
        &self,
        column: &Column,
        block: &mut BlockWriter,
        at: usize,
        misfits: &mut Vec<Misfit>,
    ) {
        let (kind, logical, rows) = (Kind::Text, &Logical::Plain, self.counted.as_slice());
        let cells = Cells { column, kind, logical, rows, absent_is_null: true };
        block.push(at, &cells, misfits);
    }

    /// A value per line: of the old image, of a stage where it wrote one, else the record's own.
    fn merged(
        &self,
        kind: Kind,
        own: Option<&Column>,
        old: Option<&Column>,
        written: Option<&Column>,
    ) -> Column {
        let mut merged = Column::new(kind);
        for line in &self.lines.0 {
            let written = written.filter(|column| !column.is_absent(line.at as usize));
            let (from, row) = match (line.old, written, own) {
                (Some(entry), _, _) => (old, entry),
                (None, Some(written), _) => (Some(written), line.at),
                (None, None, own) => (own, line.row),
            };
            match from {
                Some(from) if same(&merged, from) => merged.push_from(from, row as usize),
                _ => merged.push_absent(),
            }
        }
        merged
    }
}

/// Whether two columns store alike: a stage may write another kind than the field had.
fn same(a: &Column, b: &Column) -> bool {
    std::mem::discriminant(&a.values) == std::mem::discriminant(&b.values)
}
