//! Modules in use: a new version is shown to every pipeline that uses the module, then put in
//! place, then swapped in everywhere. What any of them cannot work with is rejected as a whole.

mod find;
mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmgate_admin::UseView;
use wasmgate_model::{Fault, FaultKind};
use wasmgate_telemetry::{ModuleSample, OwnMetric, Telemetry};
use wasmgate_wasm::{Change, ChangeKind, Library, Loaded, MetricValue, ModuleState};

use crate::held::Obstacle;
pub(crate) use find::{Unattended, missing};
pub(crate) use user::User;

/// Two looks so far apart tell a file that is being written from one that has settled.
const SETTLE: Duration = Duration::from_millis(150);

/// What a look at the directory changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) accepted: Vec<String>,
    pub(crate) rejected: Vec<String>,
    pub(crate) removed: Vec<String>,
}

/// The modules of the process. Calls block while modules compile.
pub(crate) struct Modules {
    known: Arc<Library>,
    users: Vec<User>,
    telemetry: Arc<Telemetry>,
    /// Changes are made one after the other.
    turn: Mutex<()>,
    /// Why the last upload under a name was not even a module; what was taken in since clears it.
    refused: Mutex<BTreeMap<String, String>>,
    /// Modules that were deleted by force while pipelines used them.
    deleted: Mutex<BTreeSet<String>>,
    /// Why a pipeline is paused since the start: by its name, the modules that cannot run.
    held: Mutex<BTreeMap<String, BTreeMap<String, Obstacle>>>,
    /// Configurations that pipelines use each module with.
    configs: BTreeMap<String, Vec<String>>,
    /// Where `NAME.cases` lie; `None`: nothing is held against cases.
    cases: Option<PathBuf>,
}

/// Why a module was not rolled back.
pub(crate) enum NotRolledBack {
    /// There is no such module, any more.
    Gone,
    /// No such version is kept.
    NotKept,
    Fault(Fault),
}

/// Why a module was not removed.
pub(crate) enum NotRemoved {
    /// There is none, any more.
    Gone,
    /// It has a file, of which no version was ever taken in.
    NotActive,
    /// These pipelines use it.
    Used(Vec<String>),
    Fault(Fault),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own_metrics(metrics: BTreeMap<String, MetricValue>) -> Vec<(String, OwnMetric)> {
    let own = |value| match value {
        MetricValue::Counter(value) => OwnMetric::Counter(value),
        MetricValue::Gauge(value) => OwnMetric::Gauge(value),
        MetricValue::Histogram(h) => OwnMetric::Histogram(h.count, h.sum, h.buckets),
    };
    metrics.into_iter().map(|(name, value)| (name, own(value))).collect()
}

impl Modules {
    pub(crate) fn new(known: Arc<Library>, users: Vec<User>, telemetry: Arc<Telemetry>) -> Self {
        let (turn, refused, deleted, held, configs) = Default::default();
        Self { known, users, telemetry, turn, refused, deleted, held, configs, cases: None }
    }

    /// Holds every new version against the cases of `dir/NAME.cases`, where there are some.
    #[must_use]
    pub(crate) fn with_cases(mut self, dir: PathBuf) -> Self {
        self.cases = Some(dir);
        self
    }

    /// Knows of modules that were deleted by force before this process began.
    #[must_use]
    pub(crate) fn with_deleted(self, names: BTreeSet<String>) -> Self {
        lock(&self.deleted).extend(names);
        self
    }

    /// Knows which pipelines did not start, for modules of theirs cannot run.
    #[must_use]
    pub(crate) fn with_held(self, held: BTreeMap<String, BTreeMap<String, Obstacle>>) -> Self {
        *lock(&self.held) = held;
        self
    }

    /// Notes of every version that is taken in that it opened with these configurations.
    #[must_use]
    pub(crate) fn with_configs(mut self, configs: BTreeMap<String, Vec<String>>) -> Self {
        self.configs = configs;
        self
    }

    pub(crate) fn known(&self) -> &Library {
        &self.known
    }

