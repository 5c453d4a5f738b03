//! `cargo xtask services up|down postgres|mysql|mariadb|kafka`: real servers for your own tries,
//! and `fetch`: those that the tests take from elsewhere.

use std::fs;
use std::path::PathBuf;

use wasmgate_services::postgres::Release;
use wasmgate_services::{kafka, mysql, postgres};

use crate::run::target;

fn note(server: &str) -> PathBuf {
    target().join(format!("service-{server}"))
}

/// Starts or stops a server; what runs is remembered under the target folder.
pub(crate) fn run(verb: &str, server: &str) -> Result<(), String> {
    match (verb, server) {
        ("up", "postgres" | "mysql" | "mariadb" | "kafka") if note(server).exists() => {
            Err(format!("{server} is up already: cargo xtask services down {server}"))
        }
        ("up", "postgres") => {
            let postgres = postgres::Postgres::start(&postgres::Options::default())?;
            let port = postgres.port();
            keep("postgres", &postgres.detach())?;
            println!(
                "postgres: psql -h 127.0.0.1 -p {port} -U postgres (wal_level=logical, no password)"
            );
            Ok(())
        }
        ("up", "mysql" | "mariadb") => {
            let flavor = match server {
                "mysql" => mysql::Flavor::MySql,
                _ => mysql::Flavor::MariaDb,
            };
            if flavor == mysql::Flavor::MySql {
                mysql::fetch()?;
            }
            let started = mysql::MySql::start(flavor, &mysql::Options::default())?;
            let version = started.sql("", "select version()")?;
            let (port, socket) = (started.port(), started.socket());
            keep(server, &started.detach())?;
            println!(
                "{server} {version}: {} -u root -S {} (port {port}, row binlog, no password)",
                if server == "mysql" { "mysql" } else { "mariadb" },
                socket.display()
            );
            Ok(())
        }
        ("up", "kafka") => {
            let folder = target().join("kafka");
            let bootstrap = kafka::Kafka::start_detached(&folder, 1)?;
            keep("kafka", &folder)?;
            println!("kafka: bootstrap_servers {bootstrap}");
            Ok(())
        }
        ("down", "postgres" | "mysql" | "mariadb" | "kafka") => down(server),
        ("fetch", "postgres") => fetch_postgres(),
        _ => Err(format!(
            "`services {verb} {server}`: it is up or down, postgres, mysql, mariadb or kafka; or \
             fetch postgres"
        )),
    }
}

/// Gets the releases that the tests want beside the installed one.
pub(crate) fn fetch_postgres() -> Result<(), String> {
    for release in Release::ALL {
        if let Some(programs) = release.fetch()? {
            println!("postgres: {}", programs.display());
        }
    }
    Ok(())
}

fn keep(server: &str, dir: &std::path::Path) -> Result<(), String> {
    fs::create_dir_all(target()).map_err(|e| e.to_string())?;
    fs::write(note(server), dir.to_string_lossy().as_bytes()).map_err(|e| e.to_string())
}

fn down(server: &str) -> Result<(), String> {
    let Ok(dir) = fs::read_to_string(note(server)) else {
        return Err(format!("{server} is not up"));
    };
    let dir = PathBuf::from(dir);
    match server {
        "postgres" => postgres::stop_detached(&dir)?,
        "mysql" | "mariadb" => mysql::stop_detached(&dir)?,
        _ => kafka::stop_detached(&dir),
    }
    fs::remove_file(note(server)).map_err(|e| e.to_string())
}
