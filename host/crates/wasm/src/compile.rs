//! From a component's bytes to code. Compiling what nobody vouches for takes unbounded time and
//! memory (302 kB can cost 20 s and 1.5 GB), so the gateway leaves it to a child process with
//! limits, and keeps the result by digest.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wasmgate_model::{Fault, FaultKind};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::{artefact, engine};

/// The hidden command under which the binary calls [`crate::compile_child_main`].
pub const COMPILE_COMMAND: &str = "__compile";

/// How long the child may take by the clock on the wall.
const WALL_TIME_MAX: Duration = Duration::from_secs(60);
/// Threads of the child: each costs address space, which is limited.
const THREADS_MAX: usize = 4;
/// How the child ends when it refused the module in an orderly way.
pub(crate) const REFUSED: u8 = 10;
/// What is read of the child's complaint.
const COMPLAINT_BYTES_MAX: u64 = 4096;

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
        Ok(Self { engine, compiler, cache, fingerprint })
    }

    pub(crate) fn set_compiler(&mut self, compiler: Compiler) {
        self.compiler = compiler;
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
                let dir = scratch_dir();
                private_dir(&dir)?;
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
            Compiler::Child { exe } => in_child(exe, component, &draft),
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
        let code = path.extension().is_some_and(|extension| extension == "cwasm");
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if code && stem.rsplit_once('-').is_some_and(|(_, engine)| engine != fingerprint) {
            fs::remove_file(&path).map_err(|e| disk("cannot remove", &path).because(e))?;
        }
    }
    Ok(())
}

fn in_child(exe: &Path, component: &[u8], output: &Path) -> Result<(), Fault> {
    let input = output.with_extension("wasm");
    write_private(&input, component)?;
    let finished = run_child(exe, &input, output);
    fs::remove_file(&input).map_err(|e| disk("cannot remove", &input).because(e))?;
    let (status, complaint) = finished?;
    if status.success() {
        return Ok(());
    }
    let text = match complaint.trim() {
        complaint if status.code() == Some(REFUSED.into()) && !complaint.is_empty() => {
            complaint.to_owned()
        }
        _ => format!("the compiler did not finish ({status}): it ran over its memory or time"),
    };
    Err(Fault::new(FaultKind::ModuleRefused, text))
}

fn run_child(exe: &Path, input: &Path, output: &Path) -> Result<(ExitStatus, String), Fault> {
    let broken = |e| Fault::new(FaultKind::Internal, "cannot run the compiler").because(e);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let mut child = Command::new(exe)
        .arg(COMPILE_COMMAND)
        .args([input, output])
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        // Each arena of glibc's allocator reserves 64 MiB of address space.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let status = wait(&mut child).map_err(broken)?;
    let mut complaint = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(COMPLAINT_BYTES_MAX).read_to_end(&mut complaint).map_err(broken)?;
    }
    Ok((status, String::from_utf8_lossy(&complaint).into_owned()))
}

/// Waits for the child, and kills it when it takes too long. It writes less to its standard error
/// than a pipe holds, so nobody has to read meanwhile.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > WALL_TIME_MAX {
            child.kill()?;
            return child.wait();
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
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

fn private_dir(dir: &Path) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| disk("cannot create", dir).because(e))
}

fn disk(what: &str, path: &Path) -> Fault {
    Fault::new(FaultKind::Disk, format!("{what} {}", path.display()))
}

fn scratch_dir() -> PathBuf {
    std::env::temp_dir().join(format!("wasmgate-{}-{}", std::process::id(), next_number()))
}

/// Tells drafts of this process apart.
pub(crate) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
