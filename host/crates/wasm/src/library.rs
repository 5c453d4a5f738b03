//! The modules of a directory, kept current: `NAME.wasm` is module NAME. A new version is taken in
//! two steps, so that pipelines can be asked in between: [`Library::scan`] or
//! [`Library::propose`] load it beside the running one, [`Library::accept`] puts it in place.
//! What is refused leaves the old version running and a note beside the file.

mod back;
mod buried;
mod code;
mod code_cache;
mod drafts;
mod folder;
mod half;
mod note;
mod opened;
mod shelf;
mod sight;
mod versions;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wasmgate_model::{Fault, FaultKind};

use crate::loaded::Loaded;
use crate::runtime::{Runtime, sha256};
use folder::{Folder, Patience, Reading};
use shelf::{Rejection, Shelf, Version};
use versions::{Standing, Versions};

pub use shelf::{ModuleState, ModuleStatus};
pub use sight::read_module;

/// Versions kept behind the current one, and as many that were rolled away from.
const VERSIONS_MAX: usize = 3;
const NAME_BYTES_MAX: usize = 64;
/// How long files that somebody is writing may keep the start waiting.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at them.
const START_PAUSE: Duration = Duration::from_millis(20);

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
    /// As a proposal, and the current version is set aside instead of becoming a previous one.
    Rollback,
}

/// A directory of modules. Shared by reference; every method may be called from any thread.
/// Loading takes time (compiling): call from threads that may block.
///
/// **Versions.** The active version of a module and the three that ran before it are kept. A
/// rollback goes to the latest of these; the version it leaves is set aside, so that the next
/// rollback goes further back and not to what was found bad. What was set aside (three again) is
/// not lost: [`Library::rollback_to`] reaches it by its digest, and so does a new upload. With a
/// store of versions all of this outlives the process.
pub struct Library {
    runtime: Arc<Runtime>,
    /// Held while files are looked at or written.
    folder: Mutex<Folder>,
    shelf: Mutex<Shelf>,
    versions: Option<Versions>,
    /// Modules whose file was replaced between the last process and this one.
    replaced: Mutex<Vec<String>>,
    /// Modules that run the version of the last process.
    unchanged: Mutex<BTreeSet<String>>,
    code: Mutex<code::Code>,
}

