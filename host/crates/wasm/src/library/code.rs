//! The compiled code that belongs to the versions of a library: code of a version that is not kept
//! goes with it, so that uploads and dry runs do not fill the disk.

use std::collections::BTreeSet;

use wasmgate_model::Fault;

use super::{Change, Library, check_name, code_cache, lock};
use crate::loaded::Loaded;
use crate::runtime::sha256;

/// Which code this process answers for.
#[derive(Default)]
pub(super) struct Code {
    /// Digests that were compiled by this process, or that it keeps versions of.
    own: BTreeSet<String>,
    /// Digests that are being loaded; one may be so more than once.
    loading: Vec<String>,
}

impl Library {
    /// Lets go of a change without a verdict, and of what was compiled for it.
    pub fn withdraw(&self, change: Change) {
        drop(change);
        self.prune_code();
    }

    pub(super) fn load(&self, name: &str, bytes: &[u8]) -> Result<Loaded, Fault> {
        check_name(name)?;
        let digest = sha256(bytes);
        // Code that was there before is not ours to remove.
        let dir = self.runtime.code_dir();
        let there = dir.is_none_or(|dir| code_cache::has(dir, &digest).unwrap_or(true));
        {
            let mut code = lock(&self.code);
            code.loading.push(digest.clone());
            if !there {
                code.own.insert(digest.clone());
            }
        }
        let loaded = self.runtime.load(name, bytes);
        {
            let mut code = lock(&self.code);
            if let Some(at) = code.loading.iter().position(|loading| *loading == digest) {
                code.loading.swap_remove(at);
            }
        }
        if loaded.is_err() {
            self.prune_code();
        }
        loaded
    }

    /// Answers for the code of all versions that are kept.
    pub(super) fn own_code(&self) {
        let kept = self.shelf().kept_digests();
        lock(&self.code).own.extend(kept);
    }

    /// Removes what compilers of an earlier process left half-made.
    pub(super) fn clear_code(&self) {
        if let Some(Err(error)) = self.runtime.code_dir().map(code_cache::clear) {
            tracing::warn!(%error, "cannot clear the compiled code of unfinished files");
        }
    }

    /// Keeps the compiled code within bounds: that of versions that are kept, and not too much.
    pub(super) fn prune_code(&self) {
        let Some(dir) = self.runtime.code_dir() else {
            return;
        };
        let (kept, active) = {
            let shelf = self.shelf();
            (shelf.kept_digests(), shelf.digests())
        };
        let gone: BTreeSet<String> = {
            let mut code = lock(&self.code);
            let Code { own, loading } = &mut *code;
            let stays = |digest: &String| kept.contains(digest) || loading.contains(digest);
            let gone = own.iter().filter(|digest| !stays(digest)).cloned().collect();
            own.retain(stays);
            gone
        };
        let pruned = code_cache::remove(dir, &gone)
            .and_then(|()| code_cache::prune(dir, &active, code_cache::BYTES_MAX));
        if let Err(error) = pruned {
            tracing::warn!(%error, "cannot remove compiled code that is not used");
        }
    }
}
