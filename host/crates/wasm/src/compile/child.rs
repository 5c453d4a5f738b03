//! The gateway's side of the compiling child: starts it with nothing but its input and output,
//! waits, and says what became of it.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wasmgate_model::{Fault, FaultKind};

use super::{COMPILE_COMMAND, disk, write_private};
use crate::compile_child::{CODE_BYTES_MAX, CPU_SECONDS_MAX, MEMORY_BYTES_MAX};

/// Threads of the child: each costs address space, which is limited.
const THREADS_MAX: usize = 4;
/// How the child ends when it refused the module in an orderly way.
pub(crate) const REFUSED: u8 = 10;
/// How it ends when the disk failed it, and when something else of ours did.
pub(crate) const DISK: u8 = 11;
pub(crate) const BROKEN: u8 = 12;
/// What is read of the child's complaint.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// Has a child compile `component` to the file `output`.
///
/// # Errors
/// `ModuleRefused` where the module is to blame, with what it is; else what failed of ours.
pub(super) fn compile(
    exe: &Path,
    component: &[u8],
    output: &Path,
    time_max: Duration,
) -> Result<(), Fault> {
    let input = output.with_extension("wasm");
    let finished =
        write_private(&input, component).and_then(|()| run_child(exe, &input, output, time_max));
    if input.exists() {
        fs::remove_file(&input).map_err(|e| disk("cannot remove", &input).because(e))?;
    }
    let (status, complaint) = finished?;
    if status.success() {
        return Ok(());
    }
    let told = |kind, complaint: &str| Fault::new(kind, complaint.to_owned());
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Err(match (code, complaint.trim()) {
        (Some(REFUSED), complaint) if !complaint.is_empty() => {
            told(FaultKind::ModuleRefused, complaint)
        }
        (Some(DISK), complaint) => told(FaultKind::Disk, complaint),
        (Some(BROKEN), complaint) => told(FaultKind::Internal, complaint),
        _ => {
            let text =
                format!("the compiler did not finish ({status}): {}", reason(status, time_max));
            Fault::new(FaultKind::ModuleRefused, text)
        }
    })
}

/// What the child ran out of, by how it ended. Without memory it aborts, or a thread of it panics.
fn reason(status: ExitStatus, time_max: Duration) -> String {
    let ended = |signal: Signal| status.signal() == Some(signal.as_raw());
    if ended(Signal::XCPU) {
        return format!("the module costs more than {CPU_SECONDS_MAX} s of processor time");
    }
    if ended(Signal::XFSZ) {
        return format!("the module's code has more than {CODE_BYTES_MAX} bytes");
    }
    if ended(Signal::KILL) {
        return format!("it took longer than {time_max:?}, or was killed from outside");
    }
    format!("the module costs more than {MEMORY_BYTES_MAX} bytes of memory")
}

fn run_child(
    exe: &Path,
    input: &Path,
    output: &Path,
    time_max: Duration,
) -> Result<(ExitStatus, String), Fault> {
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
        // Ctrl-C is for the gateway: a child that dies of it would look like a bad module.
        .process_group(0)
        .spawn()
        .map_err(broken)?;
    let status = wait(&mut child, time_max).map_err(broken)?;
    let mut complaint = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(COMPLAINT_BYTES_MAX).read_to_end(&mut complaint).map_err(broken)?;
    }
    Ok((status, String::from_utf8_lossy(&complaint).into_owned()))
}

/// Waits for the child, and kills it when it takes too long. It writes less to its standard error
/// than a pipe holds, so nobody has to read meanwhile.
fn wait(child: &mut Child, time_max: Duration) -> io::Result<ExitStatus> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > time_max {
            child.kill()?;
            return child.wait();
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;

    /// A compiler that does this.
    pub(crate) fn script(dir: &Path, body: &str) -> PathBuf {
        let path = dir.join("compiler");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    #[test]
    fn whose_doing_a_failed_child_was_follows_from_its_status() {
        let dir = tempfile::tempdir().unwrap();
        for (body, kind, says) in [
            ("echo too big >&2; exit 10", FaultKind::ModuleRefused, "too big"),
            ("echo no space >&2; exit 11", FaultKind::Disk, "no space"),
            ("echo no limits >&2; exit 12", FaultKind::Internal, "no limits"),
            ("exit 10", FaultKind::ModuleRefused, "did not finish (exit status: 10)"),
            ("kill -XCPU $$", FaultKind::ModuleRefused, "more than 40 s of processor time"),
            ("kill -XFSZ $$", FaultKind::ModuleRefused, "code has more than 268435456 bytes"),
            ("kill -ABRT $$", FaultKind::ModuleRefused, "more than 1073741824 bytes of memory"),
        ] {
            let exe = script(dir.path(), body);
            let draft = dir.path().join("draft");
            let fault = compile(&exe, b"", &draft, Duration::from_secs(10)).unwrap_err();
            assert_eq!(fault.kind, kind, "{body}");
            assert!(fault.chain().contains(says), "{body}: {}", fault.chain());
            assert!(!dir.path().join("draft.wasm").exists());
        }
    }
}
