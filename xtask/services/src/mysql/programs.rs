//! Where the servers' programs are, and how they are run. MariaDB's come from the system; MySQL is
//! unpacked from Debian sid into the cache folder and runs through its own loader, so that nothing
//! of the system changes. Neither server runs as root: then the user `nobody` runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::Flavor;

/// Folder of the unpacked MySQL in the cache.
const UNPACKED: &str = "mysql-sid";
/// Folder of MariaDB's plugins in the cache.
const PLUGINS: &str = "mariadb-plugins";
const UNPACK: &str = include_str!("../../mysql/unpack.sh");

/// Where downloads are kept: `$WASMGATE_CACHE`; for root a folder that `nobody` can enter.
fn cache() -> PathBuf {
    if let Some(folder) = std::env::var_os("WASMGATE_CACHE") {
        return folder.into();
    }
    if is_root() {
        return "/var/cache/wasmgate".into();
    }
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    home.join(".cache/wasmgate")
}

pub(super) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| String::from_utf8_lossy(&o.stdout).trim() == "0")
}

/// Programs of one flavour.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    flavor: Flavor,
    /// Folder that holds `usr/`, for MySQL.
    root: PathBuf,
}

impl Programs {
    pub(super) fn find(flavor: Flavor) -> Result<Self, String> {
        let root = cache().join(UNPACKED).join("root");
        match flavor {
            Flavor::MySql if root.join("usr/sbin/mysqld").is_file() => {}
            Flavor::MySql => {
                return Err("no unpacked MySQL: `cargo xtask services up mysql` fetches it \
                            (a Debian system, 50 MB)"
                    .into());
            }
            Flavor::MariaDb => {
                for program in ["mariadbd", "mariadb", "mariadb-install-db"] {
                    if which(program).is_none() {
                        return Err(format!(
                            "{program} is not here: install the packages mariadb-server-core \
                             and mariadb-client-core"
                        ));
                    }
                }
            }
        }
        Ok(Self { flavor, root })
    }

    /// Unpacks MySQL into the cache, unless it is there.
    pub(super) fn unpack() -> Result<(), String> {
        if Self::find(Flavor::MySql).is_ok() {
            return Ok(());
        }
        let cache = cache();
        let made = std::fs::create_dir_all(&cache);
        made.map_err(|e| format!("cannot create {}: {e}", cache.display()))?;
        let mut script = Command::new("bash");
        script.args(["-c", UNPACK, "unpack.sh"]).arg(cache.join(UNPACKED));
        run(&mut script)
    }

    /// MariaDB's plugins that its core package has not, if they are somewhere.
    pub(super) fn maria_plugins() -> Option<PathBuf> {
        let folders = ["/usr/lib/mysql/plugin".into(), cache().join(PLUGINS)];
        folders.into_iter().find(|folder: &PathBuf| folder.join("auth_ed25519.so").is_file())
    }

    /// Unpacks them into the cache, unless they are there.
    pub(super) fn unpack_plugins() -> Result<(), String> {
        if Self::maria_plugins().is_some() {
            return Ok(());
        }
        let script = r#"set -e; mkdir -p "$1.part"; cd "$1.part"; apt-get -qq download mariadb-server
            dpkg-deb -x mariadb-server*.deb root; chmod -R a+rX root
            mv -T root/usr/lib/mysql/plugin "$1" || [ -d "$1" ]; rm -rf "$1.part""#;
        run(Command::new("bash").args(["-c", script, "plugins"]).arg(cache().join(PLUGINS)))
    }

    /// The unpacked tree's folder of a kind.
    fn under(&self, folder: &str) -> PathBuf {
        self.root.join("usr").join(folder)
    }

