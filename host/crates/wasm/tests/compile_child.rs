//! Compiling in a child process. This binary is its own child: called with `__compile` it does
//! what `wasmgate __compile` does. Under other names it does so with less, or only looks around.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/guests.rs"]
mod guests;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, getpgrp, getpid, setrlimit};
use wasmgate_connector::Module as _;
use wasmgate_model::FaultKind;
use wasmgate_wasm::{COMPILE_COMMAND, Compiler, Limits, Loaded, Runtime, compile_child_main};

/// Names of this binary under which its child has one second, little memory, or looks around.
const HASTY: &str = "hasty";
const LEAN: &str = "lean";
const SCOUT: &str = "scout";

/// How long a child may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|arg| arg == COMPILE_COMMAND) {
        let me = Path::new(&args[0]);
        match me.file_name().and_then(|name| name.to_str()) {
            Some(HASTY) => within(Resource::Cpu, 1),
            Some(LEAN) => within(Resource::As, 160 << 20),
            Some(SCOUT) => return scout(me),
            _ => {}
        }
        return compile_child_main(Path::new(&args[2]), Path::new(&args[3]));
    }
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    a_child_compiles_within_its_limits_and_leaves_nothing_else();
    what_the_compiler_refuses_is_a_refusal_with_its_reason();
    a_child_that_cannot_be_run_is_our_own_fault();
    a_child_has_no_files_and_no_surroundings_of_the_gateway();
    a_child_drops_what_it_inherited_and_bounds_itself();
    a_child_dies_with_its_gateway();
    bombs_cost_a_child_and_nothing_else();
    ExitCode::SUCCESS
}

/// The child waits for its input, a pipe; its parent is a shell that is killed.
fn a_child_dies_with_its_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("input");
    assert!(Command::new("mkfifo").arg(&input).status().unwrap().success());
    let script = format!("\"$0\" {COMPILE_COMMAND} \"$1\" \"$2\" >&2 & echo $!; wait");
    let mut parent = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(me())
        .args([&input, &dir.path().join("output")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(parent.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let child = PathBuf::from("/proc").join(line.trim());
    let limits = || fs::read_to_string(child.join("limits")).unwrap_or_default();
    let bounded = |limits: &str| {
        limits.lines().any(|l| l.starts_with("Max open files") && l.contains(" 16 "))
    };
    wait_until("the child bounds itself", || bounded(&limits()));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let gone = || {
        let stat = fs::read_to_string(child.join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
    };
    wait_until("the child is gone", gone);
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn within(resource: Resource, most: u64) {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most + 1) }).unwrap();
}

fn runtime(exe: &Path, cache: Option<&Path>) -> Runtime {
    Runtime::new(Limits::default(), cache.map(Path::to_path_buf))
        .unwrap()
        .with_compiler(Compiler::Child { exe: exe.to_path_buf() })
}

fn me() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// This binary under another name.
fn me_as(name: &str, dir: &Path) -> PathBuf {
    let path = dir.join(name);
    std::os::unix::fs::symlink(me(), &path).unwrap();
    path
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

fn a_child_compiles_within_its_limits_and_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    for cache in [Some(dir.path()), None] {
        let module = runtime(&me(), cache).load("probe", &guests::guest("probe")).unwrap();
        let Loaded::Transform(module) = module else { panic!("a transform") };
        assert_eq!(module.identity().version, "1.2.3");
        module.open("\"\"").unwrap();
    }
    let files = names(dir.path());
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].ends_with(".cwasm"));
    // With the code kept, no child is needed.
    let nobody = Path::new("/nonexistent/compiler");
    runtime(nobody, Some(dir.path())).load("probe", &guests::guest("probe")).unwrap();
}

