//! The table of [`decide`], row by row.

use super::*;
use crate::slot::Health;

fn state(timeline: u32, system_id: &str, snapshot_done: bool) -> State {
    let (system_id, slot) = (system_id.into(), "s".into());
    State {
        snapshot_done,
        system_id,
        timeline,
        slot,
        between: None,
        work: None,
        tables: None,
        quarantine: Vec::new(),
    }
}

fn slot(confirmed: u64, health: Health) -> Slot {
    Slot {
        usable: Ok(()),
        active_pid: None,
        confirmed: Some(Lsn(confirmed)),
        health,
        reason: String::new(),
        retained: 0,
        safe: None,
        failover: true,
    }
}

/// One line for what is decided.
fn said(
    settings: &Settings,
    checkpoint: Option<(u64, State)>,
    slot: Option<Slot>,
    switch: Option<u64>,
) -> String {
    let found = state(2, "7", true);
    let switch = switch.map(Lsn);
    let server = Server { state: &found, slot: slot.as_ref(), end: Lsn(1000), switch };
    let checkpoint = checkpoint.map(|(at, stored)| (Position::new(at, 3), Some(stored)));
    match decide(settings, checkpoint, &server) {
        Ok(Decision::Stream { at, assigned }) => {
            format!("stream {}.{}{}", at.major, at.minor, if assigned { " assigned" } else { "" })
        }
        Ok(other) => format!("{other:?}"),
        Err(fault) => fault.code().to_owned(),
    }
}

#[test]
fn the_table() {
    use Health::{Lost, Unreserved};
    use Snapshot::{Always, Initial, InitialOnly, Never, WhenNeeded};
    let done = || state(2, "7", true);
    let live = |at| Some(slot(at, Unreserved));
    let dead = || Some(slot(5, Lost));
    type Case = (Snapshot, Option<(u64, State)>, Option<Slot>, &'static str);
    let cases: Vec<Case> = vec![
        (Initial, None, None, "Snapshot"),
        (Initial, None, dead(), "Snapshot"),
        (Initial, None, live(5), "slot-foreign"),
        (InitialOnly, None, live(5), "slot-foreign"),
        (Always, None, live(5), "Snapshot"),
        (WhenNeeded, None, live(5), "Snapshot"),
        (Never, None, live(5), "stream 5.0 assigned"),
        (Never, None, dead(), "slot-lost"),
        (Never, None, None, "NewSlot"),
        (Never, Some((9, state(2, "7", false))), live(5), "Snapshot"),
        (Always, Some((9, done())), live(5), "Snapshot"),
        (InitialOnly, Some((9, done())), None, "Completed"),
        (Initial, Some((9, done())), live(5), "stream 9.3"),
        (Initial, Some((9, done())), live(9), "stream 9.3"),
        (Initial, Some((9, done())), live(10), "slot-lost"),
        (Initial, Some((9, done())), dead(), "slot-lost"),
        (Initial, Some((9, done())), None, "slot-lost"),
        (WhenNeeded, Some((9, done())), None, "Snapshot"),
        (Initial, Some((2000, done())), live(5), "server-changed"),
        (Initial, Some((9, state(2, "8", true))), live(5), "server-changed"),
        (Initial, Some((9, state(1, "7", true))), live(5), "failed-over"),
        (WhenNeeded, Some((9, state(1, "7", true))), live(5), "Snapshot"),
    ];
    for (mode, checkpoint, slot, want) in cases {
        let settings = Settings { snapshot: mode, slot: "s".into(), ..Settings::default() };
        let shown = format!("{mode:?} {checkpoint:?} {slot:?}");
        assert_eq!(said(&settings, checkpoint, slot, None), want, "{shown}");
    }
}

#[test]
fn positions_that_disagree_and_servers_that_failed_over() {
    use Mismatch::{NoValidation, TrustGreater, TrustOffset, TrustSlot};
    for (mismatch, confirmed, want) in [
        (TrustOffset, 12, "slot-lost"),
        (TrustOffset, 5, "stream 9.3"),
        (TrustSlot, 12, "stream 12.0 assigned"),
        (TrustSlot, 5, "stream 5.0 assigned"),
        (TrustSlot, 9, "stream 9.3"),
        (TrustGreater, 12, "stream 12.0 assigned"),
        (TrustGreater, 5, "stream 9.3"),
        (NoValidation, 12, "stream 12.0 assigned"),
    ] {
        let mut settings = Settings { slot: "s".into(), ..Settings::default() };
        settings.slot_care.mismatch = mismatch;
        let slot = Some(slot(confirmed, Health::Reserved));
        let got = said(&settings, Some((9, state(2, "7", true))), slot, None);
        assert_eq!(got, want, "{mismatch:?} {confirmed}");
    }
    for (failover, switch, want) in [
        (false, Some(20), "failed-over"),
        (true, Some(20), "stream 9.3"),
        (true, Some(9), "stream 9.3"),
        (true, Some(8), "failed-over"),
        (true, None, "failed-over"),
    ] {
        let mut settings = Settings { slot: "s".into(), ..Settings::default() };
        settings.slot_care.failover = failover;
        let slot = Some(slot(5, Health::Reserved));
        let got = said(&settings, Some((9, state(1, "7", true))), slot, switch);
        assert_eq!(got, want, "{failover} {switch:?}");
    }
}
