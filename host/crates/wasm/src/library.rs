//! The modules of a directory, kept current: `NAME.wasm` is module NAME. A new version is taken in
//! two steps, so that pipelines can be asked in between: [`Library::scan`] or
//! [`Library::propose`] load it beside the running one, [`Library::accept`] puts it in place.
//! What is refused leaves the old version running and a note beside the file.

mod folder;
mod shelf;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmgate_model::{Fault, FaultKind};

use crate::loaded::Loaded;
use crate::runtime::{Runtime, sha256};
use folder::Folder;
use shelf::{Shelf, Version};

pub use shelf::{ModuleState, ModuleStatus};

/// Versions kept behind the current one.
const PREVIOUS_MAX: usize = 3;
const NAME_BYTES_MAX: usize = 64;

/// What a change does to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Replaced,
    Removed,
    /// The proposed bytes are the active version already; accepting does nothing.
    Same,
}

/// A change that is loaded and waits for its verdict, [`Library::accept`] or [`Library::reject`].
/// A file whose change is dropped without one is found again when it is written to.
#[derive(Debug)]
pub struct Change {
    pub name: String,
    pub kind: ChangeKind,
    /// The new version; `None` where the module is removed.
    pub module: Option<Loaded>,
    bytes: Arc<[u8]>,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The file in the directory is the change.
    File,
    /// The directory is to follow.
    Proposal,
    /// As a proposal, and the current version makes room instead of becoming a previous one.
    Rollback,
}

/// A directory of modules. Shared by reference; every method may be called from any thread.
/// Loading takes time (compiling): call from threads that may block.
pub struct Library {
    runtime: Arc<Runtime>,
    /// Held while files are looked at or written.
    folder: Mutex<Folder>,
    shelf: Mutex<Shelf>,
}

