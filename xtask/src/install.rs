//! What the suite needs beyond cargo. In CI (CI=true, as root) it is installed; elsewhere the
//! missing piece is named with the command that installs it.

use std::process::Stdio;

use crate::run::{cargo, found, is_ci, program, run};

/// A Debian package and the program that shows it is there.
struct Need {
    /// The demonstration needs it too, or it does not build.
    always: bool,
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need { always: true, program: "cc", package: "build-essential", why: "builds librdkafka" },
    Need { always: true, program: "pkg-config", package: "pkg-config", why: "builds librdkafka" },
    Need {
        always: false,
        program: "java",
        package: "default-jre-headless",
        why: "runs a real Kafka in the tests",
    },
    Need { always: false, program: "mvn", package: "maven", why: "fetches Kafka's jars" },
    Need {
        always: false,
        program: "psql",
        package: "postgresql",
        why: "the real Postgres of the tests",
    },
    Need {
        always: false,
        program: "mariadbd",
        package: "mariadb-server-core",
        why: "the real MariaDB of the tests",
    },
    Need {
        always: false,
        program: "mariadb",
        package: "mariadb-client-core",
        why: "runs the scripts of the MariaDB tests",
    },
    Need {
        always: false,
        program: "npm",
        package: "npm",
        why: "fetches Postgres 16 and 18 for the tests",
    },
    Need {
        always: false,
        program: "chromium",
        package: "chromium",
        why: "a real browser for the tests of cross-site requests",
    },
    Need {
        always: false,
        program: "openssl",
        package: "openssl",
        why: "certificates for the TLS tests",
    },
    Need {
        always: false,
        program: "promtool",
        package: "prometheus",
        why: "checks metrics and alert rules",
    },
];

/// Development files that have no program: (file, package).
const FILES: &[(&str, &str)] =
    &[("/usr/include/openssl/ssl.h", "libssl-dev"), ("/usr/include/zlib.h", "zlib1g-dev")];

/// Extensions of the installed Postgres: (control file, package).
const EXTENSIONS: &[(&str, &str)] =
    &[("/usr/share/postgresql/15/extension/postgis.control", "postgresql-15-postgis-3")];

/// Installs, or names, what is missing: for the whole suite, or to build and show it.
pub(crate) fn system(suite: bool) -> Result<(), String> {
    let mut missing: Vec<&str> = Vec::new();
    for need in NEEDS.iter().filter(|n| (suite || n.always) && !found(n.program)) {
        eprintln!("{} is not here ({}): Debian package {}", need.program, need.why, need.package);
        missing.push(need.package);
    }
    missing.extend(FILES.iter().filter(|f| !std::path::Path::new(f.0).exists()).map(|f| f.1));
    let extensions = EXTENSIONS.iter().filter(|e| suite && !std::path::Path::new(e.0).exists());
    missing.extend(extensions.map(|e| e.1));
    if suite && !has_venv() {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !is_ci() {
        eprintln!("to install: {command}");
        return Ok(());
    }
    run(program("apt-get").args(["-qq", "update"]))?;
    let install = ["-qq", "-y", "--no-install-recommends", "install"];
    run(program("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(install).args(&missing))
}

/// What fetches Postgres with pgvector, and tools that are not packaged. Debian's Python has the
/// module, and without the package it makes nothing.
fn has_venv() -> bool {
    let mut python = program("python3");
    python.args(["-c", "import venv, ensurepip"]).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// MySQL, and MariaDB's plugins: unpacked from Debian in CI, used where they are found.
pub(crate) fn mysql() -> Result<(), String> {
    use wasmgate_services::mysql::{Flavor, fetch, missing};
    match missing(Flavor::MySql) {
        _ if is_ci() => fetch(),
        Some(reason) => {
            eprintln!("its tests will be skipped: {reason}");
            Ok(())
        }
        None => Ok(()),
    }
}

/// cargo-deny: installed in CI, used where it is found.
pub(crate) fn deny() -> Result<bool, String> {
    if found("cargo-deny") {
        return Ok(true);
    }
    if !is_ci() {
        eprintln!(
            "skipped: cargo-deny is not here; `cargo install cargo-deny --locked` installs it"
        );
        return Ok(false);
    }
    run(cargo().args(["install", "--quiet", "--locked", "cargo-deny", "--version", "0.20.2"]))?;
    Ok(true)
}
