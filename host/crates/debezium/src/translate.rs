//! A connector's properties as settings of a pipeline: every property is looked up in the table,
//! what stands there is done, and the answer is kept. Properties that are not given count with
//! Debezium's default where ours is another.

use crate::finding::{Finding, Verdict};
use crate::legacy;
use crate::property::{Origin, Property};
use crate::setting::{Setting, Value};
use crate::spelling::{alternatives, closest};
use crate::table::{self, Connector, Row, Rule};
use crate::{converters, filters, transforms, value};

/// What a connector comes to.
#[derive(Debug, Clone)]
pub struct Translation {
    /// The document's properties and the defaults that count beside them.
    pub properties: Vec<Property>,
    /// The pipeline: `source`, `transforms`, what else was asked for, but no sinks.
    pub pipeline: Setting,
    /// How sinks write records, where the connector says so.
    pub converters: Setting,
    /// Which property a setting of the pipeline stands for: dotted path, property.
    pub origins: Vec<(String, String)>,
    /// One for each property, in their order; then those that are missing.
    pub findings: Vec<Finding>,
}

impl Translation {
    /// Whether the connector cannot run like that.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict.is_error())
    }
}

/// Translates a connector. `defaults` count for what the document does not say, as a Kafka
/// Connect worker's properties do: those of a converter only where the document names none.
#[must_use]
pub fn translate(document: Vec<Property>, defaults: &[Property]) -> Translation {
    let mut work = Work::new(with_defaults(document, defaults));
    if let Some(connector) = table::connector(&mut work) {
        work.connector = connector;
        converters::translate(&mut work);
        transforms::translate(&mut work);
        for index in 0..work.properties.len() {
            work.property(index);
        }
        work.absent();
    }
    work.end()
}

/// Whether a name is that of a property.
///
/// # Errors
/// It is not; the name that was probably meant.
pub fn known(name: &str) -> Result<(), Option<&'static str>> {
    let modern = legacy::modern(name).0;
    let all = [Connector::Postgres, Connector::MySql];
    if all.iter().any(|connector| table::row_of(*connector, &modern).is_some()) {
        return Ok(());
    }
    Err(closest(name, all.into_iter().flat_map(table::names)))
}

fn with_defaults(mut document: Vec<Property>, defaults: &[Property]) -> Vec<Property> {
    let given = |name: &str| document.iter().any(|p| legacy::modern(&p.name).0 == name);
    let counts = |default: &&Property| {
        let converter = converters::ROLES.iter().find(|role| default.name.starts_with(**role));
        !given(&default.name) && converter.is_none_or(|role| !given(role))
    };
    let counting: Vec<Property> = defaults.iter().filter(counts).cloned().collect();
    document.extend(counting);
    document
}

/// A translation on its way.
pub(crate) struct Work {
    pub(crate) properties: Vec<Property>,
    /// Today's names of the properties; empty where another property of that name counts.
    names: Vec<String>,
    pub(crate) connector: Connector,
    pub(crate) pipeline: Setting,
    pub(crate) converters: Setting,
    origins: Vec<(String, String)>,
    answers: Vec<Option<Finding>>,
    missing: Vec<Finding>,
}

