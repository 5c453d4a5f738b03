//! Modules looked up by the names that a configuration gives.

use std::path::Path;

use wasmgate_wasm::{Library, Loaded, ModuleState};

use crate::assemble::FindModule;
use crate::config::problem::{Problem, closest};

impl FindModule for Library {
    fn find(&self, name: &str) -> Result<Loaded, Problem> {
        // Of a module that was deleted by force, pipelines keep the version that ran last; they
        // start paused.
        if let Some(module) = self.get(name).or_else(|| self.buried(name)) {
            return Ok(module);
        }
        let statuses = self.list();
        if let Some(error) = statuses.iter().find(|s| s.name == name).and_then(|s| s.error.as_ref())
        {
            return Err(Problem::new(format!("module `{name}` cannot be loaded: {error}")));
        }
        let active = statuses.iter().filter(|s| s.state == ModuleState::Active);
        let names: Vec<&str> = active.map(|s| s.name.as_str()).collect();
        Err(missing(name, &names, &self.dir()))
    }

    fn took_before(&self, name: &str, config: &str) -> bool {
        Self::took_before(self, name, config)
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
