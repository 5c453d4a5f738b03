//! The replication slot: looked at, waited for, made.

use std::time::Duration;

use postgres_protocol::escape::escape_literal;
use wasmgate_model::{Fault, FaultKind};

use crate::catalog::{Catalog, quote};
use crate::fault::protocol;
use crate::lsn::Lsn;
use crate::prepare::refused;
use crate::session::{Session, text};
use crate::snapshot::Export;

/// How long a slot may stay with its last reader, which may be our own broken connection.
const SLOT_WAIT: Duration = Duration::from_secs(5);

/// A slot as the server has it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub usable: Result<(), String>,
    pub active_pid: Option<u32>,
    pub confirmed: Option<Lsn>,
    pub lost: bool,
}

/// A slot by name.
pub(crate) async fn slot(catalog: &mut Catalog, name: &str) -> Result<Option<Slot>, Fault> {
    let sql = format!(
        "SELECT coalesce(plugin, '') = 'pgoutput', slot_type = 'logical', \
         coalesce(database, '') = current_database(), active_pid, confirmed_flush_lsn, \
         coalesce(wal_status, '') = 'lost' \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        escape_literal(name)
    );
    let rows = catalog.query("cannot read the replication slots", &sql).await?;
    Ok(rows.first().map(|row| {
        let is = |i| text(row, i) == "t";
        let usable = match (is(0), is(1), is(2)) {
            (true, true, true) => Ok(()),
            (_, false, _) => Err("is a physical slot".to_owned()),
            (_, _, false) => Err("belongs to another database".to_owned()),
            _ => Err("uses another plugin than pgoutput".to_owned()),
        };
        Slot {
            usable,
            active_pid: text(row, 3).parse().ok(),
            confirmed: Lsn::parse(text(row, 4)),
            lost: is(5),
        }
    }))
}

/// The slot, once nobody reads it. The server may need a moment to notice that its last reader,
/// perhaps ourselves, is gone.
pub(crate) async fn free_slot(catalog: &mut Catalog, name: &str) -> Result<Option<Slot>, Fault> {
    let since = tokio::time::Instant::now();
    loop {
        let slot = slot(catalog, name).await?;
        let Some(found) = &slot else { return Ok(None) };
        if let Err(why) = &found.usable {
            return Err(refused(format!("slot \"{name}\" {why}; choose another name for `slot`")));
        }
        let Some(pid) = found.active_pid else { return Ok(slot) };
        if since.elapsed() > SLOT_WAIT {
            return Err(Fault::new(
                FaultKind::SourceUnavailable,
                format!(
                    "slot \"{name}\" is held by another reader (server process {pid}); stop that \
                     one, or give this pipeline a `slot` of its own"
                ),
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Makes a slot; with `exported` the snapshot of its consistent point goes with it.
pub(crate) async fn create_slot(
    replication: &mut Session,
    name: &str,
    version: u32,
    temporary: &str,
    exported: bool,
) -> Result<Export, Fault> {
    let option = match (exported, version >= 150_000) {
        (true, true) => "(SNAPSHOT 'export')",
        (true, false) => "EXPORT_SNAPSHOT",
        (false, true) => "(SNAPSHOT 'nothing')",
        (false, false) => "NOEXPORT_SNAPSHOT",
    };
    let sql =
        format!("CREATE_REPLICATION_SLOT {} {temporary}LOGICAL pgoutput {option}", quote(name));
    let doing = format!("cannot create slot \"{name}\"");
    let rows = replication.query(&doing, &sql).await?;
    let row = rows.first().ok_or_else(|| protocol("no slot was created"))?;
    let Lsn(consistent_point) =
        Lsn::parse(text(row, 1)).ok_or_else(|| protocol("the new slot has no consistent point"))?;
    Ok(Export {
        name: text(row, 2).to_owned(),
        consistent_point,
        temporary_slot: (!temporary.is_empty()).then(|| name.to_owned()),
    })
}
