//! Looking at the server without changing anything: one finding per thing that has to be so,
//! with the exact statement where something is missing.

use std::sync::Arc;

use postgres_protocol::escape::escape_literal;
use wasmgate_connector::Finding;
use wasmgate_model::Fault;

use crate::catalog::{Catalog, TableName};
use crate::connect::Connector;
use crate::fault::WAL_LEVEL;
use crate::prepare::OLDEST;
use crate::publication::{create_publication, missing_tables, named_tables};
use crate::session::{Row, number, text};
use crate::settings::Settings;
use crate::slot::slot;

fn good(what: impl Into<String>) -> Finding {
    Finding { ok: true, what: what.into(), fix: None }
}

fn bad(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { ok: false, what: what.into(), fix: Some(fix.into()) }
}

fn failed(fault: &Fault) -> Finding {
    Finding { ok: false, what: fault.chain(), fix: None }
}

/// Every finding; stops where nothing more can be asked.
pub(crate) async fn check(settings: &Arc<Settings>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(fault) = look(settings, &mut findings).await {
        findings.push(failed(&fault));
    }
    findings
}

async fn look(settings: &Arc<Settings>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
    let connector = Connector::new(settings)?;
    let mut catalog = Catalog::new(connector);
    let sql = "SELECT current_setting('server_version_num'), current_setting('server_version'), \
               current_setting('wal_level'), r.rolreplication OR r.rolsuper, \
               current_setting('max_replication_slots')::int8, \
               (SELECT count(*) FROM pg_catalog.pg_replication_slots), \
               current_setting('max_wal_senders')::int8, \
               (SELECT count(*) FROM pg_catalog.pg_stat_replication) \
               FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let rows = catalog.query("cannot read the server's settings", sql).await?;
    findings.push(good(format!("reachable as {}", settings.user)));
    if let Some(row) = rows.first() {
        findings.extend(server(row, settings));
    }
    let found = slot(&mut catalog, &settings.slot).await?;
    let taken = rows.first().map_or((0, 0), |row| (number::<i64>(row, 5), number::<i64>(row, 4)));
    findings.push(match found {
        Some(slot) => match (slot.usable, slot.active_pid, slot.lost) {
            (Err(why), _, _) => {
                bad(format!("slot \"{}\" {why}", settings.slot), "choose another name for `slot`")
            }
            (_, _, true) => bad(
                format!("slot \"{}\" is lost", settings.slot),
                format!("SELECT pg_drop_replication_slot('{}')", settings.slot),
            ),
            (_, Some(pid), _) => bad(
                format!("slot \"{}\" is held by server process {pid}", settings.slot),
                "stop its reader, or choose another name for `slot`",
            ),
            _ => good(format!(
                "slot \"{}\" is there; a first start under `snapshot: initial` refuses it",
                settings.slot
            )),
        },
        None if taken.0 >= taken.1 => bad(
            format!("no replication slot is free: {} of {} are taken", taken.0, taken.1),
            "drop an unused one with SELECT pg_drop_replication_slot('NAME'), or raise \
             max_replication_slots and restart the server",
        ),
        None => good(format!("slot \"{}\" will be created", settings.slot)),
    });
    publication(&mut catalog, settings, findings).await
}

fn server(row: &Row, settings: &Settings) -> Vec<Finding> {
    let version = text(row, 1);
    let mut findings = Vec::new();
    findings.push(if number::<u32>(row, 0) >= OLDEST {
        good(format!("PostgreSQL {version}"))
    } else {
        bad(format!("PostgreSQL {version}"), "14 or newer is needed")
    });
    findings.push(match text(row, 2) {
        "logical" => good("wal_level is logical"),
        other => bad(format!("wal_level is {other}"), WAL_LEVEL),
    });
    findings.push(if text(row, 3) == "t" {
        good(format!("{} may replicate", settings.user))
    } else {
        let fix = format!("ALTER ROLE \"{}\" REPLICATION", settings.user);
        bad(format!("{} may not replicate", settings.user), fix)
    });
    if number::<i64>(row, 7) >= number::<i64>(row, 6) {
        let what = format!("all {} replication connections are taken", text(row, 6));
        findings.push(bad(what, "raise max_wal_senders and restart the server"));
    }
    findings
}

async fn publication(
    catalog: &mut Catalog,
    settings: &Settings,
    findings: &mut Vec<Finding>,
) -> Result<(), Fault> {
    let named = named_tables(settings)?;
    let name = &settings.publication;
    let published = catalog.published(name).await?;
    // Without `tables`, all that the publication holds are read.
    let read: Vec<TableName> = match &published {
        Some(all) if named.is_empty() => all.iter().map(|p| p.name.clone()).collect(),
        _ => named.clone(),
    };
    match published {
        Some(published) => findings.push(match missing_tables(settings, &named, &published) {
            Some(message) => match message.split_once("; run: ") {
                Some((what, fix)) => bad(what, fix),
                None => bad(message, ""),
            },
            None => good(format!("publication \"{name}\" has the tables")),
        }),
        None if named.is_empty() => findings.push(bad(
            format!("publication \"{name}\" does not exist"),
            "name the `tables`, or create it",
        )),
        None => {
            let may = may_create(catalog, settings).await?;
            let sql = create_publication(settings, &named);
            findings.push(if may {
                good(format!("publication \"{name}\" will be created: {sql}"))
            } else {
                bad(format!("publication \"{name}\" does not exist and may not be created"), sql)
            });
        }
    }
    for table in &read {
        let sql = format!(
            "SELECT has_table_privilege(to_regclass({})::oid, 'SELECT')",
            escape_literal(&table.quoted())
        );
        let rows = catalog.query("cannot read the table's privileges", &sql).await?;
        findings.push(match rows.first().map(|r| text(r, 0)) {
            Some("t") => good(format!("{table} can be read")),
            Some("f") => {
                let (table, user) = (table.quoted(), &settings.user);
                bad(
                    format!("{table} cannot be read"),
                    format!("GRANT SELECT ON {table} TO \"{user}\""),
                )
            }
            _ => bad(format!("{table} does not exist"), "correct `tables`"),
        });
    }
    Ok(())
}

/// A publication takes CREATE on the database (and the ownership of its tables, which the server
/// tells when it is made).
async fn may_create(catalog: &mut Catalog, settings: &Settings) -> Result<bool, Fault> {
    let sql =
        format!("SELECT has_database_privilege({}, 'CREATE')", escape_literal(&settings.database));
    let rows = catalog.query("cannot read the database's privileges", &sql).await?;
    Ok(rows.first().is_some_and(|r| text(r, 0) == "t"))
}
