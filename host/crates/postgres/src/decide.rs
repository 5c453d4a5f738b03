//! How reading starts: what the checkpoint, the slot and the settings say together. Pure.

use postgres_protocol::escape::escape_literal;
use wasmgate_model::{Fault, FaultKind, Position};

use crate::fault::lost_advice;
use crate::lsn::Lsn;
use crate::prepare::refused;
use crate::settings::{Settings, Snapshot};
use crate::slot::Slot;
use crate::slot_care::Mismatch;
use crate::state::State;

/// What to do at the start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Snapshot,
    Stream { at: Position, assigned: bool },
    NewSlot,
    Completed,
}

/// The server as it is found.
pub(crate) struct Server<'s> {
    /// Which it is, as a state that begins now.
    pub state: &'s State,
    pub slot: Option<&'s Slot>,
    /// End of its log.
    pub end: Lsn,
    /// Where the checkpoint's timeline ended, where it is an earlier one of this server.
    pub switch: Option<Lsn>,
}

/// Why the stream cannot go on at the checkpoint: a stable word, and what is so.
type Misfit = (&'static str, String);

/// | checkpoint | slot | snapshot setting | what is done |
/// |---|---|---|---|
/// | none | missing or lost | not `never` | snapshot; a lost slot is of use to nobody |
/// | none | there | `initial`, `initial_only` | refused: it may be another reader's |
/// | none | there | `always`, `when_needed` | snapshot, and the slot is taken over |
/// | none | there | `never` | stream from where the slot stands |
/// | none | missing | `never` | new slot, stream from now |
/// | none | lost | `never` | our place is lost |
/// | snapshot cut short | any | any | snapshot again |
/// | there | any | `always` | snapshot again |
/// | there | any | `initial_only` | completed |
/// | there | fits | others | stream from the checkpoint, or as `position_mismatch` says |
/// | there | does not fit | `when_needed` | snapshot again |
/// | there | does not fit | others | our place is lost |
pub(crate) fn decide(
    settings: &Settings,
    checkpoint: Option<(Position, Option<State>)>,
    server: &Server<'_>,
) -> Result<Decision, Fault> {
    let mode = settings.snapshot;
    let Some((at, stored)) = checkpoint else { return first(settings, server.slot) };
    if stored.as_ref().is_some_and(|s| !s.snapshot_done) || mode == Snapshot::Always {
        return Ok(Decision::Snapshot);
    }
    if mode == Snapshot::InitialOnly {
        return Ok(Decision::Completed);
    }
    match fits(settings, at, stored.as_ref(), server) {
        Ok(()) => Ok(placed(settings, at, server.slot)),
        Err((_, why)) if mode == Snapshot::WhenNeeded => {
            tracing::warn!(why, "our place in the log is lost: the tables are read again");
            Ok(Decision::Snapshot)
        }
        Err((code, why)) => {
            let advice = lost_advice(&settings.slot);
            Err(Fault::new(FaultKind::SourceLost, format!("{why}: {advice}")).coded(code))
        }
    }
}

/// A start without a checkpoint.
fn first(settings: &Settings, slot: Option<&Slot>) -> Result<Decision, Fault> {
    let live = slot.filter(|slot| !slot.is_lost());
    Ok(match (settings.snapshot, slot) {
        (Snapshot::Initial | Snapshot::InitialOnly, _) if live.is_some() => {
            return Err(refused(foreign(&settings.slot)).coded("slot-foreign"));
        }
        (Snapshot::Never, None) => Decision::NewSlot,
        (Snapshot::Never, Some(lost)) if live.is_none() => {
            let (code, why) = gone(lost);
            let advice = lost_advice(&settings.slot);
            return Err(Fault::new(FaultKind::SourceLost, format!("{why}: {advice}")).coded(code));
        }
        (Snapshot::Never, Some(slot)) => {
            let at = slot.confirmed.unwrap_or_default();
            Decision::Stream { at: Position::new(at.0, 0), assigned: true }
        }
        _ => Decision::Snapshot,
    })
}

/// Where the stream begins, once nothing speaks against it.
fn placed(settings: &Settings, at: Position, slot: Option<&Slot>) -> Decision {
    let place = Lsn(at.major);
    let confirmed = slot.and_then(|slot| slot.confirmed).unwrap_or(place);
    let from_slot = match settings.slot_care.mismatch {
        Mismatch::TrustOffset => false,
        Mismatch::TrustSlot => confirmed != place,
        Mismatch::TrustGreater | Mismatch::NoValidation => confirmed > place,
    };
    if !from_slot {
        return Decision::Stream { at, assigned: false };
    }
    let (slot, ours) = (confirmed.to_string(), place.to_string());
    if confirmed > place {
        tracing::warn!(
            slot,
            ours,
            "the slot is ahead: changes between are not read, as configured"
        );
    } else {
        tracing::info!(slot, ours, "the slot is behind: changes between come again, as configured");
    }
    Decision::Stream { at: Position::new(confirmed.0, 0), assigned: true }
}

/// A slot that we know nothing of: reading it would move the place of whoever owns it.
fn foreign(slot: &str) -> String {
    format!(
        "slot \"{slot}\" is there, but no checkpoint of ours: it may be another reader's, or of \
         another `data_dir`; give this pipeline a `slot` of its own, or drop it with \
         SELECT pg_drop_replication_slot({}), or take it over: `snapshot: when_needed` reads the \
         tables first, `snapshot: never` goes on where it stands",
        escape_literal(slot)
    )
}

/// Whether the stream can go on at the checkpoint; why not.
fn fits(
    settings: &Settings,
    at: Position,
    stored: Option<&State>,
    server: &Server<'_>,
) -> Result<(), Misfit> {
    let place = Lsn(at.major);
    if let Some(stored) = stored {
        same_server(settings, place, stored, server)?;
    }
    let lost = |why| Err(("slot-lost", why));
    match server.slot {
        None => lost(format!("slot \"{}\" does not exist any more", settings.slot)),
        Some(slot) if slot.is_lost() => Err(gone(slot)),
        Some(Slot { confirmed: Some(confirmed), .. })
            if *confirmed > place && settings.slot_care.mismatch == Mismatch::TrustOffset =>
        {
            lost(format!("the slot is at {confirmed}, ahead of the checkpoint at {place}"))
        }
        Some(_) if place > server.end => {
            let end = server.end;
            let why = format!("the server's log ends at {end}, before the checkpoint at {place}");
            Err(("server-changed", why))
        }
        Some(_) => Ok(()),
    }
}

/// A position means something on one server only, and on one of its timelines, unless a slot that
/// is kept on standbys was kept up to there.
fn same_server(
    settings: &Settings,
    place: Lsn,
    stored: &State,
    server: &Server<'_>,
) -> Result<(), Misfit> {
    let found = server.state;
    if stored.system_id != found.system_id {
        let (was, is) = (&stored.system_id, &found.system_id);
        let why = format!("the checkpoint is of another server (system id {was}, now {is})");
        return Err(("server-changed", why));
    }
    if stored.slot != settings.slot {
        return Err(("slot-lost", format!("the checkpoint is of slot \"{}\"", stored.slot)));
    }
    if stored.timeline == found.timeline {
        return Ok(());
    }
    let (was, is) = (stored.timeline, found.timeline);
    let over = format!("the server failed over (timeline {was}, now {is})");
    match server.switch {
        _ if !settings.slot_care.failover => {
            let why = format!("{over}; `slot_care.failover` follows where the slot was kept");
            Err(("failed-over", why))
        }
        Some(switch) if place <= switch => {
            tracing::warn!(was, is, "the server failed over; its slot was kept, we go on");
            Ok(())
        }
        Some(switch) => {
            let lost = format!("{over} at {switch}, and we have read up to {place}");
            Err(("failed-over", format!("{lost}: the new server never had what lies between")))
        }
        None => Err(("failed-over", format!("{over}, and it does not know where"))),
    }
}

/// What became of a slot that the server gave up.
fn gone(slot: &Slot) -> Misfit {
    let why = match slot.reason.as_str() {
        "" | "wal_removed" => "it kept more log than max_slot_wal_keep_size".to_owned(),
        "rows_removed" => "rows that it needs were vacuumed away".to_owned(),
        "wal_level_insufficient" => "wal_level of the primary server is not logical".to_owned(),
        "idle_timeout" => "nobody read it for idle_replication_slot_timeout".to_owned(),
        other => other.to_owned(),
    };
    ("slot-lost", format!("the server gave the slot up: {why}"))
}

#[cfg(test)]
mod tests;
