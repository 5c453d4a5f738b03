//! Configurations that modules were opened with. A module that refuses what it took before, or that
//! fails, is at fault and not the configuration.

use std::collections::BTreeSet;

use super::{Library, check_name, lock, log_trouble};
use crate::runtime::sha256;

impl Library {
    /// Whether this very version of a module was active in the process before, and one of its
    /// processes opened it with this configuration.
    #[must_use]
    pub fn took_before(&self, name: &str, config: &str) -> bool {
        let unchanged = lock(&self.unchanged).contains(name);
        let versions = self.versions.as_ref().filter(|_| unchanged);
        versions.is_some_and(|versions| versions.opened(name).contains(&sha256(config.as_bytes())))
    }

    /// Notes all configurations that a module is used with, and that it takes.
    pub fn note_opened<'a>(&self, name: &str, configs: impl Iterator<Item = &'a str>) {
        let Some(versions) = self.versions.as_ref().filter(|_| check_name(name).is_ok()) else {
            return;
        };
        // They may hold secrets, so only digests are kept.
        let digests: BTreeSet<String> = configs.map(|config| sha256(config.as_bytes())).collect();
        log_trouble(name, versions.set_opened(name, &digests));
    }
}