fn what_the_compiler_refuses_is_a_refusal_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.wasm");
    let output = dir.path().join("out.cwasm");
    fs::write(&input, b"\0asm\x0d\0\x01\0junk").unwrap();
    let child = Command::new(me()).arg(COMPILE_COMMAND).args([&input, &output]).output().unwrap();
    let complaint = String::from_utf8(child.stderr).unwrap();
    assert_eq!(child.status.code(), Some(10));
    assert!(complaint.starts_with("the module does not compile: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(!output.exists());

    // A child that fails without a word: `false` ignores its arguments.
    let fault = runtime(Path::new("/bin/false"), Some(dir.path()))
        .load("probe", &guests::guest("probe"))
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::ModuleRefused);
    assert!(fault.chain().contains("the compiler did not finish"), "{}", fault.chain());
    assert_eq!(names(dir.path()), ["in.wasm"]);
}

fn a_child_that_cannot_be_run_is_our_own_fault() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = Path::new("/nonexistent/compiler");
    for cache in [None, Some(dir.path())] {
        let fault = runtime(nobody, cache).load("probe", &guests::guest("probe")).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Internal, "{}", fault.chain());
    }
    assert_eq!(names(dir.path()), [""; 0]);
}

/// Reports what a child finds when it starts, beside the binary.
fn scout(me: &Path) -> ExitCode {
    let variables = std::env::vars().map(|(name, _)| name);
    let list = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let files = list.filter_map(|link| fs::read_link(link).ok()).filter(|file| file.is_file());
    let files = files.map(|file| file.display().to_string());
    let group = (getpgrp() != getpid()).then(|| "in the group of the gateway".to_owned());
    let report: Vec<String> = variables.chain(files).chain(group).collect();
    fs::write(me.with_extension("report"), report.join("\n")).unwrap();
    ExitCode::FAILURE
}

fn a_child_has_no_files_and_no_surroundings_of_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let exe = me_as(SCOUT, dir.path());
    let secret = File::create(dir.path().join("secret")).unwrap();
    runtime(&exe, None).load("probe", &guests::guest("probe")).unwrap_err();
    drop(secret);
    let report = fs::read_to_string(exe.with_extension("report")).unwrap();
    let mut found: Vec<&str> = report.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["MALLOC_ARENA_MAX", "RAYON_NUM_THREADS"]);
}

/// The writing end of a pipe that a child reads.
fn feed(path: &Path, child: &mut Child) -> File {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let started = Instant::now();
    loop {
        if let Ok(file) = File::options().write(true).custom_flags(nonblocking).open(path) {
            return file;
        }
        if started.elapsed() > PATIENCE || child.try_wait().unwrap().is_some() {
            child.kill().unwrap();
            panic!("the child does not read its input");
        }
        std::thread::yield_now();
    }
}

/// What `/proc` says of a child.
fn about(child: &Child, what: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{what}", child.id()))
}

