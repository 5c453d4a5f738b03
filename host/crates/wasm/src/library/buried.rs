//! Modules that were deleted while pipelines ran them. Their file is gone and none runs any more,
//! but the version that ran last stays in the store, with a mark: a gateway that starts again can
//! still tell which fields its pipelines would read and keep them paused, rather than not to start.

use wasmgate_model::Fault;

use super::versions::Standing;
use super::{Library, check_name, lock, log_trouble, no_module};
use crate::loaded::Loaded;

impl Library {
    /// Removes a module, and marks in the store of versions that it was deleted. The next version
    /// of this name begins anew: no rollback leads back to what was deleted.
    ///
    /// # Errors
    /// There is no such module; its file cannot be removed.
    pub fn bury(&self, name: &str) -> Result<(), Fault> {
        self.shelf().active(name).ok_or_else(|| no_module(name))?;
        let mut folder = lock(&self.folder);
        // The mark first: where the process dies in between, the file is still there and counts.
        let versions = self.versions.as_ref();
        log_trouble(name, versions.map_or(Ok(()), |versions| versions.bury(name)));
        if let Err(fault) = folder.remove(name) {
            log_trouble(name, versions.map_or(Ok(()), |versions| versions.dig_up(name)));
            return Err(fault);
        }
        folder.clear_note(name);
        self.shelf().remove(name);
        drop(folder);
        self.prune_code();
        Ok(())
    }

    /// Whether a module was deleted so, and none of its name was taken in since.
    #[must_use]
    pub fn is_buried(&self, name: &str) -> bool {
        let versions = self.versions.as_ref().filter(|_| check_name(name).is_ok());
        versions.is_some_and(|versions| versions.is_buried(name)) && self.get(name).is_none()
    }

    /// The version that ran last of a module that was deleted so. It is in no list.
    #[must_use]
    pub fn buried(&self, name: &str) -> Option<Loaded> {
        let versions = self.versions.as_ref().filter(|_| self.is_buried(name))?;
        let records = versions.recall(name);
        let last = records.iter().find(|record| record.standing == Standing::Active)?;
        let loaded = versions.read(name, &last.sha256).and_then(|bytes| self.load(name, &bytes));
        loaded
            .inspect_err(|fault| {
                let error = fault.chain();
                tracing::warn!(module = name, error, "what is kept of a deleted module cannot run");
            })
            .ok()
    }
}
