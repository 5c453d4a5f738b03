//! The configuration: YAML → tree with places → raw structs ([`raw`], one for one what is
//! written) → checked values ([`checked`]), which hold the connectors' own settings.
//! Whatever is wrong, at any step, points into the file.

pub(crate) mod check;
pub(crate) mod checked;
mod environment;
pub(crate) mod problem;
mod raw;
mod read;
pub(crate) mod reference;
#[cfg(test)]
mod tests;
mod tree;
mod units;

use std::path::Path;

use serde::Deserialize;

use problem::{Place, Problem};
use reference::Surroundings;
use tree::{Body, Node, Text};

/// A field of the document: `pipelines`, `orders`, `[0]`, ...
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Field {
    steps: Vec<String>,
}

impl Field {
    pub(crate) fn member(&self, name: &str) -> Self {
        self.step(name.to_owned())
    }

    pub(crate) fn entry(&self, index: usize) -> Self {
        self.step(format!("[{index}]"))
    }

    fn step(&self, step: String) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { steps }
    }

    fn dotted(&self) -> String {
        self.steps.join(".").replace(".[", "[")
    }
}

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct Document {
    file: String,
    text: String,
    root: Node,
}

impl Document {
    /// Parses a file's text and resolves its references.
    ///
    /// # Errors
    /// It is not YAML, or a reference leads nowhere; the report says where.
    fn parse(file: &str, text: String, from: &dyn Surroundings) -> Result<Self, String> {
        let parsed = tree::parse(&text).and_then(|mut root| {
            environment::fill(&mut root, from);
            root.resolve("", from)?;
            Ok(root)
        });
        match parsed {
            Ok(root) => Ok(Self { file: file.to_owned(), text, root }),
            Err(problem) => Err(problem.render(file, &text)),
        }
    }

    /// Puts a problem where a field stands, or where the deepest part of it stands, and hides a
    /// value that came from somewhere else.
    pub(crate) fn locate(&self, field: &Field, mut problem: Problem) -> Problem {
        let mut node = &self.root;
        let mut place = Place { line: 1, column: 1, width: 1 };
        for step in &field.steps {
            let Some((key, child)) = node.child(step) else { break };
            place = match child.body {
                Body::Map(_) | Body::List(_) | Body::Null => key,
                _ => child.place,
            };
            node = child;
        }
        if let Body::Text(Text { written, resolved: Some(value) }) = &node.body {
            problem = problem.hide(value, written);
        }
        problem.within(&field.dotted(), place)
    }

    /// All problems for people, in the order of the file.
    pub(crate) fn report(&self, mut problems: Vec<Problem>) -> String {
        problems.sort_by_key(|p| p.place.map_or((0, 0), |at| (at.line, at.column)));
        let reports: Vec<String> =
            problems.iter().map(|p| p.render(&self.file, &self.text)).collect();
        reports.join("\n")
    }
}

/// Reads and checks a configuration.
///
/// # Errors
/// The report of everything that is wrong, for people.
pub(crate) fn load(
    path: &Path,
    from: &dyn Surroundings,
) -> Result<(checked::Config, Document), String> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{file}: the configuration cannot be read: {error}"))?;
    parse(&file, text, from)
}

fn parse(
    file: &str,
    text: String,
    from: &dyn Surroundings,
) -> Result<(checked::Config, Document), String> {
    let document = Document::parse(file, text, from)?;
    let start = Place { line: 1, column: 1, width: 1 };
    let raw = raw::Config::deserialize(read::Reader::new(&document.root))
        .map_err(|problem| document.report(vec![problem.within("", start)]))?;
    match check::check(raw, &document) {
        Ok(config) => Ok((config, document)),
        Err(problems) => Err(document.report(problems)),
    }
}

/// The JSON Schema of the configuration.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(raw::Config)
}
