//! From a component's bytes to code. Compiling what nobody vouches for takes unbounded time and
//! memory (302 kB can cost 20 s and 1.5 GB), so the gateway leaves it to a child process with
//! limits, and keeps the result by digest.

pub(crate) mod child;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmgate_model::{Fault, FaultKind};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::{artefact, engine};

/// The hidden command under which the binary calls [`crate::compile_child_main`].
pub const COMPILE_COMMAND: &str = "__compile";

/// How long the child may take by the clock on the wall. On a machine that is busy, a module within
/// the bound on processor time takes several times as long.
const WALL_TIME_MAX: Duration = Duration::from_secs(120);
/// Bits of a directory's mode that let others put files into it.
const OTHERS_WRITE: u32 = 0o022;

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// This process: for tests and tools that trust their input.
    InProcess,
    /// A child: `EXE __compile INPUT OUTPUT`, with memory and time limits.
    Child { exe: PathBuf },
}

/// Compiles components and keeps the results.
pub(crate) struct Workshop {
    engine: Engine,
    compiler: Compiler,
    cache: Option<PathBuf>,
    fingerprint: String,
    /// How long a child may take by the clock on the wall.
    time_max: Duration,
}

impl Workshop {
    pub(crate) fn new(
        engine: Engine,
        compiler: Compiler,
        cache: Option<PathBuf>,
    ) -> Result<Self, Fault> {
        if let Some(dir) = &cache {
            private_dir(dir)?;
        }
        let fingerprint = engine::fingerprint(&engine);
        if let Some(dir) = &cache {
            remove_outdated(dir, &fingerprint)?;
        }
        Ok(Self { engine, compiler, cache, fingerprint, time_max: WALL_TIME_MAX })
    }

    pub(crate) fn set_compiler(&mut self, compiler: Compiler) {
        self.compiler = compiler;
    }

    /// Where code is kept.
    pub(crate) fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// The code of a component kept from an earlier time. A file that does not load is left to be
    /// overwritten.
    pub(crate) fn cached(&self, sha256: &str) -> Option<Component> {
        let path = self.place(self.cache.as_deref()?, sha256);
        if !artefact::is_ours(&path) {
            return None;
        }
        artefact::load(&self.engine, &path)
            .inspect_err(|error| tracing::warn!(%error, "kept code of a module does not load"))
            .ok()
    }

    /// Compiles a component and keeps the result.
    pub(crate) fn compile(&self, sha256: &str, component: &[u8]) -> Result<Component, Fault> {
        match (&self.cache, &self.compiler) {
            (None, Compiler::InProcess) => {
                Component::new(&self.engine, component).map_err(|e| refused(&e))
            }
            (Some(dir), _) => self.compile_in(dir, sha256, component),
            (None, Compiler::Child { .. }) => {
                let dir = scratch_dir()?;
                let compiled = self.compile_in(&dir, sha256, component);
                // The code stays mapped; the file is not needed any more.
                fs::remove_dir_all(&dir)
                    .map_err(|e| disk("cannot remove", &dir).because(e))
                    .and(compiled)
            }
        }
    }

    fn compile_in(&self, dir: &Path, sha256: &str, component: &[u8]) -> Result<Component, Fault> {
        let place = self.place(dir, sha256);
        let draft = dir.join(format!(".{}-{}", std::process::id(), next_number()));
        let made = match &self.compiler {
            Compiler::InProcess => self
                .engine
                .precompile_component(component)
                .map_err(|e| refused(&e))
                .and_then(|code| write_private(&draft, &code)),
            Compiler::Child { exe } => child::compile(exe, component, &draft, self.time_max),
        };
        let kept = made.and_then(|()| {
            fs::rename(&draft, &place).map_err(|e| disk("cannot write", &place).because(e))
        });
        if kept.is_err() && draft.exists() {
            fs::remove_file(&draft).map_err(|e| disk("cannot remove", &draft).because(e))?;
        }
        kept?;
        artefact::load(&self.engine, &place).map_err(|e| {
            Fault::new(FaultKind::Internal, "the compiled module does not load").because(e)
        })
    }

