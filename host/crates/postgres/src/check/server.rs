//! The server and our role on it.

use wasmgate_model::Fault;

use super::Findings;
use crate::catalog::Catalog;
use crate::fault::WAL_LEVEL;
use crate::prepare::OLDEST;
use crate::session::{Row, number, text};

/// PostgreSQL 16: logical decoding on a standby.
const ON_STANDBY: u32 = 160_000;
/// Transactions older than this hold the slot back for longer than anybody means.
const OLD: &str = "10 minutes";

/// Version, settings, role; answers the version.
pub(super) async fn server(
    catalog: &mut Catalog,
    findings: &mut Findings<'_>,
) -> Result<u32, Fault> {
    let sql = "SELECT current_setting('server_version_num'), current_setting('server_version'), \
               current_setting('wal_level'), r.rolreplication OR r.rolsuper, \
               current_setting('max_wal_senders')::int8, \
               (SELECT count(*) FROM pg_catalog.pg_stat_replication), \
               pg_catalog.pg_is_in_recovery(), \
               (SELECT pg_catalog.pg_has_role(oid, 'MEMBER') FROM pg_catalog.pg_roles \
                WHERE rolname = 'rds_replication'), \
               current_setting('max_slot_wal_keep_size'), \
               current_setting('idle_replication_slot_timeout', true), \
               current_setting('hot_standby_feedback') \
               FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let rows = catalog.query("cannot read the server's settings", sql).await?;
    findings.good(format!("reachable as {}", findings.settings.user));
    let Some(row) = rows.first() else { return Ok(0) };
    let version = number(row, 0);
    if version >= OLDEST {
        findings.good(format!("PostgreSQL {}", text(row, 1)));
    } else {
        findings.bad(format!("PostgreSQL {}", text(row, 1)), "14 or newer is needed");
    }
    match text(row, 2) {
        "logical" => findings.good("wal_level is logical"),
        other => findings.bad(
            format!("wal_level is {other}"),
            format!(
                "{WAL_LEVEL} (Amazon RDS: rds.logical_replication = 1; Cloud SQL: \
                 cloudsql.logical_decoding = on; Azure: wal_level under server parameters)"
            ),
        ),
    }
    role(row, findings);
    standby(row, version, findings);
    limits(row, findings);
    Ok(version)
}

fn role(row: &Row, findings: &mut Findings<'_>) {
    let (user, role) = (findings.settings.user.clone(), findings.role());
    match (text(row, 3), text(row, 7)) {
        ("t", _) | (_, "t") => findings.good(format!("{user} may replicate")),
        // The role exists on Amazon RDS and Aurora only, where the attribute cannot be given.
        (_, "f") => findings
            .bad(format!("{user} may not replicate"), format!("GRANT rds_replication TO {role}")),
        _ => findings
            .bad(format!("{user} may not replicate"), format!("ALTER ROLE {role} REPLICATION")),
    }
}

fn standby(row: &Row, version: u32, findings: &mut Findings<'_>) {
    if text(row, 6) != "t" {
        return;
    }
    if version < ON_STANDBY {
        findings.bad(
            "the server is a standby",
            "capture from the primary server, or upgrade to PostgreSQL 16, which decodes on standbys",
        );
    } else if text(row, 10) != "on" {
        findings.note(
            "the server is a standby without hot_standby_feedback: the primary server may vacuum \
             away what the slot needs",
            "ALTER SYSTEM SET hot_standby_feedback = 'on'; SELECT pg_reload_conf()",
        );
    }
}

fn limits(row: &Row, findings: &mut Findings<'_>) {
    let (senders, taken) = (number::<i64>(row, 4), number::<i64>(row, 5));
    if taken >= senders {
        let what = format!("all {senders} replication connections are taken");
        findings.bad(
            what,
            format!("ALTER SYSTEM SET max_wal_senders = {} and restart the server", senders + 10),
        );
    }
    match text(row, 8) {
        "-1" => findings.note(
            "max_slot_wal_keep_size is unlimited: a gateway that stays away fills the server's disk",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf(); or set \
             `slot_care.wal_limit`",
        ),
        limit => findings.good(format!("the server keeps {limit} of log for a slot")),
    }
    match text(row, 9) {
        "" | "0" => {}
        limit => findings.note(
            format!("a slot that nobody reads for {limit} is given up"),
            "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf()",
        ),
    }
}

/// Transactions that are open for long: the slot keeps the log from their start on, whatever is
/// settled.
pub(super) async fn holding_back(
    catalog: &mut Catalog,
    findings: &mut Findings<'_>,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT gid, date_trunc('second', now() - prepared) FROM pg_catalog.pg_prepared_xacts \
         WHERE database = current_database() AND prepared < now() - interval '{OLD}'"
    );
    for row in catalog.query("cannot read the prepared transactions", &sql).await? {
        let (gid, age) = (text(&row, 0), text(&row, 1));
        findings.note(
            format!("transaction '{gid}' is prepared since {age} and holds the slot back"),
            format!("COMMIT PREPARED '{0}', or ROLLBACK PREPARED '{0}'", gid.replace('\'', "''")),
        );
    }
    let sql = format!(
        "SELECT pid, state, date_trunc('second', now() - xact_start) \
         FROM pg_catalog.pg_stat_activity \
         WHERE backend_xid IS NOT NULL AND xact_start < now() - interval '{OLD}' \
         ORDER BY xact_start LIMIT 5"
    );
    for row in catalog.query("cannot read the activity", &sql).await? {
        let (pid, state, age) = (text(&row, 0), text(&row, 1), text(&row, 2));
        findings.note(
            format!(
                "process {pid} ({state}) has a transaction open since {age}: the slot is held back"
            ),
            format!("SELECT pg_terminate_backend({pid})"),
        );
    }
    Ok(())
}
