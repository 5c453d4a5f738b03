//! Which version of each module is active, those that a rollback can reach, and what was last
//! rejected.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use wasmgate_connector::ModuleKind;

use super::VERSIONS_MAX;
use super::versions::{Record, Standing};
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
    /// Versions that rollbacks go back to, latest first: (version, hex sha256).
    pub previous: Vec<(String, String)>,
    /// Versions that were rolled away from, latest first. A rollback goes to one if it is named.
    pub aside: Vec<(String, String)>,
}

/// The active version of a module.
pub(super) struct Version {
    pub(super) module: Loaded,
    /// `None` where the store of versions has them.
    bytes: Option<Arc<[u8]>>,
    loaded_at_us: i64,
}

impl Version {
    pub(super) fn new(module: Loaded, bytes: Option<Arc<[u8]>>) -> Self {
        Self { module, bytes, loaded_at_us: now_us() }
    }

    pub(super) fn sha256(&self) -> &str {
        &self.module.identity().sha256
    }
}

/// A version that is not active.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) sha256: String,
    version: String,
    /// `None`: of an earlier process.
    pub(super) module: Option<Loaded>,
    /// `None` where the store of versions has them.
    pub(super) bytes: Option<Arc<[u8]>>,
}

impl From<Version> for Kept {
    fn from(old: Version) -> Self {
        let (sha256, version) = (old.sha256().to_owned(), old.module.identity().version.clone());
        Self { sha256, version, module: Some(old.module), bytes: old.bytes }
    }
}

impl From<Record> for Kept {
    fn from(record: Record) -> Self {
        Self { sha256: record.sha256, version: record.version, module: None, bytes: None }
    }
}

#[derive(Default)]
struct Entry {
    active: Option<Version>,
    /// Latest first, as the next.
    previous: VecDeque<Kept>,
    aside: VecDeque<Kept>,
    rejection: Option<Rejection>,
}

/// The last change that was refused.
pub(super) struct Rejection {
    /// Hex; empty where no bytes were refused.
    pub(super) sha256: String,
    pub(super) reason: String,
    /// The change was the module's removal.
    pub(super) removal: bool,
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

    pub(super) fn is_rejected(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.rejection.is_some())
    }

    /// The version before the active one.
    pub(super) fn previous(&self, name: &str) -> Option<Kept> {
        self.entries.get(name)?.previous.front().cloned()
    }

    /// A version that is kept, by its digest.
    pub(super) fn kept(&self, name: &str, sha256: &str) -> Option<Kept> {
        let entry = self.entries.get(name)?;
        entry.previous.iter().chain(&entry.aside).find(|kept| kept.sha256 == sha256).cloned()
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
        let stays = |entry: &Entry| entry.rejection.as_ref().is_some_and(|r| r.removal);
        self.entries
            .iter()
            .filter(|(name, entry)| !present.contains(*name) && !stays(entry))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Takes over what an earlier process kept, the version that was active in it first.
    pub(super) fn recall(&mut self, name: &str, records: Vec<Record>) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        for record in records {
            match record.standing {
                Standing::Active => entry.previous.push_front(record.into()),
                Standing::Previous => entry.previous.push_back(record.into()),
                Standing::Aside => entry.aside.push_back(record.into()),
            }
        }
    }

    /// Puts a version in place; the active one becomes a previous one.
    pub(super) fn activate(&mut self, name: &str, version: Version) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.rejection = None;
        entry.previous.retain(|old| old.sha256 != version.sha256());
        entry.aside.retain(|old| old.sha256 != version.sha256());
        let again = entry.active.as_ref().is_some_and(|old| old.sha256() == version.sha256());
        let old = entry.active.replace(version);
        if let Some(old) = old.filter(|_| !again) {
            entry.previous.push_front(old.into());
        }
        entry.previous.truncate(VERSIONS_MAX);
    }

    /// Goes back to a version. If it is a previous one, the active one and those between the two
    /// are set aside: the next rollback goes further back.
    pub(super) fn roll_back(&mut self, name: &str, version: Version) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        let target = entry.previous.iter().position(|old| old.sha256 == version.sha256());
        let Some(target) = target else {
            return self.activate(name, version);
        };
        let left = entry.active.take().map(Kept::from);
        let passed = entry.previous.drain(..=target).take(target);
        let aside = left.into_iter().chain(passed).chain(entry.aside.drain(..));
        entry.aside = aside.take(VERSIONS_MAX).collect();
        entry.active = Some(version);
        entry.rejection = None;
    }

    /// Has the version before run on; the active one was never in use, and is not kept.
    pub(super) fn retreat(&mut self, name: &str, version: Version) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        entry.previous.retain(|old| old.sha256 != version.sha256());
        entry.active = Some(version);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.entries.remove(name);
    }

    pub(super) fn note_rejection(&mut self, name: &str, rejection: Rejection) {
        self.entries.entry(name.to_owned()).or_default().rejection = Some(rejection);
    }

    pub(super) fn list(&self) -> Vec<ModuleStatus> {
        self.entries.iter().map(|(name, entry)| status(name, entry)).collect()
    }

    /// The versions of a module, for the store.
    pub(super) fn records(&self, name: &str) -> Vec<Record> {
        let Some(entry) = self.entries.get(name) else {
            return Vec::new();
        };
        let active = entry.active.iter().map(|version| {
            let identity = version.module.identity();
            (Standing::Active, &identity.sha256, &identity.version)
        });
        active
            .chain(entry.previous.iter().map(|old| (Standing::Previous, &old.sha256, &old.version)))
            .chain(entry.aside.iter().map(|old| (Standing::Aside, &old.sha256, &old.version)))
            .map(|(standing, sha256, version)| Record {
                standing,
                sha256: sha256.clone(),
                version: version.clone(),
            })
            .collect()
    }

    /// Digests of every version that a rollback can reach, and of the active ones.
    pub(super) fn kept_digests(&self) -> BTreeSet<String> {
        let kept = self.entries.values().flat_map(|e| e.previous.iter().chain(&e.aside));
        kept.map(|kept| kept.sha256.clone()).chain(self.digests()).collect()
    }

    /// Digests of the active versions.
    pub(super) fn digests(&self) -> BTreeSet<String> {
        let active = self.entries.values().filter_map(|entry| entry.active.as_ref());
        active.map(|version| version.sha256().to_owned()).collect()
    }
}

fn status(name: &str, entry: &Entry) -> ModuleStatus {
    let rejection = entry.rejection.as_ref();
    let error = rejection.map(|r| r.reason.clone());
    let seen = |kept: &Kept| (kept.version.clone(), kept.sha256.clone());
    let previous = entry.previous.iter().map(seen).collect();
    let aside = entry.aside.iter().map(seen).collect();
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
            aside,
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
        aside,
    }
}