    fn place(&self, dir: &Path, sha256: &str) -> PathBuf {
        dir.join(format!("{sha256}-{}.cwasm", self.fingerprint))
    }
}

/// Removes code compiled for other engines: after an update of the gateway it is of no use.
fn remove_outdated(dir: &Path, fingerprint: &str) -> Result<(), Fault> {
    let unreadable = |e| disk("cannot read", dir).because(e);
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_other_code(&path, fingerprint) {
            match fs::remove_file(&path) {
                // Another process tidies up too.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|e| disk("cannot remove", &path).because(e))?,
            }
        }
    }
    Ok(())
}

fn is_other_code(path: &Path, fingerprint: &str) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    path.extension().is_some_and(|extension| extension == "cwasm")
        && stem.rsplit_once('-').is_some_and(|(_, engine)| engine != fingerprint)
}

/// Writes a file that nobody else can read, and has it on disk.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| disk("cannot write", path).because(e))
}

pub(crate) fn refused(error: &wasmtime::Error) -> Fault {
    Fault::new(FaultKind::ModuleRefused, format!("the module does not compile: {error:#}"))
}

/// A directory that only we write to, made where it does not exist. Who else could write to it
/// could put code of theirs in the place of ours.
fn private_dir(dir: &Path) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| disk("cannot create", dir).because(e))?;
    let found = fs::metadata(dir).map_err(|e| disk("cannot read", dir).because(e))?;
    if found.mode() & OTHERS_WRITE == 0 && found.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(disk("others may write to", dir)
        .because(io::Error::other("expected a directory of the gateway's user, closed to others")))
}

fn disk(what: &str, path: &Path) -> Fault {
    Fault::new(FaultKind::Disk, format!("{what} {}", path.display()))
}

/// A new directory of our own below the one for temporary files, which others write to as well:
/// one that is there already is somebody else's.
fn scratch_dir() -> Result<PathBuf, Fault> {
    const ATTEMPTS: u32 = 64;
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    let parent = std::env::temp_dir();
    for _ in 0..ATTEMPTS {
        let dir = parent.join(format!("wasmgate-{}-{}", std::process::id(), next_number()));
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => taken = e,
            Err(e) => return Err(disk("cannot create", &dir).because(e)),
        }
    }
    Err(disk("cannot create a directory in", &parent).because(taken))
}

/// Tells drafts of this process apart.
pub(crate) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    use super::child::tests::script;
    use super::*;

    #[test]
    fn a_child_that_takes_too_long_is_killed_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let exe = script(dir.path(), "echo half > \"$3\"; exec sleep 1000");
        let engine = engine::new().unwrap();
        let cache = dir.path().join("cache");
        let compiler = Compiler::Child { exe };
        let mut workshop = Workshop::new(engine, compiler, Some(cache.clone())).unwrap();
        workshop.time_max = Duration::from_millis(300);
        let started = Instant::now();
        let fault = workshop.compile("d1", b"component").unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(fault.chain().contains("did not finish (signal: 9 (SIGKILL)"), "{}", fault.chain());
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
    }

    #[test]
    fn directories_that_others_write_to_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        for mode in [0o777, 0o770, 0o702] {
            fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
            let fault = private_dir(&open).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Disk);
            assert!(fault.chain().contains("others may write to"), "{}", fault.chain());
        }
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        private_dir(&open).unwrap();
        let next = next_number();
        let name = |n| std::env::temp_dir().join(format!("wasmgate-{}-{n}", std::process::id()));
        let taken: Vec<PathBuf> = (next + 1..next + 8).map(name).collect();
        taken.iter().for_each(|dir| fs::create_dir_all(dir).unwrap());
        let made = scratch_dir().unwrap();
        assert!(!taken.contains(&made), "{made:?} was there already");
        taken.iter().for_each(|dir| fs::remove_dir(dir).unwrap());
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_dir(made).unwrap();
    }
}
