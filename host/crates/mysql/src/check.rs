//! Looking at the server without changing anything: one finding per thing that has to be so, with
//! the exact statement where something is missing.

use std::sync::Arc;

use wasmgate_connector::Finding;
use wasmgate_model::Fault;

use crate::catalog::{Server, server, tables};
use crate::connect::{Connector, quote, text};
use crate::prepare::unfit;
use crate::settings::{Settings, Snapshot};

fn good(what: impl Into<String>) -> Finding {
    Finding { ok: true, what: what.into(), fix: None }
}

fn bad(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { ok: false, what: what.into(), fix: Some(fix.into()) }
}

/// Every finding; stops where nothing more can be asked.
pub(crate) async fn check(settings: &Arc<Settings>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(fault) = look(settings, &mut findings).await {
        findings.push(Finding { ok: false, what: fault.chain(), fix: None });
    }
    findings
}

async fn look(settings: &Arc<Settings>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
    let connector = Connector::new(settings);
    let mut session = connector.connect().await?;
    findings.push(good(format!("reachable as {}", settings.user)));
    let server = server(&mut session).await?;
    findings.push(good(format!(
        "{} {}",
        if server.maria { "MariaDB" } else { "MySQL" },
        server.version
    )));
    let unfit = unfit(&server, settings);
    if unfit.is_empty() {
        findings.push(good("the binary log holds whole rows"));
    }
    findings.extend(unfit.into_iter().map(|(what, fix)| bad(what, fix)));
    findings.push(match server.row_metadata.as_str() {
        "FULL" => good("binlog_row_metadata is FULL"),
        other => Finding {
            ok: true,
            what: format!("binlog_row_metadata is {other}: names of columns come from a history"),
            fix: Some("SET GLOBAL binlog_row_metadata = 'FULL'".into()),
        },
    });
    findings.push(if server.gtids {
        good("transactions have GTIDs: no lock at the snapshot, fail-over goes on where it was")
    } else {
        Finding {
            ok: true,
            what: "gtid_mode is off: the snapshot holds writers up for a moment, and a fail-over \
                   needs a new one"
                .into(),
            fix: Some("turn gtid_mode and enforce_gtid_consistency ON".into()),
        }
    });
    privileges(&mut session, settings, &server, findings).await?;
    named_tables(&mut session, settings, findings).await
}

async fn privileges(
    session: &mut crate::connect::Session,
    settings: &Settings,
    server: &Server,
    findings: &mut Vec<Finding>,
) -> Result<(), Fault> {
    let rows = session.query("cannot read the privileges", "SHOW GRANTS").await?;
    let all: String = rows.iter().map(|r| text(r, 0).to_ascii_uppercase() + "\n").collect();
    let whole = all.contains("ALL PRIVILEGES ON *.*");
    let has = |names: &[&str]| whole || names.iter().any(|name| all.contains(name));
    let mut wanted: Vec<(&str, &[&str])> =
        vec![("REPLICATION SLAVE", &["REPLICATION SLAVE", "REPLICATION REPLICA"])];
    if server.maria {
        wanted.push(("BINLOG MONITOR", &["BINLOG MONITOR", "REPLICATION CLIENT"]));
    } else {
        wanted.push(("REPLICATION CLIENT", &["REPLICATION CLIENT"]));
    }
    // Without transactions that have names the snapshot begins under a lock.
    let copies = !matches!(settings.snapshot, Snapshot::Never | Snapshot::Recovery);
    if copies && !server.maria && !server.gtids {
        wanted.push(("RELOAD", &["RELOAD", "FLUSH_TABLES"]));
    }
    for (name, spellings) in wanted {
        let user = &settings.user;
        findings.push(if has(spellings) {
            good(format!("{user} has {name}"))
        } else {
            bad(format!("{user} lacks {name}"), format!("GRANT {name} ON *.* TO '{user}'@'%'"))
        });
    }
    Ok(())
}

async fn named_tables(
    session: &mut crate::connect::Session,
    settings: &Settings,
    findings: &mut Vec<Finding>,
) -> Result<(), Fault> {
    let found = tables(session, settings).await?;
    for named in &settings.tables {
        let there = found.iter().any(|(db, table)| *named == format!("{db}.{table}"));
        if !there {
            let user = &settings.user;
            let fix = match named.split_once('.') {
                Some((db, table)) => {
                    format!(
                        "correct `tables`, or GRANT SELECT ON {}.{} TO '{user}'@'%'",
                        quote(db),
                        quote(table)
                    )
                }
                None => "write `database.table`".into(),
            };
            findings.push(bad(format!("{named} is not there, or {user} cannot see it"), fix));
        }
    }
    if found.is_empty() && settings.tables.is_empty() {
        findings.push(good("there is no table to capture yet"));
    }
    for (db, table) in found {
        let sql = format!("SELECT 1 FROM {}.{} LIMIT 0", quote(&db), quote(&table));
        findings.push(match session.run("cannot read the table", &sql).await {
            Ok(()) => good(format!("{db}.{table} can be read")),
            Err(fault) => bad(
                format!("{db}.{table} cannot be read: {}", fault.chain()),
                format!(
                    "GRANT SELECT ON {}.{} TO '{}'@'%'",
                    quote(&db),
                    quote(&table),
                    settings.user
                ),
            ),
        });
    }
    Ok(())
}
