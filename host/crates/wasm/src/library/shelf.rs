//! Which version of each module is active, those before it, and what was last rejected.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use wasmgate_connector::ModuleKind;

use super::PREVIOUS_MAX;
use crate::host::now_us;
use crate::loaded::Loaded;
use crate::stats::ModuleStats;

/// Whether a module can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleState {
    Active,
    /// No version of it has loaded.
    Rejected,
}

/// A module as the admin sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleStatus {
    pub name: String,
    pub state: ModuleState,
    /// Of the active version; empty where there is none, as all that follow.
    pub version: String,
    /// Hex; of the rejected bytes where nothing is active.
    pub sha256: String,
    pub kind: Option<ModuleKind>,
    pub summary: String,
    /// Microseconds since 1970; 0 where nothing is active.
    pub loaded_at_us: i64,
    pub stats: ModuleStats,
    /// Why the last change was rejected; an active version runs on beside it.
    pub error: Option<String>,
    /// Versions that a rollback can reach, latest first: (version, hex sha256).
    pub previous: Vec<(String, String)>,
}

/// A version and the bytes it came from.
pub(super) struct Version {
    pub(super) module: Loaded,
    pub(super) bytes: Arc<[u8]>,
    loaded_at_us: i64,
}

impl Version {
    pub(super) fn new(module: Loaded, bytes: Arc<[u8]>) -> Self {
        Self { module, bytes, loaded_at_us: now_us() }
    }

    fn sha256(&self) -> &str {
        &self.module.identity().sha256
    }
}

#[derive(Default)]
struct Entry {
    active: Option<Version>,
    /// Latest first.
    previous: VecDeque<Version>,
    rejection: Option<Rejection>,
}

struct Rejection {
    sha256: String,
    reason: String,
}

/// Modules by name.
#[derive(Default)]
pub(super) struct Shelf {
    entries: BTreeMap<String, Entry>,
}

impl Shelf {
    pub(super) fn active(&self, name: &str) -> Option<&Version> {
        self.entries.get(name)?.active.as_ref()
    }

    pub(super) fn previous(&self, name: &str) -> Option<&Version> {
        self.entries.get(name)?.previous.front()
    }

    /// Whether a content is the active one; then nothing is rejected any more.
    pub(super) fn confirm(&mut self, name: &str, sha256: &str) -> bool {
        let Some(entry) = self.entries.get_mut(name) else {
            return false;
        };
        let active = entry.active.as_ref().is_some_and(|version| version.sha256() == sha256);
        if active {
            entry.rejection = None;
        }
        active
    }

    /// Active modules without a file, but for those whose removal was rejected. Modules that only
    /// were rejected are forgotten here and now.
    pub(super) fn missing(&mut self, present: &BTreeSet<String>) -> Vec<String> {
        self.entries.retain(|name, entry| entry.active.is_some() || present.contains(name));
        let kept = |entry: &Entry| entry.rejection.as_ref().is_some_and(|r| r.sha256.is_empty());
        self.entries
            .iter()
            .filter(|(name, entry)| !present.contains(*name) && !kept(entry))
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub(super) fn activate(&mut self, name: &str, version: Version) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.rejection = None;
        entry.previous.retain(|old| old.sha256() != version.sha256());
        if let Some(old) = entry.active.replace(version) {
            entry.previous.push_front(old);
        }
        entry.previous.truncate(PREVIOUS_MAX);
    }

    /// Goes back to `version`, the first of the previous ones; the active one is forgotten.
    pub(super) fn roll_back(&mut self, name: &str, version: Version) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.rejection = None;
        entry.previous.retain(|old| old.sha256() != version.sha256());
        entry.active = Some(version);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.entries.remove(name);
    }

    pub(super) fn note_rejection(&mut self, name: &str, sha256: String, reason: String) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.rejection = Some(Rejection { sha256, reason });
    }

    pub(super) fn list(&self) -> Vec<ModuleStatus> {
        self.entries.iter().map(|(name, entry)| status(name, entry)).collect()
    }
}

fn status(name: &str, entry: &Entry) -> ModuleStatus {
    let rejection = entry.rejection.as_ref();
    let error = rejection.map(|r| r.reason.clone());
    let seen = |v: &Version| (v.module.identity().version.clone(), v.sha256().to_owned());
    let previous = entry.previous.iter().map(seen).collect();
    let name = name.to_owned();
    let Some(active) = &entry.active else {
        return ModuleStatus {
            name,
            state: ModuleState::Rejected,
            version: String::new(),
            sha256: rejection.map(|r| r.sha256.clone()).unwrap_or_default(),
            kind: None,
            summary: String::new(),
            loaded_at_us: 0,
            stats: ModuleStats::default(),
            error,
            previous,
        };
    };
    let identity = active.module.identity();
    ModuleStatus {
        name,
        state: ModuleState::Active,
        version: identity.version.clone(),
        sha256: identity.sha256.clone(),
        kind: Some(active.module.kind()),
        summary: identity.summary.clone(),
        loaded_at_us: active.loaded_at_us,
        stats: active.module.stats(),
        error,
        previous,
    }
}
