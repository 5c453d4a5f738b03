//! Pieces to one block: a line per row, a value per line and column; rows that do not fit stay
//! out, and their neighbours go in.

mod lines;
mod values;

use std::collections::BTreeMap;

use bytes::Bytes;
use wasmgate_model::DeadLetterCause;

use crate::bind::{Binding, Origin};
use crate::native::{BlockWriter, Misfit, Options, Reason};
use crate::piece::Piece;
use crate::settings::TableSettings;
use lines::{Lines, What};

/// A block ready to be sent, and who stays out.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) block: Vec<Bytes>,
    /// Lines in the block.
    pub(crate) lines: u32,
    /// (number of the piece, place in its `sel`, why), ascending.
    pub(crate) refused: Vec<(usize, u32, DeadLetterCause)>,
}

/// Rows that stay out, by (number of the piece, place in its `sel`).
type Refused = BTreeMap<(usize, u32), DeadLetterCause>;

fn cause(code: &str, message: String) -> DeadLetterCause {
    DeadLetterCause { stage: "sink".into(), code: code.into(), message, module: None }
}

/// Encodes every row of the pieces that fits.
pub(crate) fn encode(pieces: &[Piece], binding: &Binding, settings: &TableSettings) -> Encoded {
    let mut refused = Refused::new();
    loop {
        let before = refused.len();
        let (block, lines) = attempt(pieces, binding, settings, &mut refused);
        // Who was found only now stands in the block, with a default in its place: once more.
        if refused.len() == before {
            let refused = refused.into_iter().map(|((piece, at), cause)| (piece, at, cause));
            return Encoded { block, lines, refused: refused.collect() };
        }
    }
}

fn attempt(
    pieces: &[Piece],
    binding: &Binding,
    settings: &TableSettings,
    refused: &mut Refused,
) -> (Vec<Bytes>, u32) {
    let columns = binding.columns.iter().map(|column| (column.name.as_str(), &column.ty));
    let mut block = BlockWriter::new(columns, Options { times: settings.times });
    let mut all = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let Some(batch) = piece.batch() else { continue };
        let mut lines = Lines::of(batch, piece, binding, |at, found| match found {
            None => refused.contains_key(&(number, at)),
            Some((code, message)) => {
                refused.insert((number, at), cause(code, message));
                true
            }
        });
        let documents = values::documents(batch, &mut lines, binding, settings, |at, refusal| {
            refused.insert((number, at), cause(refusal.code, refusal.message));
        });
        let places = values::Places::new(batch, &lines, documents.as_ref());
        let mut misfits = Vec::new();
        for (at, column) in binding.columns.iter().enumerate() {
            misfits.clear();
            let before = block.rows_of(at);
            match column.origin {
                Origin::Field(field) => places.push(&mut block, at, field, binding, &mut misfits),
                Origin::Key => places.push_keys(&mut block, at, &mut misfits),
                Origin::Op => places.push_ops(&mut block, at, &mut misfits),
                Origin::Version => {
                    block.push_raw(at, lines.0.iter().map(|line| line.version().to_le_bytes()));
                }
                Origin::Deleted => block
                    .push_raw(at, lines.0.iter().map(|line| [u8::from(line.what == What::Delete)])),
                Origin::Sign => block.push_raw(
                    at,
                    lines.0.iter().map(|line| [if line.what == What::Put { 1 } else { 0xff }]),
                ),
            }
            // A record without a key has a row all the same, where rows are not told apart by it.
            if column.origin == Origin::Key && !column.key {
                continue;
            }
            misfits.retain(|m| !forgiven(&lines, m, before, column.key));
            for misfit in &misfits {
                if let Some(line) = lines.0.get((misfit.row - before) as usize) {
                    let key = (number, line.at);
                    refused.entry(key).or_insert_with(|| told(binding, at, misfit));
                }
            }
        }
        all.push(lines.0.len() as u32);
    }
    let lines = all.iter().sum();
    (if lines == 0 { Vec::new() } else { block.finish() }, lines)
}

/// A delete carries its key; what else the source did not send is left at its default.
fn forgiven(lines: &Lines, misfit: &Misfit, before: u32, key: bool) -> bool {
    let line = lines.0.get((misfit.row - before) as usize);
    let deleted = line.is_some_and(|line| line.what == What::Delete);
    deleted && !key && matches!(misfit.reason, Reason::Null | Reason::Absent)
}

fn told(binding: &Binding, at: usize, misfit: &Misfit) -> DeadLetterCause {
    let Some(column) = binding.columns.get(at) else {
        return cause(misfit.reason.code(), misfit.reason.text().to_owned());
    };
    let kind = match column.origin {
        Origin::Field(field) => binding.fields.get(field).map_or("", |f| f.kind.name()),
        _ => "",
    };
    let message = format!(
        "column `{}` of {}: the {kind} value {} (the column is {})",
        column.name,
        binding.table,
        misfit.reason.text(),
        column.ty
    );
    cause(misfit.reason.code(), message)
}
