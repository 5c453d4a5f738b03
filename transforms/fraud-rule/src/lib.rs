//! Marks records that fulfil all of a list of numeric conditions. The default is the reference
//! rule of telecom subscription fraud. Fields come from the configuration, so this rule uses the
//! column API; a rule with fixed fields is shorter with `#[derive(Row)]`.

use wasmgate_sdk::contract::Column;
use wasmgate_sdk::prelude::*;

/// A record that fulfils every condition is a hit.
#[derive(Config)]
pub struct Rule {
    /// All must hold. A null or missing operand does not hold.
    #[config(default = reference_rule())]
    conditions: Vec<Condition>,
    /// Boolean field that is written to every record.
    #[config(default = "is_fraud")]
    write: String,
    /// Topic that hits go to; without it they stay in theirs.
    topic: Option<String>,
}

/// A field compared with a number.
#[derive(Config)]
pub struct Condition {
    field: String,
    op: Comparison,
    value: f64,
}

/// How the field is compared.
#[derive(Config, Clone, Copy)]
pub enum Comparison {
    #[config(name = ">")]
    Above,
    #[config(name = ">=")]
    AtLeast,
    #[config(name = "<")]
    Below,
    #[config(name = "<=")]
    AtMost,
    #[config(name = "==")]
    Equal,
    #[config(name = "!=")]
    Unequal,
}

/// monthly_spending > 400 and credit_score < 600 and monthly_call_duration > 500.
fn reference_rule() -> Vec<Condition> {
    let condition = |field: &str, op, value| Condition { field: field.to_owned(), op, value };
    vec![
        condition("monthly_spending", Comparison::Above, 400.0),
        condition("credit_score", Comparison::Below, 600.0),
        condition("monthly_call_duration", Comparison::Above, 500.0),
    ]
}

impl Comparison {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Above => left > right,
            Self::AtLeast => left >= right,
            Self::Below => left < right,
            Self::AtMost => left <= right,
            Self::Equal => left == right,
            Self::Unequal => left != right,
        }
    }
}

impl Transform for Rule {
    type Config = Self;

    fn open(rule: Self) -> Result<Self, String> {
        if rule.conditions.is_empty() {
            return Err("conditions: found an empty list, expected at least one".to_owned());
        }
        Ok(rule)
    }

    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, String> {
        let mut projection = Projection::new();
        for Condition { field, .. } in &self.conditions {
            projection = projection.read_optional(field, operand_kind(schema, field));
        }
        projection = projection.write(&self.write, Kind::Boolean);
        if self.topic.is_some() {
            projection = projection.write("$topic", Kind::Text);
        }
        Ok(Some(projection))
    }

    fn process(&mut self, _schema: u64, batch: &Batch) -> Result<Output, String> {
        let mut hits = vec![true; batch.rows as usize];
        for (number, condition) in self.conditions.iter().enumerate() {
            let holds = |value| condition.op.holds(value, condition.value);
            let column = batch.column(number)?;
            if let Ok(floats) = column.floats() {
                and(&mut hits, floats.map(|cell| cell.value().is_some_and(holds)));
            } else {
                let parsed = column.texts()?.map(|cell| cell.value()?.parse().ok());
                and(&mut hits, parsed.map(|value: Option<f64>| value.is_some_and(holds)));
            }
        }
        metrics::add("hits", hits.iter().filter(|hit| **hit).count() as u64);
        let mut output = Output::new();
        if let Some(topic) = &self.topic {
            output.columns.push(topics(&hits, topic));
        }
        let mut marks = BoolBuilder::with_rows(hits.len());
        hits.into_iter().for_each(|hit| marks.push(hit));
        output.columns.insert(0, marks.finish());
        Ok(output)
    }
}

/// Decimals and texts of a typed schema come as text, which loses nothing; all else as float.
fn operand_kind(schema: &Schema, name: &str) -> Kind {
    match schema.fields.iter().find(|field| field.name == name) {
        Some(field) if matches!(field.kind, Kind::Decimal | Kind::Text) => Kind::Text,
        _ => Kind::Float,
    }
}

fn and(hits: &mut [bool], held: impl Iterator<Item = bool>) {
    for (hit, held) in hits.iter_mut().zip(held) {
        *hit &= held;
    }
}

fn topics(hits: &[bool], topic: &str) -> Column {
    let mut topics = TextBuilder::with_rows(hits.len());
    for hit in hits {
        topics.push_cell(if *hit { Cell::Value(topic) } else { Cell::Absent });
    }
    topics.finish()
}

export_transform!(Rule);

#[cfg(test)]
mod tests;
