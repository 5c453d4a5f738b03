//! How reading starts: what the checkpoint, the slot and the settings say together. Pure.

use postgres_protocol::escape::escape_literal;
use wasmgate_model::{Fault, FaultKind, Position};

use crate::fault::lost_advice;
use crate::lsn::Lsn;
use crate::prepare::refused;
use crate::settings::{Settings, Snapshot};
use crate::slot::Slot;
use crate::state::State;

/// What to do at the start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Snapshot,
    Stream { at: Position, assigned: bool },
    NewSlot,
    Completed,
}

/// | checkpoint | slot | snapshot setting | what is done |
/// |---|---|---|---|
/// | none | missing | not `never` | snapshot |
/// | none | there | `initial`, `initial_only` | refused: it may be another reader's |
/// | none | there | `always`, `when_needed` | snapshot, and the slot is taken over |
/// | none | there | `never` | stream from where the slot stands |
/// | none | missing | `never` | new slot, stream from now |
/// | snapshot cut short | any | any | snapshot again |
/// | there | any | `always` | snapshot again |
/// | there | any | `initial_only` | completed |
/// | there | fits | others | stream from the checkpoint |
/// | there | does not fit | `when_needed` | snapshot again |
/// | there | does not fit | others | our place is lost |
pub(crate) fn decide(
    settings: &Settings,
    checkpoint: Option<(Position, Option<State>)>,
    server: &State,
    slot: Option<&Slot>,
    end: Lsn,
) -> Result<Decision, Fault> {
    let mode = settings.snapshot;
    let Some((at, stored)) = checkpoint else {
        if slot.is_some() && matches!(mode, Snapshot::Initial | Snapshot::InitialOnly) {
            return Err(refused(foreign(&settings.slot)));
        }
        return Ok(match (mode, slot.and_then(|s| s.confirmed)) {
            (Snapshot::Never, Some(Lsn(confirmed))) => {
                Decision::Stream { at: Position::new(confirmed, 0), assigned: true }
            }
            (Snapshot::Never, None) => Decision::NewSlot,
            _ => Decision::Snapshot,
        });
    };
    if stored.as_ref().is_some_and(|s| !s.snapshot_done) || mode == Snapshot::Always {
        return Ok(Decision::Snapshot);
    }
    if mode == Snapshot::InitialOnly {
        return Ok(Decision::Completed);
    }
    match fits(settings, at, stored.as_ref(), server, slot, end) {
        Ok(()) => Ok(Decision::Stream { at, assigned: false }),
        Err(why) if mode == Snapshot::WhenNeeded => {
            tracing::warn!(why, "our place in the log is lost: the tables are read again");
            Ok(Decision::Snapshot)
        }
        Err(why) => {
            let advice = lost_advice(&settings.slot);
            Err(Fault::new(FaultKind::SourceLost, format!("{why}: {advice}")))
        }
    }
}

/// A slot that we know nothing of: reading it would move the place of whoever owns it.
fn foreign(slot: &str) -> String {
    format!(
        "slot \"{slot}\" is there, but no checkpoint of ours: it may be another reader's, or left \
         by a start that was cut short; give this pipeline a `slot` of its own, or drop it with \
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
    server: &State,
    slot: Option<&Slot>,
    end: Lsn,
) -> Result<(), String> {
    let place = Lsn(at.major);
    if let Some(stored) = stored {
        if stored.system_id != server.system_id {
            let (was, is) = (&stored.system_id, &server.system_id);
            return Err(format!("the checkpoint is of another server (system id {was}, now {is})"));
        }
        if stored.timeline != server.timeline {
            let (was, is) = (stored.timeline, server.timeline);
            return Err(format!("the server failed over (timeline {was}, now {is})"));
        }
        if stored.slot != settings.slot {
            return Err(format!("the checkpoint is of slot \"{}\"", stored.slot));
        }
    }
    match slot {
        None => Err(format!("slot \"{}\" does not exist any more", settings.slot)),
        Some(slot) if slot.lost => {
            Err("the slot was invalidated: it kept more log than max_slot_wal_keep_size".into())
        }
        Some(Slot { confirmed: Some(confirmed), .. }) if *confirmed > place => {
            Err(format!("the slot is at {confirmed}, ahead of the checkpoint at {place}"))
        }
        Some(_) if place > end => {
            Err(format!("the server's log ends at {end}, before the checkpoint at {place}"))
        }
        Some(_) => Ok(()),
    }
}
