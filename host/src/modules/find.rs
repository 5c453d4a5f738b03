//! Modules looked up by the names that a configuration gives.

use std::path::Path;

use wasmgate_model::{Blame, Fault, FaultKind};
use wasmgate_wasm::{Library, ModuleState};

use crate::assemble::{FindModule, Found};
use crate::config::problem::{Problem, closest};
use crate::held::Obstacle;

impl FindModule for Library {
    fn find(&self, name: &str) -> Result<Found, Problem> {
        // Of a module that was deleted by force, pipelines keep the version that ran last; they
        // start paused.
        if let Some(module) = self.get(name).or_else(|| self.buried(name)) {
            return Ok(Found::Loaded(module));
        }
        let statuses = self.list();
        if let Some(status) = statuses.iter().find(|status| status.name == name)
            && let Some(reason) = &status.error
        {
            let (sha256, reason) = (status.sha256.clone(), reason.clone());
            return Ok(Found::Refused { sha256, reason });
        }
        let active = statuses.iter().filter(|s| s.state == ModuleState::Active);
        let names: Vec<&str> = active.map(|s| s.name.as_str()).collect();
        Err(missing(name, &names, &self.dir()))
    }

    fn obstacle(&self, name: &str, config: &str, fault: &Fault) -> Option<Obstacle> {
        if self.took_before(name, config) {
            return Some(Obstacle::ran_before(fault));
        }
        // No configuration makes a module trap, or run for ever; that it says no is its answer to
        // the configuration.
        let broke = fault.blame() == Blame::Guest && fault.kind != FaultKind::ModuleRefused;
        broke.then(|| Obstacle::opens(fault))
    }
}

/// A library for pipelines that nobody would resume: what keeps one waiting is a problem there.
pub(crate) struct Unattended<'a>(pub(crate) &'a Library);

impl FindModule for Unattended<'_> {
    fn find(&self, name: &str) -> Result<Found, Problem> {
        match self.0.find(name)? {
            Found::Refused { reason, .. } => {
                Err(Problem::new(format!("module `{name}` cannot be loaded: {reason}")))
            }
            found => Ok(found),
        }
    }

    fn obstacle(&self, _: &str, _: &str, _: &Fault) -> Option<Obstacle> {
        None
    }
}

/// There is no such module; these there are.
pub(crate) fn missing(name: &str, known: &[&str], dir: &Path) -> Problem {
    let problem = Problem::new(format!("there is no module `{name}` in `modules.dir`"));
    match closest(name, known) {
        Some(word) => problem.help(format!("did you mean `{word}`?")),
        None if known.is_empty() => {
            let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
            problem.help(format!(
                "{} holds no module: put {name}.wasm there (`wasmgate module new` begins one of \
                 your own; in a checkout `cargo xtask modules` builds those that ship)",
                dir.display()
            ))
        }
        None => problem.help(format!("there are {}", known.join(", "))),
    }
}
