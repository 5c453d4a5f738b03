//! Where the server's programs are, and how they are run.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::release::Release;

/// Names the folder with `initdb`, `pg_ctl` and `postgres`; looked at first.
const BIN_VARIABLE: &str = "WASMGATE_PG_BIN";

/// Server binaries, found once.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) psql: PathBuf,
    /// Postgres refuses to run as root: then its own user runs it.
    pub(super) as_postgres: bool,
}

impl Binaries {
    pub(super) fn find(release: Release) -> Result<Self, String> {
        let candidates = match release.programs()? {
            Some(fetched) => vec![fetched],
            None => candidates(),
        };
        let dir = candidates
            .into_iter()
            .find(|d| ["initdb", "pg_ctl", "postgres"].iter().all(|b| d.join(b).is_file()))
            .ok_or_else(|| {
                format!(
                    "no Postgres server binaries found: install the package postgresql, or set \
                     {BIN_VARIABLE} to the folder with initdb and pg_ctl"
                )
            })?;
        let own = dir.join("psql");
        let psql = if own.is_file() { own } else { PathBuf::from("psql") };
        let as_postgres = is_root();
        if as_postgres && !succeeds(Command::new("runuser").args(["-u", "postgres", "--", "true"]))
        {
            return Err("running as root, and `runuser -u postgres` does not work: Postgres \
                        refuses to run as root; create a user named postgres"
                .into());
        }
        Ok(Self { dir, psql, as_postgres })
    }

    /// A server program, run by a user that it accepts.
    pub(super) fn command(&self, program: &str) -> Command {
        let path = self.dir.join(program);
        if !self.as_postgres {
            return Command::new(path);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path);
        command
    }
}

/// Folders that may hold the binaries, best first.
fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::env::var_os(BIN_VARIABLE).into_iter().map(Into::into).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && output.status.success()
    {
        found.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    let mut packaged: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .collect();
    packaged.sort_by(|a, b| b.cmp(a));
    found.extend(packaged.into_iter().map(|(_, path)| path));
    found.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    found
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Runs to the end; the output, or what it said when it failed.
pub(super) fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|e| format!("cannot run {program}: {e}"))?;
    text_of(&program, &output)
}

pub(super) fn text_of(program: &str, output: &Output) -> Result<String, String> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} failed ({}): {stdout}{stderr}", output.status))
}
