//! `wasmgate validate`: everything that `run` would look at, without touching the data directory
//! and without changing anything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use wasmgate_debezium::Finding;
use wasmgate_model::Fault;
use wasmgate_wasm::{Loaded, Runtime};

use crate::assemble::{self, FindModule, Found};
use crate::commands::online;
use crate::config::problem::Problem;
use crate::config::reference::Process;
use crate::config::{self, Files, Reported};
use crate::exit::{Failure, print};
use crate::held::Obstacle;
use crate::modules;

/// Whether the servers are looked at, and how that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Online {
    No,
    Lines,
    Json,
}

/// Checks a configuration, the modules it uses and, `online`, the servers.
///
/// # Errors
/// Something is wrong.
pub(crate) fn validate(files: Files<'_>, online: Online) -> Result<(), Failure> {
    let mut connectors = Vec::new();
    let loaded = config::load(files, &Process, &mut connectors);
    let translated = connectors.iter().filter(|connector| !connector.findings.is_empty());
    translated.into_iter().try_for_each(|connector| print(&describe(connector)))?;
    let config::Loaded { config, document } = loaded.map_err(Failure::Config)?;
    let runtime =
        Runtime::new(assemble::limits(&config.modules), None)?.with_compiler(assemble::compiler()?);
    let folder = Folder { dir: config.modules.dir.clone(), runtime, loaded: RefCell::default() };
    assemble::chains(&config, &document, &folder)
        .map_err(|problems| Failure::Config(document.report(problems)))?;
    if online != Online::No {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Runtime(format!("cannot start: {error}")))?;
        let found = tokio.block_on(online::look(&config))?;
        if online == Online::Json {
            return online::report_json(found);
        }
        online::report(found)?;
    }
    let names: Vec<&str> = config.pipelines.iter().map(|p| p.name.as_str()).collect();
    print(&format!("{}: valid; pipelines: {}", files.names(), names.join(", ")))
}

/// What became of each property of a connector, one a line.
fn describe(connector: &Reported) -> String {
    let Reported { file, name, findings, kept_in } = connector;
    let mut lines = vec![format!("{file}: connector {name}")];
    let width = findings.iter().map(|f| f.property.len()).max().unwrap_or(0);
    for finding in findings {
        let Finding { property, verdict, text, help, .. } = finding;
        // What is an error is reported with its place, and with what to do.
        let help = help.as_ref().filter(|_| !verdict.is_error());
        let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
        lines.push(format!("  {:11} {property:width$}  {text}{help}", verdict.name()));
    }
    if let Some(dir) = kept_in {
        lines.push(format!(
            "  no sink is configured: records are kept in files below {dir}; for Kafka give \
             -c FILE with `connectors: {{ sinks: [ {{ topics: '.*', kafka: {{ bootstrap_servers: \
             HOST:9092 }} }} ] }}`"
        ));
    }
    lines.join("\n")
}

/// Loads the modules that are asked for, each once.
struct Folder {
    dir: PathBuf,
    runtime: Runtime,
    loaded: RefCell<BTreeMap<String, Loaded>>,
}

impl FindModule for Folder {
    fn find(&self, name: &str) -> Result<Found, Problem> {
        if let Some(module) = self.loaded.borrow().get(name) {
            return Ok(Found::Loaded(module.clone()));
        }
        let path = self.dir.join(format!("{name}.wasm"));
        let bytes = match wasmgate_wasm::read_module(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let names = self.names();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(modules::missing(name, &names, &self.dir));
            }
            Err(error) => {
                let message =
                    format!("module `{name}` cannot be loaded: `{}`: {error}", path.display());
                return Err(Problem::new(message));
            }
        };
        let module = self.runtime.load(name, &bytes).map_err(|fault| {
            Problem::new(format!("module `{name}` cannot be loaded: {}", fault.chain()))
        })?;
        self.loaded.borrow_mut().insert(name.to_owned(), module.clone());
        Ok(Found::Loaded(module))
    }

    /// Whoever asks whether all is well is told what is not.
    fn obstacle(&self, _: &str, _: &str, _: &Fault) -> Option<Obstacle> {
        None
    }
}

impl Folder {
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> =
            files.filter_map(|file| file.strip_suffix(".wasm").map(str::to_owned)).collect();
        names.sort();
        names
    }
}