impl Work {
    fn new(properties: Vec<Property>) -> Self {
        let modern: Vec<String> =
            properties.iter().map(|p| legacy::modern(&p.name).0.into_owned()).collect();
        let counts = |name: &String, property: &Property| {
            property.name == *name || properties.iter().all(|other| other.name != *name)
        };
        let names = modern.iter().zip(&properties).map(|(name, property)| {
            if counts(name, property) { name.clone() } else { String::new() }
        });
        Self {
            names: names.collect(),
            answers: vec![None; properties.len()],
            properties,
            connector: Connector::Postgres,
            pipeline: Setting::map(None),
            converters: Setting::map(None),
            origins: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// The property of this name, today's or an older one.
    pub(crate) fn find(&self, name: &str) -> Option<(usize, &Property)> {
        let index = self.names.iter().position(|known| known == name)?;
        Some((index, self.properties.get(index)?))
    }

    /// The text of a property, trimmed; the default where it is not given.
    pub(crate) fn text_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.find(name).map_or(default, |(_, property)| property.value().trim())
    }

    /// A piece of a value for a message; where the value is a reference, that.
    pub(crate) fn shown<'a>(&'a self, index: usize, piece: &'a str) -> &'a str {
        let property = self.properties.get(index);
        let reference = property.filter(|property| property.resolved.is_some());
        reference.map_or(piece, |property| &property.written)
    }

    /// The properties whose name starts with this: index and the rest of the name.
    pub(crate) fn under(&self, prefix: &str) -> Vec<(usize, String)> {
        let names = self.names.iter().enumerate();
        names.filter_map(|(i, name)| Some((i, name.strip_prefix(prefix)?.to_owned()))).collect()
    }

    /// Puts a setting of the source, or with `/` before it, of the pipeline.
    pub(crate) fn put(&mut self, path: &str, setting: Setting, property: &str) {
        let path = self.path(path);
        self.pipeline.put(&path, setting);
        self.stands_for(path, property);
    }

    /// The whole path of a setting.
    pub(crate) fn path(&self, path: &str) -> String {
        match path.strip_prefix('/') {
            Some(whole) => whole.to_owned(),
            None => format!("source.{}.{path}", self.connector.source()),
        }
    }

    pub(crate) fn stands_for(&mut self, path: String, property: &str) {
        self.origins.push((path, property.to_owned()));
    }

    pub(crate) fn answer(&mut self, index: usize, verdict: Verdict, text: impl Into<String>) {
        self.answer_with(index, verdict, text, None);
    }

    /// Keeps what became of a property; the first answer that is an error stays.
    pub(crate) fn answer_with(
        &mut self,
        index: usize,
        verdict: Verdict,
        text: impl Into<String>,
        help: Option<String>,
    ) {
        let Some(property) = self.properties.get(index) else { return };
        let mut text = text.into();
        let (name, note) = legacy::modern(&property.name);
        if name != property.name {
            text = format!("now called `{name}`{note}: {text}");
        }
        if property.origin == Origin::Debezium {
            text = format!("not given, so `{}`: {text}", property.written);
        }
        let finding =
            Finding { property: property.name.clone(), index: Some(index), verdict, text, help };
        let Some(answer) = self.answers.get_mut(index) else { return };
        if answer.as_ref().is_none_or(|earlier| !earlier.verdict.is_error()) {
            *answer = Some(finding);
        }
    }

    pub(crate) fn honoured(&mut self, index: usize, how: impl Into<String>) {
        self.answer(index, Verdict::Honoured, how);
    }

    pub(crate) fn wrong(&mut self, index: usize, what: impl Into<String>) {
        self.answer(index, Verdict::Wrong, what);
    }

    /// The records would be others: an error.
    pub(crate) fn refuse(&mut self, index: usize, why: impl Into<String>, help: &str) {
        let help = Some(help.to_owned()).filter(|help| !help.is_empty());
        self.answer_with(index, Verdict::Unsupported { changes_data: true }, why, help);
    }

    /// A property that has to be there.
    pub(crate) fn missing(&mut self, property: &str, help: &str) {
        self.missing.push(Finding {
            property: property.to_owned(),
            index: None,
            verdict: Verdict::Wrong,
            text: "is missing".to_owned(),
            help: Some(help.to_owned()),
        });
    }

    pub(crate) fn unless_answered(&mut self, index: usize, verdict: Verdict, text: &str) {
        if !self.answered(index) {
            self.answer(index, verdict, text);
        }
    }

    fn answered(&self, index: usize) -> bool {
        self.answers.get(index).is_none_or(Option::is_some)
    }

    fn property(&mut self, index: usize) {
        if self.answered(index) {
            return;
        }
        let Some(name) = self.names.get(index).cloned() else { return };
        if name.is_empty() {
            self.answer(index, Verdict::Ignored, "that is given too, and counts");
            return;
        }
        match table::row_of(self.connector, &name) {
            Some(row) => self.apply(row, index),
            None => self.unknown(index, &name),
        }
    }

    /// What the table says about a property, done.
    fn apply(&mut self, row: &Row, index: usize) {
        let Some(mut property) = self.properties.get(index).cloned() else { return };
        let value = legacy::value(&property.name, property.value());
        if value != property.value().trim() {
            property.resolved = Some(value.to_owned());
        }
        match &row.rule {
            Rule::Own(own) => {
                own(self, index, row);
                if !self.answered(index) {
                    self.honoured(index, row.says);
                }
            }
            Rule::Ignored => self.answer(index, Verdict::Ignored, row.says),
            Rule::Lacking => {
                self.answer(index, Verdict::Unsupported { changes_data: false }, row.says);
            }
            Rule::Only { values, changes_data } => {
                let found = property.value().trim();
                if values.iter().any(|value| value.eq_ignore_ascii_case(found)) {
                    self.honoured(index, "what is done anyway");
                } else {
                    let verdict = Verdict::Unsupported { changes_data: *changes_data };
                    let text = format!("found `{}`: {}", property.written, row.says);
                    let help = match values {
                        [""] => "leave it out".to_owned(),
                        _ => format!("leave it out, or write {}", alternatives(values)),
                    };
                    self.answer_with(index, verdict, text, Some(help));
                }
            }
            Rule::Patterns(path) => self.patterns(path, row, index),
            // As templates leave them.
            Rule::Text(_) if !row.required && property.value().trim().is_empty() => {
                self.honoured(index, "empty, as if it were not given");
                if let (Rule::Text(path), true) = (&row.rule, row.always) {
                    self.put(path, Setting::text(row.default, index), row.name);
                }
            }
            rule => match setting(rule, &property) {
                Ok((path, value)) => {
                    let how = format!("`{}`", self.path(path));
                    self.put(path, Setting { value, from: Some(index) }, row.name);
                    match row.says {
                        says if !says.is_empty() && !row.required => {
                            self.honoured(index, format!("{how}: {says}"));
                        }
                        _ => self.honoured(index, how),
                    }
                }
                Err(what) => self.wrong(index, what),
            },
        }
    }

    /// Regular expressions, unless one of them cannot be understood. An empty list is none.
    pub(crate) fn patterns(&mut self, path: &str, row: &Row, index: usize) {
        let Some(patterns) = filters::patterns(self, index, row.name) else { return };
        let how = format!("`{}`", self.path(path));
        if !patterns.is_empty() {
            self.put(path, Setting::texts(patterns, index), row.name);
        }
        self.honoured(index, how);
    }

    fn unknown(&mut self, index: usize, name: &str) {
        let text = "no property of this connector or of Kafka Connect; nothing is done about it";
        let help = closest(name, table::names(self.connector))
            .map(|near| format!("did you mean `{near}`?"));
        self.answer_with(index, Verdict::Unknown, text, help);
    }

    /// Debezium's defaults, where ours are others, and what has to be there.
    fn absent(&mut self) {
        for row in table::rows(self.connector) {
            if self.find(row.name).is_some() {
                continue;
            }
            if row.required {
                self.missing(row.name, row.says);
            } else if row.always {
                let index = self.properties.len();
                self.properties.push(Property {
                    name: row.name.to_owned(),
                    written: row.default.to_owned(),
                    resolved: None,
                    origin: Origin::Debezium,
                });
                self.names.push(row.name.to_owned());
                self.answers.push(None);
                self.apply(row, index);
            }
        }
    }

    fn end(self) -> Translation {
        let findings = self.answers.into_iter().flatten().chain(self.missing);
        Translation {
            properties: self.properties,
            pipeline: self.pipeline,
            converters: self.converters,
            origins: self.origins,
            findings: findings.collect(),
        }
    }
}

/// The setting that a simple rule makes of a property: its path and its value.
fn setting<'r>(rule: &'r Rule, property: &Property) -> Result<(&'r str, Value), String> {
    Ok(match rule {
        Rule::Text(path) => {
            let text = property.value().trim();
            if text.is_empty() {
                return Err(value::wrong(property, "text"));
            }
            (path, Value::Text(text.to_owned()))
        }
        Rule::Secret(path) => (path, Value::Text(property.value().to_owned())),
        Rule::Whole(path, least, most) => {
            (path, Value::Whole(value::whole(property, *least, *most)?))
        }
        Rule::Millis(path, least, most) => {
            (path, Value::Text(format!("{}ms", value::whole(property, *least, *most)?)))
        }
        Rule::Flag(path) => (path, Value::Flag(value::flag(property)?)),
        Rule::Words(path, words) => {
            let theirs: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let at = value::word(property, &theirs)?;
            let ours = words.get(at).map_or("", |(_, ours)| ours);
            (path, Value::Text(ours.to_owned()))
        }
        Rule::Own(_) | Rule::Patterns(_) | Rule::Ignored | Rule::Lacking | Rule::Only { .. } => {
            return Err("cannot be set".to_owned());
        }
    })
}
