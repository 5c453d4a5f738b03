//! Connector documents beside the configuration: each is translated and becomes a pipeline of the
//! tree, whose values know their places in the connector's file; what is found wrong with them
//! later is reported under the name of the property.

use std::io;

use wasmgate_debezium as debezium;
use wasmgate_debezium::{Finding, Origin, Property, Provider, Setting, Translation, Value};

use super::problem::{Place, Problem};
use super::reference::Surroundings;
use super::tree::{Body, Key, Node, Text};
use super::{ConnectorFile, Document, Named};

/// Where records of connectors go when nobody says: files that keep them, since the slot moves on.
const SINK_DIR: &str = "./out";

/// A connector and what became of its properties.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) findings: Vec<Finding>,
    /// The directory that its records go to, because the configuration names no sink.
    pub(crate) kept_in: Option<String>,
}

/// Where references of connectors lead.
struct Beside<'a>(&'a dyn Surroundings);

impl Provider for Beside<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.variable(name)
    }

    fn file(&self, path: &str) -> io::Result<String> {
        self.0.file(path)
    }
}

/// Adds the connectors of files to a document.
///
/// # Errors
/// The report of everything that is wrong with them; what was found of each is in `reported`.
pub(super) fn add(
    document: &mut Document,
    files: &[ConnectorFile],
    from: &dyn Surroundings,
    reported: &mut Vec<Reported>,
) -> Result<(), String> {
    let mut problems = Vec::new();
    for ConnectorFile { name, path } in files {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{file}: the connector cannot be read: {error}"))?;
        let documents = debezium::read(&text, name.as_deref());
        let number = document.add_file(file.clone(), text);
        match documents {
            Ok(all) => {
                for connector in all {
                    let mut adding = Adding { document, number, from };
                    let (findings, wrong) = adding.connector(&connector);
                    let kept_in = document.default_sink(&connector.name);
                    let (file, name) = (file.clone(), connector.name);
                    reported.push(Reported { file, name, findings, kept_in });
                    problems.extend(wrong);
                }
            }
            Err(refusal) => {
                let problem = Problem::new(refusal.message).help(refusal.help);
                problems.push(problem.within("", placed(refusal.place, number)));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(document.report(problems)) }
}

fn placed(place: debezium::Place, file: u32) -> Place {
    Place { file, line: place.line, column: place.column, width: place.width }
}

impl Document {
    /// The directory of a connector's records where no sink is configured.
    fn default_sink(&self, name: &str) -> Option<String> {
        self.section("sinks").is_none().then(|| format!("{SINK_DIR}/{name}"))
    }

    /// A member of `connectors`.
    fn section(&self, member: &str) -> Option<&Node> {
        self.root.child("connectors")?.1.child(member).map(|(_, node)| node)
    }
}

/// A connector that is being added.
struct Adding<'d> {
    document: &'d mut Document,
    /// Of its file.
    number: u32,
    from: &'d dyn Surroundings,
}

impl Adding<'_> {
    fn connector(&mut self, connector: &debezium::Document) -> (Vec<Finding>, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut own = Vec::new();
        for member in &connector.config {
            let at = placed(member.place, self.number);
            match self.resolved(&member.written) {
                Ok(resolved) => own.push(Property {
                    name: member.name.clone(),
                    written: member.written.clone(),
                    resolved,
                    origin: Origin::Document(member.place),
                }),
                Err(problem) => problems.push(problem.within(&member.name, at)),
            }
        }
        if !problems.is_empty() {
            return (Vec::new(), problems);
        }
        let translation = debezium::translate(own, &self.defaults());
        let start = placed(connector.name_place, self.number);
        if let Some(problem) = self.clash(&connector.name, start) {
            problems.push(problem);
        }
        let wrong = translation.findings.iter().filter(|finding| finding.verdict.is_error());
        problems.extend(wrong.map(|finding| self.problem(finding, &translation, start)));
        if problems.is_empty() {
            self.pipeline(&connector.name, start, &translation);
        }
        (translation.findings, problems)
    }

    fn resolved(&self, written: &str) -> Result<Option<String>, Problem> {
        debezium::resolve(written, &Beside(self.from))
            .map_err(|(message, help)| Problem::new(message).help(help))
    }

    /// Properties that count for every connector.
    fn defaults(&self) -> Vec<Property> {
        let Some(Body::Map(members)) = self.document.section("defaults").map(|node| &node.body)
        else {
            return Vec::new();
        };
        let texts = members.iter().filter_map(|(key, node)| {
            let (written, resolved) = node.scalar()?;
            let (written, resolved) = (written.to_owned(), resolved.map(str::to_owned));
            Some(Property { name: key.name.clone(), written, resolved, origin: Origin::Defaults })
        });
        texts.collect()
    }

    fn clash(&self, name: &str, at: Place) -> Option<Problem> {
        let (taken, _) = self.document.root.child("pipelines")?.1.child(name)?;
        let (file, line) = (self.document.file(taken), taken.line);
        let message = format!("`{name}` is also the name of the pipeline at {file}:{line}");
        let problem = Problem::new(message).help("give each connector and pipeline its own name");
        Some(problem.within("name", at))
    }

    fn problem(&self, finding: &Finding, translation: &Translation, start: Place) -> Problem {
        let property = finding.index.and_then(|index| translation.properties.get(index));
        let at = property.map_or(start, |property| self.place(property, start));
        let mut problem = Problem::new(finding.text.clone());
        if let Some(help) = &finding.help {
            problem = problem.help(help.as_str());
        }
        problem.within(&finding.property, at)
    }

    /// Where a property stands.
    fn place(&self, property: &Property, start: Place) -> Place {
        match property.origin {
            Origin::Document(place) => placed(place, self.number),
            Origin::Debezium => start,
            Origin::Defaults => {
                let defaults = self.document.section("defaults");
                let node = defaults.and_then(|node| node.child(&property.name));
                node.map_or(start, |(_, node)| node.place)
            }
        }
    }

    /// Puts the pipeline into the tree.
    fn pipeline(&mut self, name: &str, start: Place, translation: &Translation) {
        let field = format!("pipelines.{name}");
        let mut node = self.node(&translation.pipeline, translation, start);
        let mut sinks = self.sinks(name, start);
        self.converted(&mut sinks, translation, start);
        node.put("sinks", start, sinks);
        if let Some(letters) = self.document.section("dead_letters") {
            let mut letters = letters.clone();
            named(&mut letters, name);
            node.put("dead_letters", letters.place, letters);
        }
        self.document.names.push(Named::whole(&field, "name"));
        for section in ["sinks", "dead_letters"] {
            let (field, shown) = (format!("{field}.{section}"), format!("connectors.{section}"));
            self.document.names.push(Named { field, shown, whole: false });
        }
        for (path, property) in &translation.origins {
            self.document.names.push(Named::whole(&format!("{field}.{path}"), property));
        }
        self.document.root.put_in("pipelines", name, start, node);
    }

    fn sinks(&self, name: &str, start: Place) -> Node {
        if let Some(sinks) = self.document.section("sinks") {
            let mut sinks = sinks.clone();
            named(&mut sinks, name);
            return sinks;
        }
        let text = |text: &str| Node::text(text, start);
        let mut file = Node { place: start, body: Body::Map(Vec::new()) };
        file.put("dir", start, text(&format!("{SINK_DIR}/{name}")));
        let mut sink = Node { place: start, body: Body::Map(Vec::new()) };
        sink.put("topics", start, text(".*"));
        sink.put("file", start, file);
        Node { place: start, body: Body::List(vec![sink]) }
    }

    /// Sinks that write JSON write it as the connector's converters do, unless they say how.
    fn converted(&self, sinks: &mut Node, translation: &Translation, start: Place) {
        let Body::List(sinks) = &mut sinks.body else { return };
        for sink in sinks {
            let Body::Map(members) = &mut sink.body else { continue };
            for (key, kind) in members {
                let writes = matches!(&*key.name, "kafka" | "file" | "console");
                if writes && kind.child("json").is_none() {
                    let json = self.node(&translation.converters, translation, start);
                    kind.put("json", start, json);
                }
            }
        }
    }

    fn node(&self, setting: &Setting, translation: &Translation, within: Place) -> Node {
        let property = setting.from.and_then(|index| translation.properties.get(index));
        let place = property.map_or(within, |property| self.place(property, within));
        let secret = property.filter(|property| property.resolved.is_some());
        let scalar = |value: String, body: Body| match secret {
            Some(property) => {
                Body::Text(Text { written: property.written.clone(), resolved: Some(value) })
            }
            None => body,
        };
        let body = match &setting.value {
            Value::Flag(flag) => scalar(flag.to_string(), Body::Bool(*flag)),
            Value::Whole(n) => scalar(n.to_string(), whole(*n)),
            Value::Text(text) => {
                let plain = Body::Text(Text { written: text.clone(), resolved: None });
                scalar(text.clone(), plain)
            }
            Value::Any(text) => {
                let written = property.map_or(text, |property| &property.written).clone();
                Body::Text(Text { written, resolved: Some(text.clone()) })
            }
            Value::List(entries) => {
                Body::List(entries.iter().map(|e| self.node(e, translation, place)).collect())
            }
            Value::Map(members) => {
                let member = |(name, setting): &(String, Setting)| {
                    let node = self.node(setting, translation, place);
                    (Key { name: name.clone(), place: node.place }, node)
                };
                Body::Map(members.iter().map(member).collect())
            }
        };
        Node { place, body }
    }
}

fn whole(n: i64) -> Body {
    u64::try_from(n)
        .map_or_else(|_| Body::Signed(n, n.to_string()), |u| Body::Unsigned(u, n.to_string()))
}

/// Puts the connector's name where `${connector}` stands.
fn named(node: &mut Node, name: &str) {
    match &mut node.body {
        Body::Text(text) => {
            let put = |text: &mut String| *text = text.replace("${connector}", name);
            put(&mut text.written);
            text.resolved.iter_mut().for_each(put);
        }
        Body::List(entries) => entries.iter_mut().for_each(|entry| named(entry, name)),
        Body::Map(members) => members.iter_mut().for_each(|(_, node)| named(node, name)),
        _ => {}
    }
}