impl Library {
    /// Loads every module of `dir` (made where it does not exist). Modules that do not load are
    /// listed as rejected and noted beside their files; they do not keep the others from loading.
    ///
    /// `versions` is the directory where versions are kept for rollbacks, made with mode 0700
    /// where it does not exist; without it they are kept in memory. If a file does not load and
    /// the version that ran last is kept there, that one runs on, as it does while the gateway
    /// is running. What else goes wrong with it is logged, and keeps no module from running.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(
        dir: PathBuf,
        runtime: Arc<Runtime>,
        versions: Option<PathBuf>,
    ) -> Result<Self, Fault> {
        // Before any draft of this process is written.
        drafts::started();
        let versions = versions.and_then(open_versions);
        let folder = Mutex::new(Folder::open(dir)?);
        let (shelf, replaced, unchanged, code) = Default::default();
        let library = Self { runtime, folder, shelf, versions, replaced, unchanged, code };
        library.clear_code();
        library.settle()?;
        library.own_code();
        library.prune_code();
        Ok(library)
    }

    /// The directory of the modules.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        lock(&self.folder).dir().to_owned()
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

    /// Takes in what is there at the start. A file that somebody is writing is given time: called
    /// missing or broken now, it would keep the gateway from starting.
    fn settle(&self) -> Result<(), Fault> {
        let until = Instant::now() + START_PATIENCE;
        loop {
            let patience = if Instant::now() < until { Patience::Start } else { Patience::None };
            let ready = lock(&self.folder).look(patience)?;
            for name in ready {
                // One after the other, so that one module's bytes are in memory and not all.
                let change = self.weigh(&mut lock(&self.folder), name, patience);
                change.map_or(Ok(()), |change| self.take(change))?;
            }
            if patience == Patience::None || !lock(&self.folder).is_unsettled() {
                return Ok(());
            }
            std::thread::sleep(START_PAUSE);
        }
    }

    /// Looks for files that changed and load. A file is taken when it has settled: the same in two
    /// looks a tenth of a second apart, or not written to for half a second. One that ends in the
    /// middle of a module is given two seconds more, for it may still be copied. One that does not
    /// load is noted, once per content. A file whose content is the active version changes nothing.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn scan(&self) -> Result<Vec<Change>, Fault> {
        let mut folder = lock(&self.folder);
        let mut changes = Vec::new();
        for name in folder.look(Patience::Settled)? {
            changes.extend(self.weigh(&mut folder, name, Patience::Settled));
        }
        let present = folder.names();
        let missing = self.shelf().missing(&present);
        changes.extend(missing.into_iter().map(|name| removal(name, Origin::File)));
        Ok(changes)
    }

    /// Has the next look read a file again that was refused: a machine that was busy then may not
    /// be so now.
    pub fn look_again(&self, name: &str) {
        lock(&self.folder).look_again(name);
    }

    /// What a file that was found ready changes, if anything.
    fn weigh(&self, folder: &mut Folder, name: String, patience: Patience) -> Option<Change> {
        let bytes: Arc<[u8]> = match folder.read(&name, patience) {
            Reading::Later => return None,
            Reading::Content(bytes) => bytes.into(),
            Reading::Unreadable(error) => {
                let reason = format!("the file cannot be read: {error}");
                self.refuse(folder, &name, String::new(), reason, patience);
                return None;
            }
        };
        let digest = sha256(&bytes);
        if self.shelf().confirm(&name, &digest) {
            folder.clear_note(&name);
            return None;
        }
        match self.load(&name, &bytes) {
            Ok(module) => {
                let kind = match self.shelf().active(&name) {
                    Some(_) => ChangeKind::Replaced,
                    None => ChangeKind::Added,
                };
                Some(Change { name, kind, module: Some(module), bytes, origin: Origin::File })
            }
            Err(fault) => {
                self.refuse(folder, &name, digest, fault.chain(), patience);
                None
            }
        }
    }

    /// Refuses a file that does not load.
    fn refuse(
        &self,
        folder: &mut Folder,
        name: &str,
        sha256: String,
        reason: String,
        patience: Patience,
    ) {
        if patience != Patience::Settled {
            tracing::warn!(module = name, error = reason, "module rejected");
            self.resume(name);
        }
        let text = note::text(name, &reason, self.version_of(name).as_deref());
        // First, so that whoever finds the note finds the reason in the status, too.
        self.shelf().note_rejection(name, Rejection { sha256, reason, removal: false });
        folder.note(name, &text);
    }

    /// Loads bytes as a new version of `name`, which may be new too. Nothing changes before
    /// [`Library::accept`].
    ///
    /// # Errors
    /// As [`Runtime::load`]; a name that is not `[a-z0-9][a-z0-9_-]*`, at most 64 bytes.
    pub fn propose(&self, name: &str, bytes: &[u8]) -> Result<Change, Fault> {
        check_name(name)?;
        let digest = sha256(bytes);
        let (kind, same) = self.compare(name, &digest);
        let module = match same {
            Some(module) => module,
            None => self.load(name, bytes)?,
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

    /// What a content would be to the active version, which is given if it is the same. Where the
    /// file in the directory is another one, which was refused, the same content replaces that.
    fn compare(&self, name: &str, sha256: &str) -> (ChangeKind, Option<Loaded>) {
        let shelf = self.shelf();
        match shelf.active(name).map(|version| &version.module) {
            Some(active) if active.identity().sha256 == sha256 => {
                let refused = shelf.is_rejected(name);
                let kind = if refused { ChangeKind::Replaced } else { ChangeKind::Same };
                (kind, Some(active.clone()))
            }
            Some(_) => (ChangeKind::Replaced, None),
            None => (ChangeKind::Added, None),
        }
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
        self.take(change)?;
        self.prune_code();
        Ok(())
    }

    fn take(&self, change: Change) -> Result<(), Fault> {
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
        // What was deleted once is not what is taken in now.
        let buried = self.versions.as_ref().filter(|versions| versions.is_buried(&name));
        log_trouble(&name, buried.map_or(Ok(()), |versions| versions.forget(&name)));
        let version = module.map(|module| {
            let bytes = (!self.keep(&module, &bytes)).then(|| Arc::clone(&bytes));
            Version::new(module, bytes)
        });
        folder.clear_note(&name);
        self.place(&name, version, origin);
        Ok(())
    }

    /// Keeps a version's bytes in the store. Says whether they are there.
    fn keep(&self, module: &Loaded, bytes: &[u8]) -> bool {
        let identity = module.identity();
        let (name, sha256) = (&identity.name, &identity.sha256);
        let Some(versions) = &self.versions else {
            return false;
        };
        let kept = versions.keep(name, sha256, bytes);
        let done = kept.is_ok();
        log_trouble(name, kept);
        done
    }

    /// Changes the active version, here and in the store. The folder is locked meanwhile; the shelf
    /// is not while files are written, so that nobody who looks a module up waits for a disk.
    fn place(&self, name: &str, version: Option<Version>, origin: Origin) {
        let versions = self.versions.as_ref();
        let Some(version) = version else {
            self.shelf().remove(name);
            let forgotten = versions.map_or(Ok(()), |versions| versions.forget(name));
            return log_trouble(name, forgotten);
        };
        let is_new = self.shelf().active(name).is_none();
        let recalled = versions.filter(|_| is_new).map(|versions| versions.recall(name));
        let recalled = recalled.unwrap_or_default();
        let last = recalled.iter().find(|record| record.standing == Standing::Active);
        match last {
            Some(last) if last.sha256 == version.sha256() => {
                lock(&self.unchanged).insert(name.to_owned());
            }
            Some(_) => lock(&self.replaced).push(name.to_owned()),
            None => {}
        }
        let records = {
            let mut shelf = self.shelf();
            shelf.recall(name, recalled);
            match origin {
                Origin::Rollback => shelf.roll_back(name, version),
                Origin::File | Origin::Proposal => shelf.activate(name, version),
            }
            shelf.records(name)
        };
        log_trouble(name, versions.map_or(Ok(()), |v| v.set_order(name, &records)));
    }

    /// Refuses a change: the old version stays. The reason stands in the status and, where the
    /// change is a file, in `NAME.wasm.rejected.txt` beside it.
    ///
    /// # Errors
    /// None at present: a note that cannot be written is logged.
    pub fn reject(&self, change: &Change, reason: &str) -> Result<(), Fault> {
        let name = &change.name;
        let removal = change.module.is_none();
        let sha256 = if removal { String::new() } else { sha256(&change.bytes) };
        let rejection = Rejection { sha256, reason: reason.to_owned(), removal };
        // First, as for a file that does not load.
        self.shelf().note_rejection(name, rejection);
        if change.origin == Origin::File && !removal {
            let active = self.version_of(name);
            lock(&self.folder).note(name, &note::text(name, reason, active.as_deref()));
        }
        self.prune_code();
        Ok(())
    }

    /// What the active version says its number is.
    fn version_of(&self, name: &str) -> Option<String> {
        self.get(name).map(|module| module.identity().version.clone())
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.shelf)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The store of versions; without it, a rollback reaches as far back as the process.
fn open_versions(dir: PathBuf) -> Option<Versions> {
    let shown = dir.display().to_string();
    Versions::open(dir)
        .inspect_err(|error| tracing::warn!(dir = shown, %error, "cannot open the kept versions"))
        .ok()
}

fn log_trouble(name: &str, done: io::Result<()>) {
    if let Err(error) = done {
        tracing::warn!(module = name, %error, "a version cannot be kept beyond this process");
    }
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