fn a_child_drops_what_it_inherited_and_bounds_itself() {
    let dir = tempfile::tempdir().unwrap();
    // The child waits for its input: nobody writes to this pipe before it was looked at.
    let input = dir.path().join("in.wasm");
    assert!(Command::new("mkfifo").arg(&input).status().unwrap().success());
    let (mut reader, writer) = std::io::pipe().unwrap();
    fcntl_setfd(&writer, FdFlags::empty()).unwrap();
    let mut child = Command::new(me())
        .arg(COMPILE_COMMAND)
        .args([&input, &dir.path().join("out.cwasm")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(writer);
    // Ends when the last writer is gone, so when the child has closed what it inherited.
    let (tell, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(reader.read_to_end(&mut Vec::new()).is_ok()));
    if closed.recv_timeout(PATIENCE) != Ok(true) {
        child.kill().unwrap();
        panic!("the child keeps what it inherited");
    }
    // Opens when the child has opened its end, which it does within its limits.
    let feed = feed(&input, &mut child);
    let limits = fs::read_to_string(about(&child, "limits")).unwrap();
    for (name, most) in [
        ("Max address space", 1_u64 << 30),
        ("Max cpu time", 40),
        ("Max file size", 256 << 20),
        ("Max open files", 16),
        ("Max core file size", 0),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let [soft, hard] = [0, 1].map(|at| line.split_whitespace().nth(at).unwrap());
        let rest = if name == "Max cpu time" { most + 1 } else { most };
        assert_eq!((soft, hard), (&*most.to_string(), &*rest.to_string()), "{name}");
    }
    // A pipe counts its reader before that one has its descriptor.
    wait_until("the input is open", || names(&about(&child, "fd")).contains(&"3".to_owned()));
    let mut open = names(&about(&child, "fd"));
    open.sort_unstable();
    assert_eq!(open, ["0", "1", "2", "3"], "standard input, output, error, and the input");
    drop(feed);
    assert_eq!(child.wait().unwrap().code(), Some(10));
}

/// The probe, with a core module that nobody uses and a compiler has to compile: functions of two
/// 64-bit parameters and this body.
fn bomb(count: usize, body: &[u8]) -> Vec<u8> {
    let types = binary::items(binary::TYPES, 1, |_| vec![0x60, 2, 0x7e, 0x7e, 0]);
    let module = binary::module(&[types, binary::functions(count, body)]);
    binary::with_module(&guests::component("probe"), &module)
}

/// Shapes that cost a compiler far more than their size, each within the bounds.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    // x = x * y; y = x + y, over and over.
    let term = [0x20, 0, 0x20, 1, 0x7e, 0x22, 0, 0x20, 1, 0x7c, 0x21, 1];
    let straight = [vec![0], term.repeat(20_000), vec![0x0b]].concat();
    // Locals that live across thousands of branches.
    let branch = [0x20, 0, 0xa7, 0x04, 0x40, 0x20, 0, 0x21, 1, 0x0b].repeat(20_000);
    let locals = [vec![1], binary::unsigned(9000), vec![0x7e], branch, vec![0x0b]].concat();
    // Blocks inside each other, and jumps to each of them.
    let jump = |depth| [vec![0x20, 0, 0xa7, 0x0d], binary::unsigned(depth)].concat();
    let jumps: Vec<u8> = (0..32_000).flat_map(|n| jump(n % 4000)).collect();
    let nested = [vec![0], [0x02, 0x40].repeat(4000), jumps, vec![0x0b; 4001]].concat();
    let tiny = [0, 0x20, 0, 0x20, 1, 0x7e, 0x1a, 0x0b];
    vec![
        ("straight", bomb(130, &straight)),
        ("locals", bomb(8, &locals)),
        ("jumps", bomb(60, &nested)),
        ("tiny", bomb(49_000, &tiny)),
        ("instances", binary::instantiating(&guests::component("probe"), &doubling(30))),
    ]
}

/// Components each of which instantiates the one before it twice.
fn doubling(levels: usize) -> Vec<u8> {
    let level = |n: usize| {
        let before = n - 1;
        format!(
            "(component $c{n}
                (alias outer 1 $c{before} (component $c))
                (instance (instantiate $c)) (instance (instantiate $c)))"
        )
    };
    let text: String = (1..=levels).map(level).collect();
    let last = format!("(instance (instantiate $c{levels}))");
    wat::parse_str(format!("(component (component $c0) {text} {last})")).unwrap()
}

fn bombs_cost_a_child_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let hasty = runtime(&me_as(HASTY, dir.path()), Some(cache.path()));
    let lean = runtime(&me_as(LEAN, dir.path()), Some(cache.path()));
    let (time, memory) = ("of processor time", "bytes of memory");
    let all = bombs();
    let mut runs: Vec<_> = all.iter().map(|(shape, bytes)| (&hasty, shape, bytes, time)).collect();
    runs.extend(all.last().map(|(shape, bytes)| (&lean, shape, bytes, memory)));
    for (runtime, shape, bytes, says) in runs {
        let started = Instant::now();
        let fault = runtime.load("m", bytes).expect_err(shape);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(30), "{shape}: {took:?}");
        assert_eq!(fault.kind, FaultKind::ModuleRefused, "{shape}: {}", fault.chain());
        assert!(fault.chain().contains(says), "{shape} after {took:?}: {}", fault.chain());
        assert_eq!(names(cache.path()), [""; 0], "{shape}");
    }
    // What is no bomb compiles within the same bounds.
    hasty.load("policy", &guests::guest("policy")).unwrap();
}