    /// What every active module cost and measured so far.
    pub(crate) fn samples(&self) -> Vec<ModuleSample> {
        let own = self.known.runtime().metrics();
        let active = self.known.list().into_iter().filter(|m| m.state == ModuleState::Active);
        let sample = |m: wasmgate_wasm::ModuleStatus| ModuleSample {
            own: own.get(&m.name).map(|own| own_metrics(own.snapshot())).unwrap_or_default(),
            module: m.name,
            version: m.version,
            calls: m.stats.calls,
            rows: m.stats.rows,
            traps: m.stats.traps,
            deadlines: m.stats.deadlines,
            errors: m.stats.errors + m.stats.limits,
            cpu_seconds: m.stats.cpu_ns as f64 / 1e9,
            memory_bytes: m.stats.memory_bytes_max,
        };
        active.map(sample).collect()
    }

    /// Names of the pipelines that use a module.
    pub(crate) fn used_by(&self, module: &str) -> Vec<String> {
        let users = self.users.iter().filter(|user| user.uses(module));
        users.map(|user| user.pipeline.name().to_owned()).collect()
    }

    /// Looks at the directory and takes in what changed and has settled.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn scan(&self) -> Result<Outcome, Fault> {
        let _turn = lock(&self.turn);
        self.look()
    }

