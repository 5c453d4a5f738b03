//! Dead-letters records with missing, out-of-range, unlisted or malformed fields.
//!
//! Only records that carry a row are looked at: deletes, tombstones and truncates pass. Null and
//! missing fields break `required` alone. A large value that the source did not send because it is
//! unchanged counts as there.

use std::collections::BTreeMap;

use regex_lite::Regex;
use wasmgate_sdk::column::same;
use wasmgate_sdk::contract::Read;
use wasmgate_sdk::json::Value;
use wasmgate_sdk::prelude::*;

/// What every row must fulfil. Checks run in this order; the first that fails names the reason.
#[derive(Config)]
pub struct Checks {
    /// Fields that have a value.
    #[config(default)]
    required: Vec<String>,
    /// Numeric fields and their bounds, both included.
    #[config(default)]
    ranges: BTreeMap<String, Range>,
    /// Fields and the values they may have, compared as text.
    #[config(default)]
    allowed: BTreeMap<String, Vec<Value>>,
    /// Text fields and a regular expression that is found in them: anchor it with ^ and $.
    #[config(default)]
    patterns: BTreeMap<String, String>,
}

/// Bounds of a number, both included.
#[derive(Config)]
pub struct Range {
    min: Option<f64>,
    max: Option<f64>,
}

/// One check of one field.
struct Check {
    field: String,
    test: Test,
}

enum Test {
    Required,
    Range(Range),
    Allowed(Vec<String>),
    Pattern(Regex),
}

/// The stage.
pub struct QualityCheck {
    checks: Vec<Check>,
    bound: Vec<Bound>,
}

/// What was bound for one schema.
struct Bound {
    schema: u64,
    /// Its missing fields are unchanged ones.
    typed: bool,
    /// The column of each check; checks of one field share it.
    columns: Vec<usize>,
}

impl Transform for QualityCheck {
    type Config = Checks;

    fn open(config: Checks) -> Result<Self, String> {
        let mut checks = Vec::new();
        for field in config.required {
            checks.push(Check { field, test: Test::Required });
        }
        for (field, range) in config.ranges {
            if range.min.zip(range.max).is_some_and(|(min, max)| min > max) {
                return Err(format!("ranges.{field}: min is above max"));
            }
            checks.push(Check { field, test: Test::Range(range) });
        }
        for (field, values) in config.allowed {
            checks.push(Check { field, test: Test::Allowed(values.iter().map(text).collect()) });
        }
        for (field, pattern) in config.patterns {
            let compiled = Regex::new(&pattern);
            let regex = compiled.map_err(|error| format!("patterns.{field}: {error}"))?;
            checks.push(Check { field, test: Test::Pattern(regex) });
        }
        Ok(Self { checks, bound: Vec::new() })
    }

    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, String> {
        let has = |name: &str| schema.fields.iter().any(|field| field.name == name);
        let mut projection = Projection::new().with_ops();
        let mut columns = Vec::with_capacity(self.checks.len());
        for Check { field, test } in &self.checks {
            if matches!(test, Test::Required) && !schema.open && !has(field) {
                return Err(format!(
                    "required field `{field}` is not in the schema of {}: \
                     limit this stage to its topics with `when`",
                    schema.source
                ));
            }
            let read = test.read(field, schema);
            let known = projection.reads.iter().position(|other| *other == read);
            columns.push(known.unwrap_or(projection.reads.len()));
            if known.is_none() {
                projection.reads.push(read);
            }
        }
        self.bound.retain(|bound| bound.schema != schema.id);
        self.bound.push(Bound { schema: schema.id, typed: !schema.open, columns });
        Ok(Some(projection))
    }

    fn process(&mut self, schema: u64, batch: &Batch) -> Result<Output, String> {
        let bound = self.bound.iter().find(|bound| bound.schema == schema);
        let bound = bound.ok_or_else(|| format!("schema {schema} was not bound"))?;
        let mut reasons = BTreeMap::new();
        for (check, column) in self.checks.iter().zip(&bound.columns) {
            for (row, why) in check.test.broken(batch.column(*column)?, bound.typed)? {
                if carries_row(batch.ops.get(row as usize).copied().unwrap_or(Op::Append)) {
                    reasons.entry(row).or_insert((check, why));
                }
            }
        }
        let mut output = Output::new();
        for (row, (Check { field, test }, why)) in reasons {
            output.dead_letter(row, test.code(), format!("field `{field}` {why}"));
        }
        Ok(output)
    }
}

