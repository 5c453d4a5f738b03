//! The replication slot: looked at, waited for, made, dropped.

use std::time::Duration;

use postgres_protocol::escape::escape_literal;
use wasmgate_model::{Fault, FaultKind};

use crate::catalog::{Catalog, quote};
use crate::fault::protocol;
use crate::lsn::Lsn;
use crate::prepare::refused;
use crate::session::{Row, Session, number, text};
use crate::settings::Settings;
use crate::snapshot::Export;

/// How often a slot that is held is looked at again.
const LOOK: Duration = Duration::from_millis(100);
/// PostgreSQL 17: slots that go on at a standby.
pub(crate) const FAILOVER: u32 = 170_000;

/// How the server holds a slot's place in its log, from good to gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Reserved,
    /// Beyond `max_wal_size`.
    Extended,
    /// Beyond `max_slot_wal_keep_size`: gone at the next checkpoint.
    Unreserved,
    Lost,
}

impl Health {
    /// The server's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Extended => "extended",
            Self::Unreserved => "unreserved",
            Self::Lost => "lost",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "extended" => Self::Extended,
            "unreserved" => Self::Unreserved,
            "lost" => Self::Lost,
            _ => Self::Reserved,
        }
    }
}

/// A slot as the server has it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub usable: Result<(), String>,
    pub active_pid: Option<u32>,
    pub confirmed: Option<Lsn>,
    pub health: Health,
    /// Why the server gave it up, in its words (PostgreSQL 17).
    pub reason: String,
    /// Bytes of log kept for it; -1 while unknown.
    pub retained: i64,
    /// Bytes that may be written before it is in danger; `None`: no bound.
    pub safe: Option<i64>,
    /// Kept on standbys too.
    pub failover: bool,
}

impl Slot {
    pub(crate) fn is_lost(&self) -> bool {
        self.health == Health::Lost
    }
}

/// A slot by name. Columns of later versions are read by way of JSON: earlier ones lack them.
pub(crate) async fn slot(catalog: &mut Catalog, name: &str) -> Result<Option<Slot>, Fault> {
    let sql = format!(
        "SELECT coalesce(plugin, '') = 'pgoutput', slot_type = 'logical', \
         coalesce(database, '') = current_database(), active_pid, confirmed_flush_lsn, \
         coalesce(wal_status, ''), pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN \
         pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)::int8, \
         safe_wal_size, to_jsonb(s) ->> 'failover', to_jsonb(s) ->> 'invalidation_reason' \
         FROM pg_catalog.pg_replication_slots s WHERE slot_name = {}",
        escape_literal(name)
    );
    let rows = catalog.query("cannot read the replication slots", &sql).await?;
    Ok(rows.first().map(parse))
}

fn parse(row: &Row) -> Slot {
    let is = |i| text(row, i) == "t";
    let usable = match (is(0), is(1), is(2)) {
        (true, true, true) => Ok(()),
        (_, false, _) => Err("is a physical slot".to_owned()),
        (_, _, false) => Err("belongs to another database".to_owned()),
        _ => Err("uses another plugin than pgoutput".to_owned()),
    };
    let reason = text(row, 9).to_owned();
    let health = match Health::parse(text(row, 5)) {
        // Given up for another reason than its size: the status alone does not say so.
        _ if !reason.is_empty() => Health::Lost,
        health => health,
    };
    Slot {
        usable,
        active_pid: text(row, 3).parse().ok(),
        confirmed: Lsn::parse(text(row, 4)),
        health,
        reason,
        retained: if text(row, 6).is_empty() { -1 } else { number(row, 6) },
        safe: text(row, 7).parse().ok(),
        failover: text(row, 8) == "true",
    }
}

/// The slot, once nobody reads it. The server may need a moment to notice that its last reader,
/// perhaps ourselves, is gone.
pub(crate) async fn free_slot(
    catalog: &mut Catalog,
    settings: &Settings,
) -> Result<Option<Slot>, Fault> {
    let name = &settings.slot;
    let since = tokio::time::Instant::now();
    loop {
        let slot = slot(catalog, name).await?;
        let Some(found) = &slot else { return Ok(None) };
        if let Err(why) = &found.usable {
            return Err(refused(format!("slot \"{name}\" {why}; choose another name for `slot`")));
        }
        let Some(pid) = found.active_pid else { return Ok(slot) };
        if since.elapsed() >= settings.slot_care.wait {
            return Err(Fault::new(
                FaultKind::SourceUnavailable,
                format!(
                    "slot \"{name}\" is held by another reader (server process {pid}); stop that \
                     one, or give this pipeline a `slot` of its own"
                ),
            )
            .coded("slot-busy"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whose slot is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Ours.
    Lasting { failover: bool },
    /// Of this connection.
    Temporary,
}

/// Makes a slot; with `exported` the snapshot of its consistent point goes with it.
pub(crate) async fn create_slot(
    replication: &mut Session,
    name: &str,
    version: u32,
    life: Life,
    exported: bool,
) -> Result<Export, Fault> {
    let word = match (exported, version >= 150_000) {
        (true, true) => "SNAPSHOT 'export'",
        (true, false) => "EXPORT_SNAPSHOT",
        (false, true) => "SNAPSHOT 'nothing'",
        (false, false) => "NOEXPORT_SNAPSHOT",
    };
    let failover = life == Life::Lasting { failover: true };
    let option = match (version >= 150_000, failover) {
        (true, true) => format!("({word}, FAILOVER true)"),
        (true, false) => format!("({word})"),
        (false, _) => word.to_owned(),
    };
    let temporary = if life == Life::Temporary { "TEMPORARY " } else { "" };
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
        temporary_slot: (life == Life::Temporary).then(|| name.to_owned()),
    })
}

/// `slot_care.failover` takes a server that can, and a slot that has it.
pub(crate) async fn keep_on_standbys(
    replication: &mut Session,
    settings: &Settings,
    version: u32,
    slot: Option<&Slot>,
) -> Result<(), Fault> {
    if !settings.slot_care.failover {
        return Ok(());
    }
    if version < FAILOVER {
        return Err(refused(
            "`slot_care.failover` takes PostgreSQL 17 or newer; leave it out for this server"
                .into(),
        ));
    }
    if slot.is_none_or(|slot| slot.failover || slot.is_lost()) {
        return Ok(());
    }
    let sql = format!("ALTER_REPLICATION_SLOT {} (FAILOVER true)", quote(&settings.slot));
    replication.query("cannot keep the slot on standbys", &sql).await?;
    tracing::info!(slot = settings.slot, "the slot is kept on standbys from now on");
    Ok(())
}

/// Drops the slot, whoever reads it; false: there was none.
pub(crate) async fn drop_slot(catalog: &mut Catalog, name: &str) -> Result<bool, Fault> {
    let literal = escape_literal(name);
    let end = format!(
        "SELECT pg_catalog.pg_terminate_backend(active_pid) FROM \
         pg_catalog.pg_replication_slots WHERE slot_name = {literal} AND active"
    );
    let remove = format!(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM \
         pg_catalog.pg_replication_slots WHERE slot_name = {literal}"
    );
    let since = tokio::time::Instant::now();
    loop {
        catalog.query("cannot end the slot's reader", &end).await?;
        match catalog.query("cannot drop the slot", &remove).await {
            Ok(rows) => return Ok(!rows.is_empty()),
            // Its reader needs a moment to go.
            Err(fault) if since.elapsed() > Duration::from_secs(10) => return Err(fault),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}
