//! What has to be so before reading starts: server, publication, slot, and a checkpoint that
//! belongs to them. What is missing is created, what is changed is logged.

use wasmgate_model::{Fault, FaultKind, Position};

use crate::catalog::{Catalog, Published, quote};
use crate::connect::{Connector, Purpose};
use crate::decide::{Decision, Server, decide};
use crate::fault::{WAL_LEVEL, protocol};
use crate::lsn::Lsn;
use crate::publication::publication;
use crate::session::{Session, number, text};
use crate::settings::Settings;
use crate::slot::{Life, Slot, create_slot, free_slot, keep_on_standbys};
use crate::snapshot::Export;
use crate::state::State;

/// The oldest server whose pgoutput and catalog are relied on (14.0).
pub(crate) const OLDEST: u32 = 140_000;

/// A server that is ready to be read.
pub(crate) struct Prepared {
    pub replication: Session,
    pub catalog: Catalog,
    pub tables: Vec<Published>,
    /// As it will be while the snapshot runs, or is from now on.
    pub state: State,
    pub start: Start,
    pub version: u32,
}

/// How reading starts.
pub(crate) enum Start {
    /// With [`export`] of this slot.
    Snapshot(Option<Slot>),
    /// `assigned`: the checkpoint does not say so yet.
    Stream { at: Position, assigned: bool },
    /// The snapshot was all that was asked for, and it is done.
    Completed,
}

pub(crate) fn refused(message: String) -> Fault {
    Fault::new(FaultKind::SourceRefused, message)
}

/// Connects, looks, creates what is missing.
pub(crate) async fn prepare(
    connector: &Connector,
    settings: &Settings,
    checkpoint: Option<(Position, Option<State>)>,
) -> Result<Prepared, Fault> {
    let mut catalog = Catalog::new(connector.clone());
    let version = check_server(&mut catalog).await?;
    let mut replication = connector.connect(Purpose::Replication).await?;
    let tables = publication(&mut catalog, settings).await?;
    let identity = replication.query("cannot identify the server", "IDENTIFY_SYSTEM").await?;
    let identity = identity.first().ok_or_else(|| protocol("IDENTIFY_SYSTEM answers nothing"))?;
    let mut state = State {
        snapshot_done: true,
        system_id: text(identity, 0).to_owned(),
        timeline: number(identity, 1),
        slot: settings.slot.clone(),
        between: None,
        work: None,
        tables: None,
        quarantine: Vec::new(),
    };
    if let Some((_, Some(stored))) = &checkpoint {
        state.between = stored.between;
        state.work.clone_from(&stored.work);
        state.tables.clone_from(&stored.tables);
        state.quarantine.clone_from(&stored.quarantine);
    }
    let end = Lsn::parse(text(identity, 2)).unwrap_or_default();
    let slot = free_slot(&mut catalog, settings).await?;
    keep_on_standbys(&mut replication, settings, version, slot.as_ref()).await?;
    let stored = checkpoint.as_ref().and_then(|(_, stored)| stored.as_ref());
    let switch = switch_point(&mut replication, stored, state.timeline).await?;
    let server = Server { state: &state, slot: slot.as_ref(), end, switch };
    let start = match decide(settings, checkpoint, &server)? {
        Decision::Completed => Start::Completed,
        Decision::Stream { at, assigned } => Start::Stream { at, assigned },
        Decision::NewSlot => {
            let life = Life::Lasting { failover: settings.slot_care.failover };
            let export =
                create_slot(&mut replication, &settings.slot, version, life, false).await?;
            tracing::info!(slot = settings.slot, "replication slot created");
            Start::Stream { at: Position::new(export.consistent_point, 0), assigned: true }
        }
        Decision::Snapshot => {
            state.snapshot_done = false;
            (state.between, state.work) = (None, None);
            Start::Snapshot(slot)
        }
    };
    Ok(Prepared { replication, catalog, tables, state, start, version })
}

/// Where the timeline of the checkpoint ended, where the server is on a later one.
async fn switch_point(
    replication: &mut Session,
    stored: Option<&State>,
    timeline: u32,
) -> Result<Option<Lsn>, Fault> {
    let Some(stored) = stored.filter(|stored| stored.timeline < timeline) else { return Ok(None) };
    let sql = format!("TIMELINE_HISTORY {timeline}");
    let rows = replication.query("cannot read the timeline's history", &sql).await?;
    let history = rows.first().map_or("", |row| text(row, 1));
    // Lines of: timeline, the place in the log where it ended, why.
    Ok(history.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let ended = words.next()?.parse::<u32>().ok()? == stored.timeline;
        ended.then(|| words.next().and_then(Lsn::parse)).flatten()
    }))
}

/// Version and wal_level; answers the version.
async fn check_server(catalog: &mut Catalog) -> Result<u32, Fault> {
    let sql = "SELECT current_setting('server_version_num'), current_setting('server_version'), \
               current_setting('wal_level')";
    let rows = catalog.query("cannot read the server's settings", sql).await?;
    let row = rows.first().ok_or_else(|| protocol("no settings"))?;
    if number::<u32>(row, 0) < OLDEST {
        let found = text(row, 1);
        return Err(refused(format!("the server is PostgreSQL {found}; 14 or newer is needed")));
    }
    if text(row, 2) != "logical" {
        return Err(refused(format!("wal_level is {}: {WAL_LEVEL}", text(row, 2))));
    }
    Ok(number(row, 0))
}

/// Exports a snapshot that fits our slot: with the slot's creation, or, where the slot is there
/// already, with a temporary slot beside it. Reading ours from the temporary one's consistent
/// point on is exact, so a slot is never dropped for it; only one that is lost.
pub(crate) async fn export(
    replication: &mut Session,
    settings: &Settings,
    version: u32,
    slot: Option<Slot>,
) -> Result<Export, Fault> {
    let name = &settings.slot;
    let keep = match slot {
        Some(slot) if slot.is_lost() => {
            let sql = format!("DROP_REPLICATION_SLOT {}", quote(name));
            replication.query("cannot drop the lost slot", &sql).await?;
            false
        }
        other => other.is_some(),
    };
    if keep {
        let beside = format!("wasmgate_snapshot_{}", std::process::id());
        let beside = format!("{beside}_{}", crate::assemble::now_us());
        return create_slot(replication, &beside, version, Life::Temporary, true).await;
    }
    let life = Life::Lasting { failover: settings.slot_care.failover };
    let export = create_slot(replication, name, version, life, true).await?;
    tracing::info!(slot = name, "replication slot created");
    Ok(export)
}