fn carries_row(op: Op) -> bool {
    matches!(op, Op::Create | Op::Update | Op::Snapshot | Op::Append)
}

/// A configured value as it would stand in a text field.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Test {
    fn code(&self) -> &'static str {
        match self {
            Self::Required => "missing-field",
            Self::Range(_) => "out-of-range",
            Self::Allowed(_) => "not-allowed",
            Self::Pattern(_) => "pattern-mismatch",
        }
    }

    /// A required value is only looked at for being there, so its own kind will do.
    fn read(&self, field: &str, schema: &Schema) -> Read {
        let found = schema.fields.iter().find(|found| found.name == field).map(|f| f.kind);
        let kind = match (self, found) {
            (Self::Required, Some(kind)) => kind,
            (Self::Range(_), Some(Kind::Decimal | Kind::Text)) => Kind::Text,
            (Self::Range(_), _) => Kind::Float,
            _ => Kind::Text,
        };
        Read { name: field.to_owned(), kind, optional: true }
    }

    /// The rows that break the check, and how. Values are not named: a dead letter's reason is
    /// logged, and may leave the place where the record may be read.
    fn broken(&self, column: &Column, typed: bool) -> Result<Vec<(u32, String)>, String> {
        if let Self::Required = self {
            return Ok(without_value(column, typed));
        }
        if let (Self::Range(range), Ok(floats)) = (self, column.floats()) {
            let rows = (0..).zip(floats);
            let outside = rows.filter_map(|(row, cell)| Some((row, range.misses(cell.value()?)?)));
            return Ok(outside.collect());
        }
        let mut broken = Vec::new();
        // Neighbours often share their value: look at it once.
        let mut fine = None;
        for (row, cell) in (0..).zip(column.texts()?) {
            let Cell::Value(text) = cell else { continue };
            if fine.is_some_and(|fine| same(fine, text)) {
                continue;
            }
            match self.text_breaks(text) {
                Some(why) => broken.push((row, why)),
                None => fine = Some(text),
            }
        }
        Ok(broken)
    }

    fn text_breaks(&self, text: &str) -> Option<String> {
        match self {
            Self::Required => None,
            Self::Range(range) => match text.trim().parse() {
                Ok(number) => range.misses(number),
                Err(_) => Some("is not a number".to_owned()),
            },
            Self::Allowed(values) => {
                let listed = values.iter().any(|value| same(value, text));
                (!listed).then(|| "has none of the allowed values".to_owned())
            }
            Self::Pattern(regex) => {
                (!regex.is_match(text)).then(|| format!("does not match {regex}"))
            }
        }
    }
}

/// The rows where a required field has no value.
fn without_value(column: &Column, typed: bool) -> Vec<(u32, String)> {
    let absent = |row: &u32| column.absent.binary_search(row).is_ok();
    let why = |row: &u32| match absent(row) {
        true if typed => None,
        true => Some((*row, "is missing".to_owned())),
        false => Some((*row, "is null, expected a value".to_owned())),
    };
    column.nulls.iter().filter_map(why).collect()
}

impl Range {
    #[inline]
    fn misses(&self, number: f64) -> Option<String> {
        let min = self.min.unwrap_or(f64::NEG_INFINITY);
        let max = self.max.unwrap_or(f64::INFINITY);
        if number >= min && number <= max { None } else { self.miss(number) }
    }

    #[cold]
    fn miss(&self, number: f64) -> Option<String> {
        match (self.min, self.max) {
            _ if number.is_nan() => Some("is not a number".to_owned()),
            (Some(min), _) if number < min => Some(format!("is below {min}")),
            (_, Some(max)) if number > max => Some(format!("is above {max}")),
            _ => None,
        }
    }
}

export_transform!(QualityCheck);

#[cfg(test)]
mod tests;