impl Library {
    /// Loads every module of `dir` (made where it does not exist). Modules that do not load are
    /// listed as rejected and noted beside their files; they do not keep the others from loading.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(dir: PathBuf, runtime: Arc<Runtime>) -> Result<Self, Fault> {
        let folder = Mutex::new(Folder::open(dir)?);
        let library = Self { runtime, folder, shelf: Mutex::default() };
        let unsettled = true;
        for change in library.look(unsettled)? {
            library.accept(change)?;
        }
        Ok(library)
    }

    /// What runs the modules.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The active version of a module.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Loaded> {
        self.shelf().active(name).map(|version| version.module.clone())
    }

    /// Every module by name, rejected ones included.
    #[must_use]
    pub fn list(&self) -> Vec<ModuleStatus> {
        self.shelf().list()
    }

    /// Looks for files that changed and load. A file is taken when it has settled: unchanged since
    /// the last scan, or for half a second. One that does not load is noted, once per content.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn scan(&self) -> Result<Vec<Change>, Fault> {
        let unsettled = false;
        self.look(unsettled)
    }

    fn look(&self, unsettled: bool) -> Result<Vec<Change>, Fault> {
        let mut folder = lock(&self.folder);
        let found = folder.changed(unsettled)?;
        let mut changes = Vec::new();
        for file in found {
            let bytes: Arc<[u8]> = file.bytes.into();
            let digest = sha256(&bytes);
            if self.shelf().confirm(&file.name, &digest) {
                folder.clear_rejection(&file.name)?;
                continue;
            }
            match self.load(&file.name, &bytes) {
                Ok(module) => {
                    let kind = match self.shelf().active(&file.name) {
                        Some(_) => ChangeKind::Replaced,
                        None => ChangeKind::Added,
                    };
                    let (name, module) = (file.name, Some(module));
                    changes.push(Change { name, kind, module, bytes, origin: Origin::File });
                }
                Err(fault) => {
                    let reason = fault.chain();
                    folder.note_rejection(&file.name, &reason)?;
                    self.shelf().note_rejection(&file.name, digest, reason);
                }
            }
        }
        let present = folder.names();
        for name in self.shelf().missing(&present) {
            changes.push(removal(name, Origin::File));
        }
        Ok(changes)
    }

    /// Loads bytes as a new version of `name`, which may be new too. Nothing changes before
    /// [`Library::accept`].
    ///
    /// # Errors
    /// As [`Runtime::load`]; a name that is not `[a-z0-9][a-z0-9_-]*`, at most 64 bytes.
    pub fn propose(&self, name: &str, bytes: &[u8]) -> Result<Change, Fault> {
        check_name(name)?;
        let digest = sha256(bytes);
        let (kind, same) = match self.shelf().active(name) {
            Some(version) if version.module.identity().sha256 == digest => {
                (ChangeKind::Same, Some(version.module.clone()))
            }
            Some(_) => (ChangeKind::Replaced, None),
            None => (ChangeKind::Added, None),
        };
        let module = match same {
            Some(module) => module,
            None => self.runtime.load(name, bytes)?,
        };
        let (name, module) = (name.to_owned(), Some(module));
        Ok(Change { name, kind, module, bytes: bytes.into(), origin: Origin::Proposal })
    }

    /// [`Library::propose`] and [`Library::accept`] in one, where nobody has to be asked.
    ///
    /// # Errors
    /// As these two.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<Loaded, Fault> {
        let change = self.propose(name, bytes)?;
        let module = change.module.clone();
        self.accept(change)?;
        module.or_else(|| self.get(name)).ok_or_else(|| no_module(name))
    }

    /// The version before the active one, as a change.
    ///
    /// # Errors
    /// There is no such module, or no version before.
    pub fn rollback(&self, name: &str) -> Result<Change, Fault> {
        let shelf = self.shelf();
        let version = shelf.previous(name).ok_or_else(|| {
            let message = format!("module {name} has no earlier version to go back to");
            Fault::new(FaultKind::ModuleRefused, message)
        })?;
        Ok(Change {
            name: name.to_owned(),
            kind: ChangeKind::Replaced,
            module: Some(version.module.clone()),
            bytes: Arc::clone(&version.bytes),
            origin: Origin::Rollback,
        })
    }

    /// The removal of a module, as a change.
    ///
    /// # Errors
    /// There is no such module.
    pub fn remove(&self, name: &str) -> Result<Change, Fault> {
        self.shelf().active(name).ok_or_else(|| no_module(name))?;
        Ok(removal(name.to_owned(), Origin::Proposal))
    }

    /// Puts a change in place: the file first, so that a restart finds what runs, then the active
    /// version. Notes of earlier rejections go.
    ///
    /// # Errors
    /// The file cannot be written; the old version stays active.
    pub fn accept(&self, change: Change) -> Result<(), Fault> {
        let Change { name, kind, module, bytes, origin } = change;
        if kind == ChangeKind::Same {
            return Ok(());
        }
        let mut folder = lock(&self.folder);
        match (&module, origin) {
            (_, Origin::File) => {}
            (Some(_), _) => folder.write(&name, &bytes)?,
            (None, _) => folder.remove(&name)?,
        }
        folder.clear_rejection(&name)?;
        let mut shelf = self.shelf();
        match module {
            None => shelf.remove(&name),
            Some(module) => {
                let version = Version::new(module, bytes);
                match origin {
                    Origin::Rollback => shelf.roll_back(&name, version),
                    Origin::File | Origin::Proposal => shelf.activate(&name, version),
                }
            }
        }
        Ok(())
    }

    /// Refuses a change: the old version stays. The reason stands in the status and, where the
    /// change is a file, in `NAME.wasm.rejected.txt` beside it.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn reject(&self, change: &Change, reason: &str) -> Result<(), Fault> {
        if change.origin == Origin::File && change.module.is_some() {
            lock(&self.folder).note_rejection(&change.name, reason)?;
        }
        // A removal has no digest.
        let digest = change.module.as_ref().map_or(String::new(), |_| sha256(&change.bytes));
        self.shelf().note_rejection(&change.name, digest, reason.to_owned());
        Ok(())
    }

    fn load(&self, name: &str, bytes: &[u8]) -> Result<Loaded, Fault> {
        check_name(name)?;
        self.runtime.load(name, bytes)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.shelf)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn removal(name: String, origin: Origin) -> Change {
    Change { name, kind: ChangeKind::Removed, module: None, bytes: Arc::default(), origin }
}

fn no_module(name: &str) -> Fault {
    Fault::new(FaultKind::ModuleRefused, format!("there is no active module {name}"))
}

fn check_name(name: &str) -> Result<(), Fault> {
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let rest = |b: u8| first(b) || b == b'-' || b == b'_';
    if name.len() <= NAME_BYTES_MAX
        && name.bytes().next().is_some_and(first)
        && name.bytes().all(rest)
    {
        return Ok(());
    }
    let message = format!(
        "{name:?} is no module name: expected lower-case letters, digits, - and _, at most \
         {NAME_BYTES_MAX}, beginning with a letter or digit"
    );
    Err(Fault::new(FaultKind::ModuleRefused, message))
}
