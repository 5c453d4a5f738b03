//! Going back to a version that is kept: because somebody asks, or because what the drop directory
//! holds at the start cannot be used.

use wasmgate_model::{Fault, FaultKind};

use super::shelf::{Kept, Rejection, Version};
use super::versions::Standing;
use super::{Change, ChangeKind, Library, Origin};
use super::{check_name, lock, log_trouble, no_module, note};

impl Library {
    /// The version before the active one, as a change.
    ///
    /// # Errors
    /// There is no such module, or no version before; what is kept of it is damaged.
    pub fn rollback(&self, name: &str) -> Result<Change, Fault> {
        let kept = self.shelf().previous(name).ok_or_else(|| {
            let message = format!("module {name} has no earlier version to go back to");
            Fault::new(FaultKind::ModuleRefused, message)
        })?;
        self.restore(name, kept)
    }

    /// A version that is kept, by its digest (64 hex digits), as a change: one that ran before, or
    /// one that was rolled away from.
    ///
    /// # Errors
    /// No such version is kept; what is kept of it is damaged.
    pub fn rollback_to(&self, name: &str, sha256: &str) -> Result<Change, Fault> {
        let kept = self.shelf().kept(name, sha256).ok_or_else(|| {
            let message = format!("no version of module {name} with the digest {sha256} is kept");
            Fault::new(FaultKind::ModuleRefused, message)
        })?;
        self.restore(name, kept)
    }

    fn restore(&self, name: &str, kept: Kept) -> Result<Change, Fault> {
        let bytes = match (kept.bytes, &self.versions) {
            (Some(bytes), _) => bytes,
            (None, Some(versions)) => versions.read(name, &kept.sha256)?.into(),
            (None, None) => return Err(no_module(name)),
        };
        let module = match kept.module {
            Some(module) => module,
            None => self.load(name, &bytes)?,
        };
        let (name, kind) = (name.to_owned(), ChangeKind::Replaced);
        Ok(Change { name, kind, module: Some(module), bytes, origin: Origin::Rollback })
    }

    /// Modules that run another version than in the process before, for their file was replaced
    /// meanwhile, and nobody was asked whether that fits.
    #[must_use]
    pub fn replaced(&self) -> Vec<String> {
        lock(&self.replaced).clone()
    }

    /// Has the version of the process before run on in place of the file's, which is refused.
    ///
    /// # Errors
    /// The module was not replaced; what is kept of the version before is damaged.
    pub fn retreat(&self, name: &str, reason: &str) -> Result<(), Fault> {
        if !self.replaced().iter().any(|replaced| replaced == name) {
            return Err(no_module(name));
        }
        let Change { module, .. } = self.rollback(name)?;
        let (module, refused) = module.zip(self.get(name)).ok_or_else(|| no_module(name))?;
        lock(&self.replaced).retain(|replaced| replaced != name);
        let mut folder = lock(&self.folder);
        let version = &module.identity().version;
        folder.note(name, &note::text(name, reason, Some(version)));
        let (sha256, reason) = (refused.identity().sha256.clone(), reason.to_owned());
        let records = {
            let mut shelf = self.shelf();
            shelf.retreat(name, Version::new(module, None));
            shelf.note_rejection(name, Rejection { sha256, reason, removal: false });
            shelf.records(name)
        };
        log_trouble(name, self.versions.as_ref().map_or(Ok(()), |v| v.set_order(name, &records)));
        Ok(())
    }

    /// Has the version run on that was active in an earlier process, if it is kept.
    pub(super) fn resume(&self, name: &str) {
        let Some(versions) = self.versions.as_ref().filter(|_| check_name(name).is_ok()) else {
            return;
        };
        if versions.is_buried(name) {
            return;
        }
        let records = versions.recall(name);
        let Some(last) = records.iter().find(|record| record.standing == Standing::Active) else {
            return;
        };
        let bytes = versions.read(name, &last.sha256);
        match bytes.and_then(|bytes| self.load(name, &bytes)) {
            Ok(module) => {
                let version = &module.identity().version;
                tracing::warn!(
                    module = name,
                    version,
                    "its file is refused, the last version runs"
                );
                lock(&self.unchanged).insert(name.to_owned());
                let mut shelf = self.shelf();
                shelf.recall(name, records);
                shelf.activate(name, Version::new(module, None));
            }
            Err(fault) => {
                tracing::warn!(module = name, error = fault.chain(), "no version of it can run");
            }
        }
    }
}
