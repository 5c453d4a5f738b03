//! A standby: a copy of a server that follows it.

use std::path::Path;
use std::process::Command;

use super::binaries::run;
use super::{Options, Postgres, fresh_dir};

impl Postgres {
    /// A standby that follows this server from here on. The server is stopped, copied and started
    /// again; `options` are the standby's, of the same release.
    ///
    /// # Errors
    /// What the failing program and the servers' logs said.
    pub fn standby(&mut self, options: &Options) -> Result<Self, String> {
        self.stop()?;
        let binaries = self.binaries.clone();
        let dir = fresh_dir(&binaries)?;
        let server_options = String::new();
        let mut standby =
            Self { binaries, dir, port: 0, server_options, running: false, watchdog: None };
        let copied = standby.copy_of(self);
        self.start_again()?;
        copied?;
        standby.watch()?;
        let follows = format!("host={} port={} user=postgres", self.dir.display(), self.port);
        let mut options = options.clone();
        options.settings.push(("primary_conninfo".into(), follows));
        standby.launch(&options)?;
        Ok(standby)
    }

    fn copy_of(&self, primary: &Self) -> Result<(), String> {
        let copy = |from: &Path, to: &Path| run(Command::new("cp").arg("-a").arg(from).arg(to));
        copy(&primary.data_dir(), &self.data_dir())?;
        self.make_standby()
    }
}
