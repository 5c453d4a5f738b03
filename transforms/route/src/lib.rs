//! Sends records to topics by a field's value or by their topic's name.
//!
//! The first matching entry of `fields` decides, else the first of `topics`, else `default`;
//! a record that nothing matches stays in its topic.

mod pattern;

use wasmgate_sdk::column::TextCells;
use wasmgate_sdk::json::Value;
use wasmgate_sdk::prelude::*;

use pattern::Pattern;

/// Where records go.
#[derive(Config)]
pub struct Routes {
    /// Topics by the name of the record's topic, like Kafka Connect's RegexRouter.
    #[config(default)]
    topics: Vec<TopicRoute>,
    /// Topics by the value of a field.
    #[config(default)]
    fields: Vec<FieldRoute>,
    /// Topic of records that nothing matches; without it they stay where they are.
    default: Option<String>,
}

/// Renames a topic.
#[derive(Config)]
pub struct TopicRoute {
    /// Regular expression that matches the whole name.
    pattern: String,
    /// The new name; `$1` is the first group.
    topic: String,
}

/// Sends a value to a topic.
#[derive(Config)]
pub struct FieldRoute {
    field: String,
    /// Compared as text; null and missing fields match nothing.
    equals: Value,
    topic: String,
}

/// The stage.
pub struct Route {
    patterns: Vec<Pattern>,
    fields: Vec<(String, String, String)>,
    default: Option<String>,
}

impl Transform for Route {
    type Config = Routes;

    fn open(routes: Routes) -> Result<Self, String> {
        let patterns = routes.topics.iter().enumerate().map(|(number, route)| {
            Pattern::new(&route.pattern, &route.topic)
                .map_err(|why| format!("topics[{number}]: {why}"))
        });
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let fields = routes.fields.into_iter().map(|r| (r.field, text(r.equals), r.topic));
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>()?,
            fields: fields.collect(),
            default: routes.default,
        })
    }

    /// Reads the topic, then the fields in their order.
    fn bind(&mut self, _schema: &Schema) -> Result<Option<Projection>, String> {
        if self.patterns.is_empty() && self.fields.is_empty() && self.default.is_none() {
            return Ok(None);
        }
        let mut projection = Projection::new().read("$topic", Kind::Text);
        for (field, _, _) in &self.fields {
            projection = projection.read_optional(field, Kind::Text);
        }
        Ok(Some(projection.write("$topic", Kind::Text)))
    }

    fn process(&mut self, _schema: u64, batch: &Batch) -> Result<Output, String> {
        let topics = batch.column(0)?.texts()?;
        let mut fields = Vec::with_capacity(self.fields.len());
        for number in 1..=self.fields.len() {
            fields.push(batch.column(number)?.texts()?);
        }
        let mut routed = TextBuilder::with_rows(batch.rows as usize);
        // Neighbours mostly share their topic: match its name once.
        let mut last: Option<(&str, Option<String>)> = None;
        for topic in topics {
            let by_field = self.by_field(&mut fields);
            let topic = topic.value().unwrap_or_default();
            if last.as_ref().is_none_or(|(name, _)| *name != topic) {
                last = Some((topic, self.by_topic(topic)));
            }
            let by_topic = last.as_ref().and_then(|(_, new)| new.as_deref());
            let target = by_field.or(by_topic).or(self.default.as_deref());
            routed.push_cell(target.map_or(Cell::Absent, Cell::Value));
        }
        Ok(Output { columns: vec![routed.finish()], ..Output::new() })
    }
}

impl Route {
    /// Every column steps, so that all stay on the same row.
    fn by_field(&self, columns: &mut [TextCells<'_>]) -> Option<&str> {
        let mut found = None;
        for (column, (_, equals, topic)) in columns.iter_mut().zip(&self.fields) {
            let value = column.next().and_then(Cell::value);
            if found.is_none() && value == Some(equals.as_str()) {
                found = Some(topic.as_str());
            }
        }
        found
    }

    fn by_topic(&self, topic: &str) -> Option<String> {
        self.patterns.iter().find_map(|pattern| pattern.rename(topic))
    }
}

export_transform!(Route);

#[cfg(test)]
mod tests;
