//! Loading compiled code, which is `unsafe`: a compiled component is native code, and whoever can
//! forge one runs as us. So only files that we wrote are loaded: below our own cache directory,
//! named by digest and engine, owned by us, writable by nobody else.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

/// Bits of a file's mode that let others in.
const OTHERS: u32 = 0o077;

/// Whether a file is one that we wrote: a regular file, ours, closed to others.
pub(crate) fn is_ours(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|file| {
        file.is_file()
            && file.mode() & OTHERS == 0
            && file.uid() == rustix::process::geteuid().as_raw()
    })
}

/// Maps a compiled component.
///
/// # Errors
/// It was compiled for another engine, or is damaged in a way that shows.
#[expect(
    unsafe_code,
    reason = "compiled code can only be loaded unchecked; callers pass files that our own \
              compiler wrote (see the header)"
)]
pub(crate) fn load(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: `path` was written by this program (`Component::serialize` or
    // `Engine::precompile_component`) to a directory that only its user can write.
    unsafe { Component::deserialize_file(engine, path) }
}
