//! Hides fields that the configuration names. A rule that learns its fields from the
//! configuration walks columns; one with fixed fields is shorter with `#[derive(Row)]`.
//! `cases/` says what has to become of which record.

use wasmgate_sdk::prelude::*;

/// What can be set in the pipeline.
#[derive(Config)]
struct Options {
    /// Fields whose text is hidden.
    fields: Vec<String>,
    /// How many letters at the end stay.
    #[config(default)]
    keep_last: usize,
}

struct Mask(Options);

impl Transform for Mask {
    type Config = Options;

    fn open(options: Options) -> Result<Self, String> {
        if options.fields.is_empty() {
            return Err("fields: found an empty list, expected at least one field".to_owned());
        }
        Ok(Self(options))
    }

    fn bind(&mut self, _schema: &Schema) -> Result<Option<Projection>, String> {
        let start = Projection::new();
        let fields = self.0.fields.iter();
        Ok(Some(fields.fold(start, |projection, field| {
            projection.read_optional(field, Kind::Text).write(field, Kind::Text)
        })))
    }

    fn process(&mut self, _schema: u64, batch: &Batch) -> Result<Output, String> {
        let mut output = Output::new();
        for number in 0..self.0.fields.len() {
            let mut masked = TextBuilder::with_rows(batch.rows as usize);
            for cell in batch.column(number)?.texts()? {
                match cell {
                    Cell::Value(text) => masked.push(&hidden(text, self.0.keep_last)),
                    Cell::Null => masked.push_null(),
                    Cell::Absent => masked.push_absent(),
                }
            }
            output.columns.push(masked.finish());
        }
        Ok(output)
    }
}

fn hidden(text: &str, keep_last: usize) -> String {
    let hide = text.chars().count().saturating_sub(keep_last);
    text.chars().enumerate().map(|(at, letter)| if at < hide { '*' } else { letter }).collect()
}

export_transform!(Mask);

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        wasmgate_sdk::testkit::run_cases::<super::Mask>("cases").unwrap();
    }
}