    /// A program of the unpacked tree through its own loader.
    fn loaded(&self, program: &str) -> Command {
        let libraries = self.under("lib/x86_64-linux-gnu");
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries).arg(self.under(program));
        command
    }

    /// The server with what every start of it needs.
    pub(super) fn server(&self, data: &Path, dir: &Path) -> Command {
        let mut command = match self.flavor {
            Flavor::MySql => self.loaded("sbin/mysqld"),
            Flavor::MariaDb => Command::new(which("mariadbd").unwrap_or_default()),
        };
        command.arg("--no-defaults");
        if is_root() {
            command.arg("--user=nobody");
        }
        let pair = |name: &str, path: &Path| format!("--{name}={}", path.display());
        command.arg(pair("datadir", data)).arg(pair("tmpdir", &dir.join("tmp")));
        if self.flavor == Flavor::MySql {
            command.arg(pair("basedir", &self.root.join("usr"))).arg("--secure-file-priv=");
            command.arg(pair("lc-messages-dir", &self.under("share/mysql")));
            command.arg(pair("character-sets-dir", &self.under("share/mysql/charsets")));
            command.arg(pair("plugin-dir", &self.under("lib/mysql/plugin")));
        }
        command
    }

    /// Fills an empty data folder.
    pub(super) fn initialise(&self, data: &Path, dir: &Path) -> Result<(), String> {
        if self.flavor == Flavor::MariaDb {
            let mut install = Command::new("mariadb-install-db");
            // Several at a time would stumble over each other's files.
            install.env("TMPDIR", dir.join("tmp")).arg("--no-defaults");
            if is_root() {
                install.arg("--user=nobody");
            }
            install.arg(format!("--datadir={}", data.display()));
            return run(
                install.args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            );
        }
        let template = self.template(dir)?;
        run(Command::new("cp").arg("-a").arg(template.join("data")).arg(data))
    }

    /// An initialised data folder that is copied: initialising takes seconds, copying does not.
    fn template(&self, dir: &Path) -> Result<PathBuf, String> {
        let template = self.root.with_file_name("template");
        if template.is_dir() {
            return Ok(template);
        }
        let part = self.root.with_file_name(format!("template.part.{}", std::process::id()));
        drop(std::fs::remove_dir_all(&part));
        std::fs::create_dir_all(&part).map_err(|e| format!("{}: {e}", part.display()))?;
        give_away(&part)?;
        let mut init = self.server(&part.join("data"), dir);
        run(init.args(["--initialize-insecure", "--innodb-redo-log-capacity=8M"]))?;
        // Two servers with one uuid could not replicate from each other.
        drop(std::fs::remove_file(part.join("data/auto.cnf")));
        if std::fs::rename(&part, &template).is_err() {
            drop(std::fs::remove_dir_all(&part));
        }
        Ok(template)
    }

    /// A client program by MySQL's name of it, which connects over TCP as root. `None`: it is not
    /// here.
    pub(super) fn tool(&self, name: &str, port: u16) -> Option<Command> {
        let mut command = match self.flavor {
            Flavor::MySql => {
                let program = format!("bin/{name}");
                self.under(&program).is_file().then(|| self.loaded(&program))?
            }
            Flavor::MariaDb => {
                let own = name.replacen("mysql", "mariadb-", 1);
                Command::new(which(own.trim_end_matches('-'))?)
            }
        };
        command.args(["--no-defaults", "--host=127.0.0.1", "--user=root"]);
        command.arg(format!("--port={port}"));
        if self.flavor == Flavor::MySql {
            let charsets = self.under("share/mysql/charsets");
            command.arg(format!("--character-sets-dir={}", charsets.display()));
        }
        Some(command)
    }

    /// The command-line client.
    pub(super) fn client(&self) -> Command {
        match self.flavor {
            Flavor::MySql => {
                let mut client = self.loaded("bin/mysql");
                client.arg("--no-defaults");
                let charsets = self.under("share/mysql/charsets");
                client.arg(format!("--character-sets-dir={}", charsets.display()));
                client.arg(format!("--plugin-dir={}", self.under("lib/mysql/plugin").display()));
                client
            }
            Flavor::MariaDb => {
                let mut client = Command::new("mariadb");
                client.arg("--no-defaults");
                client
            }
        }
    }
}

/// Gives a folder to the user that runs the server.
pub(super) fn give_away(path: &Path) -> Result<(), String> {
    if is_root() {
        run(Command::new("chown").arg("nobody").arg(path))?;
    }
    Ok(())
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    folders.map(|d| d.join(program)).find(|p| p.is_file())
}

pub(super) fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("cannot run {name}: {e}"))?;
    text_of(&name, &output).map(drop)
}

/// What a program printed.
pub(super) fn text_of(name: &str, output: &Output) -> Result<String, String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} failed ({}): {}", output.status, said.trim_end()))
}
