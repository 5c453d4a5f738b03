//! A disk of a few megabytes, to fill or to lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory; gone with its handle.
pub struct Disk(PathBuf);

impl Disk {
    /// One of this size (`1m`) at a path that is made. `None` where this user may not mount.
    ///
    /// # Panics
    /// The folder cannot be made.
    #[must_use]
    pub fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={size}");
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(path).output();
        let mounted = done.is_ok_and(|output| output.status.success());
        mounted.then(|| Self(path.to_owned()))
    }

    /// Changes its options: `size=64m`, `ro`.
    ///
    /// # Panics
    /// The system refuses.
    pub fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(done.unwrap().success());
    }

    /// Leaves no room; the file that takes it. Dropping the file by name gives it back.
    ///
    /// # Panics
    /// There is another reason than a full disk.
    #[must_use]
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join(".ballast");
        let block = [0; 4096];
        let mut file = fs::File::create(&path).unwrap();
        loop {
            match std::io::Write::write_all(&mut file, &block) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return path,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
