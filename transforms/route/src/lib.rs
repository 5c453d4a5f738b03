//! Sends records to topics by a field's value or by their topic's name.
//!
//! The first matching entry of `fields` decides, else the first of `topics`, else `default`;
//! a record that nothing matches stays in its topic.

mod pattern;

use wasmgate_sdk::column::{TextCells, same};
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

    /// Reads the fields in their order, then the topic if its name matters.
    fn bind(&mut self, _schema: &Schema) -> Result<Option<Projection>, String> {
        if self.patterns.is_empty() && self.fields.is_empty() && self.default.is_none() {
            return Ok(None);
        }
        let mut projection = Projection::new();
        for (field, _, _) in &self.fields {
            projection = projection.read_optional(field, Kind::Text);
        }
        if !self.patterns.is_empty() {
            projection = projection.read("$topic", Kind::Text);
        }
        Ok(Some(projection.write("$topic", Kind::Text)))
    }

    fn process(&mut self, _schema: u64, batch: &Batch) -> Result<Output, String> {
        let mut targets: Vec<Option<&str>> = vec![None; batch.rows as usize];
        for (number, (_, equals, topic)) in self.fields.iter().enumerate() {
            for (target, cell) in targets.iter_mut().zip(batch.column(number)?.texts()?) {
                if target.is_none() && cell.value().is_some_and(|value| same(value, equals)) {
                    *target = Some(topic);
                }
            }
        }
        let renamed = self.renamed(batch)?;
        if let Some(topics) = self.topics(batch)? {
            let mut names = Names::new(&renamed);
            for (target, topic) in targets.iter_mut().zip(topics) {
                let new = names.of(topic.value().unwrap_or_default());
                *target = target.or(new);
            }
        }
        let mut routed = TextBuilder::with_rows(targets.len());
        for run in targets.chunk_by(one) {
            let target = run.first().copied().flatten().or(self.default.as_deref());
            match target {
                Some(topic) => routed.push_run(topic, run.len()),
                None => run.iter().for_each(|_| routed.push_absent()),
            }
        }
        Ok(Output { columns: vec![routed.finish()], ..Output::new() })
    }
}

/// Whether two targets are the same piece of configuration.
fn one(a: &Option<&str>, b: &Option<&str>) -> bool {
    a.map(std::ptr::from_ref) == b.map(std::ptr::from_ref)
}

/// A topic's name and its new one.
type Renamed<'b> = (&'b str, Option<String>);

/// New names by old ones. Neighbours mostly share their topic.
struct Names<'a> {
    all: &'a [Renamed<'a>],
    last: Option<&'a Renamed<'a>>,
}

impl<'a> Names<'a> {
    fn new(all: &'a [Renamed<'a>]) -> Self {
        Self { all, last: all.first() }
    }

    fn of(&mut self, topic: &str) -> Option<&'a str> {
        if self.last.is_none_or(|(name, _)| !same(name, topic)) {
            self.last = self.all.iter().find(|(name, _)| same(name, topic));
        }
        self.last?.1.as_deref()
    }
}

impl Route {
    /// The topics of the records, where patterns want them.
    fn topics<'b>(&self, batch: &'b Batch) -> Result<Option<TextCells<'b>>, String> {
        if self.patterns.is_empty() {
            return Ok(None);
        }
        batch.column(self.fields.len())?.texts().map(Some)
    }

    /// The topics of a batch, each once, with their new names.
    fn renamed<'b>(&self, batch: &'b Batch) -> Result<Vec<Renamed<'b>>, String> {
        let mut renamed: Vec<Renamed<'b>> = Vec::new();
        let mut last = None;
        for topic in self.topics(batch)?.into_iter().flatten() {
            let topic = topic.value().unwrap_or_default();
            if last.is_some_and(|last| same(last, topic)) {
                continue;
            }
            last = Some(topic);
            if !renamed.iter().any(|(name, _)| same(name, topic)) {
                renamed.push((topic, self.by_topic(topic)));
            }
        }
        Ok(renamed)
    }

    fn by_topic(&self, topic: &str) -> Option<String> {
        self.patterns.iter().find_map(|pattern| pattern.rename(topic))
    }
}

export_transform!(Route);

#[cfg(test)]
mod tests;
