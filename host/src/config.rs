//! The configuration: YAML → tree with places → raw structs ([`raw`], one for one what is
//! written) → checked values ([`checked`]), which hold the connectors' own settings.
//! Whatever is wrong, at any step, points into the file.

pub(crate) mod check;
pub(crate) mod checked;
mod connectors;
mod environment;
pub(crate) mod problem;
mod raw;
mod read;
pub(crate) mod reference;
#[cfg(test)]
mod tests;
mod tree;
mod units;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub(crate) use connectors::Reported;
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

/// What is read: a file, connector documents, or both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'f> {
    /// The configuration.
    pub(crate) base: Option<&'f Path>,
    pub(crate) connectors: &'f [ConnectorFile],
}

/// A file with connectors.
#[derive(Debug, Clone)]
pub(crate) struct ConnectorFile {
    /// Name of the connector where the file does not say it.
    pub(crate) name: Option<String>,
    pub(crate) path: PathBuf,
}

impl From<String> for ConnectorFile {
    /// `FILE`, or `NAME=FILE`.
    fn from(text: String) -> Self {
        match text.split_once('=') {
            Some((name, path)) if !name.contains('/') => {
                Self { name: Some(name.to_owned()), path: path.into() }
            }
            _ => Self { name: None, path: text.into() },
        }
    }
}

impl Files<'_> {
    /// Their names, for people.
    pub(crate) fn names(&self) -> String {
        let names = self.base.into_iter().chain(self.connectors.iter().map(|c| c.path.as_path()));
        names.map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// Another name of a field, for people: that of a connector's property.
#[derive(Debug)]
struct Named {
    field: String,
    shown: String,
    /// What is deeper in the field has no name of its own.
    whole: bool,
}

impl Named {
    fn whole(field: &str, shown: &str) -> Self {
        Self { field: field.to_owned(), shown: shown.to_owned(), whole: true }
    }
}

/// The files as they were read, and what they come to.
#[derive(Debug)]
pub(crate) struct Document {
    /// Name and text.
    files: Vec<(String, String)>,
    root: Node,
    names: Vec<Named>,
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
            Ok(root) => Ok(Self { files: vec![(file.to_owned(), text)], root, names: Vec::new() }),
            Err(problem) => Err(problem.render(file, &text)),
        }
    }

    /// A document without a file.
    fn empty() -> Self {
        let root = Node { place: Place::default(), body: Body::Null };
        Self { files: vec![(String::new(), String::new())], root, names: Vec::new() }
    }

    /// Adds a file; the number under which its places are known.
    fn add_file(&mut self, name: String, text: String) -> u32 {
        self.files.push((name, text));
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// Name of the file of a place.
    fn file(&self, place: Place) -> &str {
        self.files.get(place.file as usize).map_or("", |(name, _)| name)
    }

    /// What a field is called where it was written.
    fn shown(&self, field: &str) -> String {
        let rest = |named: &Named| {
            let rest = field.strip_prefix(&named.field)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest.to_owned())
        };
        let matches = self.names.iter().filter_map(|named| Some((named, rest(named)?)));
        match matches.max_by_key(|(named, _)| named.field.len()) {
            Some((named, _)) if named.whole => named.shown.clone(),
            Some((named, rest)) => format!("{}{rest}", named.shown),
            None => field.to_owned(),
        }
    }

    /// Puts a problem where a field stands, or where the deepest part of it stands, and hides a
    /// value that came from somewhere else.
    pub(crate) fn locate(&self, field: &Field, mut problem: Problem) -> Problem {
        let mut node = &self.root;
        let mut place = Place { line: 1, column: 1, width: 1, ..Place::default() };
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
        problem.within(&self.shown(&field.dotted()), place)
    }

    /// All problems for people, in the order of the files, each once.
    pub(crate) fn report(&self, mut problems: Vec<Problem>) -> String {
        problems.sort_by_key(|p| p.place.map_or((0, 0, 0), |at| (at.file, at.line, at.column)));
        let mut reports: Vec<String> = Vec::new();
        for problem in &problems {
            let file = problem.place.map_or(0, |place| place.file as usize);
            let (name, text) = self.files.get(file).map_or(("", ""), |(n, t)| (n, t));
            let report = problem.render(name, text);
            if !reports.contains(&report) {
                reports.push(report);
            }
        }
        reports.join("\n")
    }
}

/// What a configuration has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// A pipeline at least.
    Pipelines,
    Settings,
}

/// What came of the files.
pub(crate) struct Loaded {
    pub(crate) config: checked::Config,
    pub(crate) document: Document,
}

/// Reads and checks a configuration with its connectors. What became of their properties is added
/// to `reported`, also when something is wrong.
///
/// # Errors
/// The report of everything that is wrong, for people.
pub(crate) fn load(
    files: Files<'_>,
    from: &dyn Surroundings,
    reported: &mut Vec<Reported>,
) -> Result<Loaded, String> {
    let mut document = match files.base {
        Some(path) => {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{file}: the configuration cannot be read: {error}"))?;
            Document::parse(&file, text, from)?
        }
        None => Document::empty(),
    };
    connectors::add(&mut document, files.connectors, from, reported)?;
    check_all(document, Demand::Pipelines)
}

/// Reads and checks a configuration, which may be without pipelines.
///
/// # Errors
/// The report of everything that is wrong, for people.
pub(crate) fn load_settings(
    path: &Path,
    from: &dyn Surroundings,
) -> Result<checked::Config, String> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{file}: the configuration cannot be read: {error}"))?;
    Ok(check_all(Document::parse(&file, text, from)?, Demand::Settings)?.config)
}

fn check_all(document: Document, demand: Demand) -> Result<Loaded, String> {
    let start = Place { line: 1, column: 1, width: 1, ..Place::default() };
    let raw = raw::Config::deserialize(read::Reader::new(&document.root)).map_err(|problem| {
        let mut problem = problem.within("", start);
        problem.field = document.shown(&problem.field);
        document.report(vec![problem])
    })?;
    match check::check(raw, &document, demand) {
        Ok(config) => Ok(Loaded { config, document }),
        Err(problems) => Err(document.report(problems)),
    }
}

#[cfg(test)]
fn parse(
    file: &str,
    text: String,
    from: &dyn Surroundings,
) -> Result<(checked::Config, Document), String> {
    let loaded = check_all(Document::parse(file, text, from)?, Demand::Pipelines)?;
    Ok((loaded.config, loaded.document))
}

/// The JSON Schema of the configuration.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(raw::Config)
}
