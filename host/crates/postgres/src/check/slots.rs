//! The slot, or room for one.

use postgres_protocol::escape::escape_literal;
use wasmgate_model::Fault;

use super::Findings;
use crate::catalog::Catalog;
use crate::session::number;
use crate::slot::{FAILOVER, Health, Slot, slot as look_up};

/// Finds the slot usable, or a place for it.
pub(super) async fn slot(
    catalog: &mut Catalog,
    findings: &mut Findings<'_>,
    version: u32,
) -> Result<(), Fault> {
    let name = findings.settings.slot.clone();
    match look_up(catalog, &name).await? {
        Some(found) => there(&name, &found, findings),
        None => room(catalog, &name, findings).await?,
    }
    if findings.settings.slot_care.failover && version < FAILOVER {
        findings.bad(
            "`slot_care.failover` takes PostgreSQL 17 or newer",
            "leave it out; after a fail-over the tables have to be read again",
        );
    }
    Ok(())
}

fn there(name: &str, found: &Slot, findings: &mut Findings<'_>) {
    if let Err(why) = &found.usable {
        return findings.bad(format!("slot \"{name}\" {why}"), "choose another name for `slot`");
    }
    let drop = format!("SELECT pg_drop_replication_slot({})", escape_literal(name));
    if let Some(pid) = found.active_pid {
        let what = format!("slot \"{name}\" is held by server process {pid}");
        return findings.bad(what, "stop its reader, or choose another name for `slot`");
    }
    let kept = found.retained.max(0) >> 20;
    match found.health {
        Health::Lost => findings.bad(
            format!("slot \"{name}\" is lost {}", found.reason).trim_end(),
            format!("{drop}; then `snapshot: when_needed` reads the tables again"),
        ),
        Health::Unreserved => findings.note(
            format!("slot \"{name}\" keeps {kept} MiB of log and is about to be lost"),
            "read it now, or raise max_slot_wal_keep_size",
        ),
        Health::Extended => findings.note(
            format!("slot \"{name}\" keeps {kept} MiB of log, more than max_wal_size"),
            format!("read it, or, if nobody will: {drop}"),
        ),
        Health::Reserved => findings.good(format!(
            "slot \"{name}\" is there and keeps {kept} MiB of log; a first start under \
             `snapshot: initial` refuses it"
        )),
    }
}

async fn room(catalog: &mut Catalog, name: &str, findings: &mut Findings<'_>) -> Result<(), Fault> {
    let sql = "SELECT current_setting('max_replication_slots')::int8, \
               (SELECT count(*) FROM pg_catalog.pg_replication_slots)";
    let rows = catalog.query("cannot read the replication slots", sql).await?;
    let (most, taken) = rows.first().map_or((0, 0), |r| (number::<i64>(r, 0), number::<i64>(r, 1)));
    if taken < most {
        findings.good(format!("slot \"{name}\" will be created ({taken} of {most} are taken)"));
    } else {
        findings.bad(
            format!("no replication slot is free: {taken} of {most} are taken"),
            format!(
                "drop an unused one with SELECT pg_drop_replication_slot('NAME'), or ALTER SYSTEM \
                 SET max_replication_slots = {} and restart the server",
                most + 10
            ),
        );
    }
    Ok(())
}
