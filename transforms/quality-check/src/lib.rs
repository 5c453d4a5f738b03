//! Dead-letters records with missing, out-of-range, unlisted or malformed fields.
//!
//! Only records that carry a row are looked at: deletes, tombstones and truncates pass. Null and
//! missing fields break `required` alone. A large value that the source did not send because it is
//! unchanged counts as there.

use std::collections::BTreeMap;

use regex_lite::Regex;
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
    /// Schema ids whose missing fields are unchanged ones.
    typed: Vec<u64>,
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
        Ok(Self { checks, typed: Vec::new() })
    }

    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, String> {
        self.typed.retain(|id| *id != schema.id);
        if !schema.open {
            self.typed.push(schema.id);
        }
        let has = |name: &str| schema.fields.iter().any(|field| field.name == name);
        let mut projection = Projection::new().with_ops();
        for Check { field, test } in &self.checks {
            if matches!(test, Test::Required) && !schema.open && !has(field) {
                return Err(format!(
                    "required field `{field}` is not in the schema of {}: \
                     limit this stage to its topics with `when`",
                    schema.source
                ));
            }
            projection.reads.push(test.read(field, schema));
        }
        Ok(Some(projection))
    }

    fn process(&mut self, schema: u64, batch: &Batch) -> Result<Output, String> {
        let typed = self.typed.contains(&schema);
        let mut reasons: Vec<Option<(&Check, String)>> = vec![None; batch.rows as usize];
        for (number, check) in self.checks.iter().enumerate() {
            let broken = check.test.broken(batch.column(number)?, typed)?;
            for (row, why) in broken {
                let op = batch.ops.get(row).copied().unwrap_or(Op::Append);
                if let Some(reason @ None) = reasons.get_mut(row).filter(|_| carries_row(op)) {
                    *reason = Some((check, why));
                }
            }
        }
        let mut output = Output::new();
        for (row, reason) in (0..).zip(reasons) {
            if let Some((Check { field, test }, why)) = reason {
                output.dead_letter(row, test.code(), format!("field `{field}` {why}"));
            }
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

    fn read(&self, field: &str, schema: &Schema) -> Read {
        let found = schema.fields.iter().find(|found| found.name == field);
        let exact = found.is_some_and(|f| matches!(f.kind, Kind::Decimal | Kind::Text));
        let kind = if matches!(self, Self::Range(_)) && !exact { Kind::Float } else { Kind::Text };
        Read { name: field.to_owned(), kind, optional: true }
    }

    /// The rows that break the check, and how. Values are not named: a dead letter's reason is
    /// logged, and may leave the place where the record may be read.
    fn broken(&self, column: &Column, typed: bool) -> Result<Vec<(usize, String)>, String> {
        if let (Self::Range(range), Ok(floats)) = (self, column.floats()) {
            let rows = floats.map(|cell| range.misses(cell.value()?)).enumerate();
            return Ok(rows.filter_map(|(row, why)| Some((row, why?))).collect());
        }
        let rows = column.texts()?.map(|cell| self.text_breaks(cell, typed)).enumerate();
        Ok(rows.filter_map(|(row, why)| Some((row, why?))).collect())
    }

    fn text_breaks(&self, cell: Cell<&str>, typed: bool) -> Option<String> {
        match (self, cell) {
            (Self::Required, Cell::Null) => Some("is null, expected a value".to_owned()),
            (Self::Required, Cell::Absent) if !typed => Some("is missing".to_owned()),
            (_, Cell::Null | Cell::Absent) | (Self::Required, Cell::Value(_)) => None,
            (Self::Range(range), Cell::Value(text)) => match text.trim().parse() {
                Ok(number) => range.misses(number),
                Err(_) => Some("is not a number".to_owned()),
            },
            (Self::Allowed(values), Cell::Value(text)) => {
                let listed = values.iter().any(|value| value == text);
                (!listed).then(|| "has none of the allowed values".to_owned())
            }
            (Self::Pattern(regex), Cell::Value(text)) => {
                (!regex.is_match(text)).then(|| format!("does not match {regex}"))
            }
        }
    }
}

impl Range {
    fn misses(&self, number: f64) -> Option<String> {
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