    fn look(&self) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::default();
        let before = self.errors();
        for change in self.known.scan()? {
            let (name, removed) = (change.name.clone(), change.kind == ChangeKind::Removed);
            match self.take(change) {
                Ok(()) if removed => outcome.removed.push(name),
                Ok(()) => outcome.accepted.push(name),
                Err(fault) => tracing::debug!(module = name, error = fault.chain(), "not taken"),
            }
        }
        // What does not even load never becomes a change; it only shows here.
        for (name, error) in self.errors() {
            if before.get(&name) != Some(&error) {
                tracing::warn!(module = name, error, "module rejected, the old version runs on");
                self.count(&name, "rejected");
                outcome.rejected.push(name);
            }
        }
        Ok(outcome)
    }

    /// As [`Modules::scan`], also taking in what was written just now. `rejected` are all modules
    /// whose newest version is refused, also those that an earlier look refused.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn reload(&self) -> Result<Outcome, Fault> {
        let first = self.scan()?;
        std::thread::sleep(SETTLE);
        let second = self.scan()?;
        Ok(Outcome {
            accepted: [first.accepted, second.accepted].concat(),
            rejected: self.errors().into_keys().collect(),
            removed: [first.removed, second.removed].concat(),
        })
    }

    /// Takes in an uploaded component. `None`: it is the active version already.
    ///
    /// # Errors
    /// It is no module, or a pipeline cannot work with it; the old version runs on.
    pub(crate) fn put(&self, name: &str, component: &[u8]) -> Result<Option<Loaded>, Fault> {
        let _turn = lock(&self.turn);
        let proposed = self.known.propose(name, component).inspect_err(|fault| {
            self.count(name, "rejected");
            // Names that only ever came with rubbish are not kept.
            if self.known.get(name).is_some() {
                lock(&self.refused).insert(name.to_owned(), fault.chain());
            }
        });
        let change = proposed?;
        if change.kind == ChangeKind::Same {
            return Ok(None);
        }
        let module = change.module.clone();
        self.take(change).inspect_err(|_| self.count(name, "rejected"))?;
        Ok(module)
    }

    /// Whether an uploaded component could be taken in. Changes nothing.
    ///
    /// # Errors
    /// As [`Modules::put`].
    pub(crate) fn try_out(&self, name: &str, component: &[u8]) -> Result<Loaded, Fault> {
        let change = self.known.propose(name, component)?;
        let verdict = self.fits(&change).and_then(|()| self.does_its_cases(&change));
        let module = change.module.clone();
        self.known.withdraw(change);
        verdict.and_then(|()| module.ok_or_else(|| refusal("it is no module")))
    }

    /// Why the last upload under this name was refused.
    pub(crate) fn refused(&self, name: &str) -> Option<String> {
        lock(&self.refused).get(name).cloned()
    }

    /// Goes back to the version before, or to the kept one with this digest.
    ///
    /// # Errors
    /// There is none, or a pipeline cannot work with it.
    pub(crate) fn roll_back(&self, name: &str, sha256: Option<&str>) -> Result<(), NotRolledBack> {
        let _turn = lock(&self.turn);
        // Asked in turn: another rollback may just have taken the last one.
        let mut statuses = self.known.list().into_iter();
        let Some(status) = statuses.find(|status| status.name == name) else {
            return Err(NotRolledBack::Gone);
        };
        let kept = match sha256 {
            Some(wanted) => status.previous.iter().chain(&status.aside).any(|v| v.1 == wanted),
            None => !status.previous.is_empty(),
        };
        if !kept {
            return Err(NotRolledBack::NotKept);
        }
        let change = match sha256 {
            Some(sha256) => self.known.rollback_to(name, sha256),
            None => self.known.rollback(name),
        };
        let change = change.map_err(NotRolledBack::Fault)?;
        // Not held against its cases: those that lie there may belong to the version it replaces.
        let verdict = self.fits(&change);
        self.conclude(change, verdict).map_err(NotRolledBack::Fault)
    }

    /// Removes a module. By `force` also one that is used: its pipelines pause, what they have
    /// read settles with the version they run, and they stay paused until there is a module of
    /// this name again. Answers which paused.
    ///
    /// # Errors
    /// There is none, or it is used.
    pub(crate) fn remove(&self, name: &str, force: bool) -> Result<Vec<String>, NotRemoved> {
        let _turn = lock(&self.turn);
        // Asked in turn: another request may just have removed it.
        if self.known.get(name).is_none() {
            let known = self.known.list().iter().any(|status| status.name == name);
            return Err(if known { NotRemoved::NotActive } else { NotRemoved::Gone });
        }
        let users = self.used_by(name);
        if !users.is_empty() && !force {
            return Err(NotRemoved::Used(users));
        }
        if users.is_empty() {
            let removal = self.known.remove(name).map_err(NotRemoved::Fault)?;
            self.known.accept(removal).map_err(NotRemoved::Fault)?;
        } else {
            self.known.bury(name).map_err(NotRemoved::Fault)?;
            lock(&self.deleted).insert(name.to_owned());
        }
        lock(&self.refused).remove(name);
        for user in self.users.iter().filter(|user| user.uses(name)) {
            user.pipeline.pause();
        }
        tracing::info!(module = name, paused = users.join(","), "module removed");
        Ok(users)
    }

    /// Opens what did not open when a pipeline was to start, and has it stand where it belongs.
    ///
    /// # Errors
    /// It still does not open.
    pub(crate) fn reopen(&self, pipeline: &str) -> Result<(), Fault> {
        let _turn = lock(&self.turn);
        let names = lock(&self.held).get(pipeline).cloned().unwrap_or_default();
        let Some(user) = self.users.iter().find(|user| user.pipeline.name() == pipeline) else {
            return Ok(());
        };
        for name in names.into_keys() {
            let Some(module) = self.known.get(&name) else {
                // Where its file loads now, it is taken in for every pipeline that waits for it.
                self.load_again(&name)?;
                continue;
            };
            let opened = user.check(&name, &module).and_then(|()| user.swap(&name, &module));
            if let Err(fault) = opened {
                self.keep_held(pipeline, &name, |known| known.still(&fault));
                return Err(fault);
            }
            self.release(pipeline, &name);
        }
        Ok(())
    }

    /// Looks once more at a file that was refused.
    fn load_again(&self, name: &str) -> Result<(), Fault> {
        self.known.look_again(name);
        self.look()?;
        if self.known.get(name).is_some() {
            return Ok(());
        }
        let reason = self.errors().remove(name);
        let reason = reason.unwrap_or_else(|| "its file is gone; put one back".to_owned());
        let obstacle = Obstacle::loads(reason);
        let fault = refusal(&format!("module {name}{obstacle}"));
        let waiting: Vec<String> = lock(&self.held).keys().cloned().collect();
        waiting.iter().for_each(|p| self.keep_held(p, name, |_| obstacle.clone()));
        Err(fault)
    }

    /// A pipeline goes on waiting for a module, for this reason.
    fn keep_held(&self, pipeline: &str, module: &str, now: impl FnOnce(&Obstacle) -> Obstacle) {
        let mut held = lock(&self.held);
        if let Some(known) = held.get_mut(pipeline).and_then(|held| held.get_mut(module)) {
            *known = now(known);
        }
    }

    /// A module of a pipeline opened. Says whether the pipeline waited for this one only.
    fn release(&self, pipeline: &str, module: &str) -> bool {
        let mut held = lock(&self.held);
        let released = held
            .get_mut(pipeline)
            .is_some_and(|modules| modules.remove(module).is_some() && modules.is_empty());
        if released {
            held.remove(pipeline);
        }
        released
    }

    /// Why this pipeline waits for a module.
    pub(crate) fn waits(&self, pipeline: &str) -> Option<String> {
        let held = lock(&self.held);
        let (module, obstacle) = held.get(pipeline)?.first_key_value()?;
        Some(format!(
            "module `{module}`{obstacle}; resume the pipeline to try again, or upload another \
             version"
        ))
    }

    /// Why this pipeline must not run: a module of it was deleted by force.
    pub(crate) fn held(&self, pipeline: &str) -> Option<String> {
        let user = self.users.iter().find(|user| user.pipeline.name() == pipeline)?;
        let deleted = lock(&self.deleted);
        let name = deleted.iter().find(|name| user.uses(name))?;
        Some(format!(
            "module `{name}` was deleted; upload a module of this name, then resume the pipeline"
        ))
    }

    /// How pipelines use a module, and how they are.
    pub(crate) fn uses(&self, name: &str) -> Vec<UseView> {
        let users = self.users.iter().filter(|user| user.uses(name));
        users.flat_map(|user| user.uses_of(name, self.known.get(name).as_ref())).collect()
    }

    fn take(&self, change: Change) -> Result<(), Fault> {
        let verdict = self.fits(&change).and_then(|()| self.does_its_cases(&change));
        self.conclude(change, verdict)
    }

    /// Whether a version does what the cases beside it say.
    fn does_its_cases(&self, change: &Change) -> Result<(), Fault> {
        match (&self.cases, &change.module) {
            (Some(dir), Some(Loaded::Transform(module))) if change.kind != ChangeKind::Same => {
                wasmgate_cases::check_bundled(&**module, &change.name, dir)
            }
            _ => Ok(()),
        }
    }

    fn conclude(&self, change: Change, verdict: Result<(), Fault>) -> Result<(), Fault> {
        if let Err(fault) = verdict {
            self.known.reject(&change, &fault.chain())?;
            return Err(fault);
        }
        let (name, module) = (change.name.clone(), change.module.clone());
        self.known.accept(change)?;
        let Some(module) = module else {
            tracing::info!(module = name, "module removed");
            return Ok(());
        };
        let identity = module.identity();
        let (version, sha256) = (&identity.version, &identity.sha256);
        tracing::info!(module = name, version, sha256, "module taken in");
        self.count(&name, "accepted");
        lock(&self.refused).remove(&name);
        lock(&self.deleted).remove(&name);
        self.users.iter().try_for_each(|user| user.swap(&name, &module))?;
        let configs = self.configs.get(&name).into_iter().flatten();
        self.known.note_opened(&name, configs.map(String::as_str));
        for user in &self.users {
            if self.release(user.pipeline.name(), &name) {
                user.pipeline.resume();
            }
        }
        Ok(())
    }

    fn fits(&self, change: &Change) -> Result<(), Fault> {
        let name = &change.name;
        let Some(module) = &change.module else {
            return match self.used_by(name).as_slice() {
                [] => Ok(()),
                users => Err(refusal(&format!(
                    "its file is gone, and its last version runs on in {}; put a file back",
                    users.join(", ")
                ))),
            };
        };
        let mut users = self.users.iter().filter(|user| user.uses(name));
        users.try_for_each(|user| user.check(name, module))
    }

    /// Why modules were rejected last, by name.
    fn errors(&self) -> BTreeMap<String, String> {
        let statuses = self.known.list().into_iter();
        statuses.filter_map(|status| Some((status.name, status.error?))).collect()
    }

    fn count(&self, module: &str, outcome: &str) {
        self.telemetry.process().module_loads.with_label_values(&[module, outcome]).inc();
    }
}

fn refusal(message: &str) -> Fault {
    Fault::new(FaultKind::ModuleRefused, message)
}
