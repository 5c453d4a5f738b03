//! Documents to columns by the schema of their table: one walk per document, which checks it.

use std::collections::HashMap;

use wasmgate_codec::document;
use wasmgate_model::{Column, Kind, Values};

use crate::bind::Binding;
use crate::settings::Epoch;

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Documents so far, as columns in the order of [`Binding::fields`].
pub(crate) struct DocumentColumns {
    pub(crate) columns: Vec<Column>,
    kinds: Vec<Kind>,
    names: Vec<String>,
    numbers: HashMap<Box<[u8]>, Place>,
    /// Where the values of the document at hand lie: (start, end), 0 where there is none.
    found: Vec<(usize, usize)>,
    ignore_unknown: bool,
    epoch: i64,
    table: String,
}

#[derive(Clone, Copy)]
enum Place {
    Column(usize),
    PassedOver,
}

impl DocumentColumns {
    pub(crate) fn new(binding: &Binding, ignore_unknown: bool, epoch: Epoch) -> Self {
        let kinds: Vec<Kind> = binding.fields.iter().map(|field| field.kind).collect();
        let names: Vec<String> = binding.fields.iter().map(|f| f.name.to_string()).collect();
        let passed = binding.passed_over.iter().map(|name| (name.as_bytes(), Place::PassedOver));
        let known = names.iter().enumerate().map(|(n, name)| (name.as_bytes(), Place::Column(n)));
        Self {
            columns: kinds.iter().map(|kind| Column::new(*kind)).collect(),
            numbers: passed.chain(known).map(|(name, place)| (name.into(), place)).collect(),
            found: vec![(0, 0); names.len()],
            kinds,
            names,
            ignore_unknown,
            epoch: epoch.us(),
            table: binding.table.clone(),
        }
    }

    /// Documents so far.
    pub(crate) fn len(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// Appends one value to every column.
    ///
    /// # Errors
    /// The document is not an object of fields that the table has; the values are absent then.
    pub(crate) fn push(&mut self, document: &[u8]) -> Result<(), Refusal> {
        self.found.fill((0, 0));
        let start = document.as_ptr() as usize;
        let (numbers, found) = (&self.numbers, &mut self.found);
        let mut unknown = None;
        let walked = document::object(document, |name, token| match numbers.get(&*name) {
            Some(Place::Column(number)) => {
                let at = token.as_ptr() as usize - start;
                if let Some(slot) = found.get_mut(*number) {
                    *slot = (at, at + token.len());
                }
            }
            Some(Place::PassedOver) => {}
            None => {
                unknown.get_or_insert_with(|| String::from_utf8_lossy(&name).into_owned());
            }
        });
        let refusal = match (walked, unknown.filter(|_| !self.ignore_unknown)) {
            (Err(error), _) => Some(Refusal { code: "invalid-json", message: error.to_string() }),
            (Ok(()), Some(name)) => Some(Refusal {
                code: "unknown-field",
                message: format!(
                    "table {} has no column for field `{name}`; add it, list it in `exclude`, or \
                     set `unknown_fields: ignore`",
                    self.table
                ),
            }),
            (Ok(()), None) => None,
        };
        if let Some(refusal) = refusal {
            self.columns.iter_mut().for_each(Column::push_absent);
            return Err(refusal);
        }
        self.values(document)
    }

    fn values(&mut self, document: &[u8]) -> Result<(), Refusal> {
        let mut refusal = None;
        let places = self.found.iter().zip(&self.kinds).zip(&self.names);
        for (((&(from, to), &kind), name), column) in places.zip(&mut self.columns) {
            if to == 0 {
                column.push_absent();
                continue;
            }
            let token = document.get(from..to).unwrap_or(&[]);
            if let Err(found) = push_value(column, kind, token, self.epoch) {
                column.push_null();
                refusal.get_or_insert_with(|| Refusal {
                    code: "wrong-kind",
                    message: format!(
                        "field `{name}`: wanted {} for its column in {}, found {found}",
                        kind.name(),
                        self.table
                    ),
                });
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

/// Appends a value. A date and time without its zone is in UTC; a number is in `epoch`.
fn push_value(
    column: &mut Column,
    kind: Kind,
    token: &[u8],
    epoch: i64,
) -> Result<(), &'static str> {
    let pushed = document::push_token(column, kind, token);
    if kind != Kind::TimestampUs {
        return pushed;
    }
    match (pushed, token) {
        (Err(_), [b'"', .., b'"']) => {
            let mut zoned = token.get(..token.len() - 1).unwrap_or(&[]).to_vec();
            zoned.extend_from_slice(b"Z\"");
            document::push_token(column, kind, &zoned)
        }
        (Ok(()), [b'-' | b'0'..=b'9', ..]) if epoch != 1 => {
            if let Values::Ints(values) = &mut column.values
                && let Some(last) = values.last_mut()
            {
                *last = last.saturating_mul(epoch);
            }
            Ok(())
        }
        (pushed, _) => pushed,
    }
}
