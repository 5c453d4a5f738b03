//! Pieces of transactions against what would be left of them if the server had kept them: every
//! cut and every cap give the same changes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;

const XID: u32 = 10;

fn transactions(dir: Option<&std::path::Path>, memory: usize, disk: u64) -> Transactions {
    let confirmed = Arc::new(Confirmed::default());
    Transactions::new(dir.map(Into::into), Limits { memory, disk }, confirmed).unwrap()
}

/// An insert as it stands in a piece: tag, sub-transaction, something.
fn change(sub: u32, text: &str) -> Vec<u8> {
    [&b"I"[..], &sub.to_be_bytes(), text.as_bytes()].concat()
}

fn piece(held: &mut Transactions, xid: u32, first: bool, changes: &[(u32, String)]) {
    held.control(Control::StreamStart { xid, first }).unwrap();
    for (n, (sub, text)) in changes.iter().enumerate() {
        held.keep(n as u64, n as u64, &change(*sub, text)).unwrap();
    }
    held.control(Control::StreamStop).unwrap();
}

fn commit(held: &mut Transactions, xid: u32) -> Vec<String> {
    let (commit_lsn, end_lsn, commit_us) = (100, 108, 7);
    let step = held.control(Control::StreamCommit { xid, commit_lsn, end_lsn, commit_us });
    let Step::Decided(mut decided) = step.unwrap() else { panic!("not decided") };
    assert_eq!((decided.xid, decided.commit_lsn, decided.end_lsn), (xid, 100, 108));
    let mut texts = Vec::new();
    while let Some(kept) = decided.records.next().unwrap() {
        texts.push(String::from_utf8_lossy(&kept.payload[5..]).into_owned());
    }
    texts
}

fn files(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn what_is_rolled_back_leaves_nothing_at_any_cap() {
    let text = |n: u32| format!("{n}-{}", "x".repeat(n as usize * 7 % 90));
    for memory in [0, 100, 500, 5000, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let mut held = transactions(Some(dir.path()), memory, 1 << 30);
        let changes: Vec<_> = (0..60).map(|n| (XID + n / 10, text(n))).collect();
        piece(&mut held, XID, true, &changes);
        // Nothing was ever sent of this one.
        held.control(Control::StreamAbort { xid: XID, sub_xid: 99 }).unwrap();
        held.control(Control::StreamAbort { xid: XID, sub_xid: XID + 3 }).unwrap();
        let more: Vec<_> = (60..80).map(|n| (XID + n / 10, text(n))).collect();
        piece(&mut held, XID, false, &more);
        held.control(Control::StreamAbort { xid: XID, sub_xid: XID + 7 }).unwrap();
        piece(&mut held, XID, false, &[(XID, text(90))]);
        let want: Vec<_> = (0..30).chain(60..70).chain([90]).map(text).collect();
        assert_eq!(commit(&mut held, XID), want, "cap {memory}");
        assert_eq!((held.memory, held.disk, files(dir.path())), (0, 0, 0), "cap {memory}");
    }
}

#[test]
fn transactions_that_run_together_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = transactions(Some(dir.path()), 300, 1 << 30);
    for n in 0..20 {
        for xid in [1, 2, 3] {
            piece(&mut held, xid, n == 0, &[(xid, format!("{xid}:{n}"))]);
        }
    }
    held.control(Control::StreamAbort { xid: 2, sub_xid: 2 }).unwrap();
    for xid in [3, 1] {
        let want: Vec<_> = (0..20).map(|n| format!("{xid}:{n}")).collect();
        assert_eq!(commit(&mut held, xid), want);
    }
    assert_eq!((held.held.len(), files(dir.path())), (0, 0));
}

#[test]
fn files_of_an_earlier_run_go_and_the_bound_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("7.transaction"), "left").unwrap();
    std::fs::write(dir.path().join("other"), "not ours").unwrap();
    let mut held = transactions(Some(dir.path()), 0, 100);
    assert_eq!(files(dir.path()), 1);
    held.control(Control::StreamStart { xid: 1, first: true }).unwrap();
    let kept = (0..9).try_for_each(|n| held.keep(n, n, &change(1, &"x".repeat(30))));
    let told = kept.unwrap_err().to_string();
    assert!(told.contains("`stream.spill_max` is 100"), "{told}");
}

#[test]
fn nothing_behind_a_prepared_transaction_is_confirmed() {
    let mut held = transactions(None, 1 << 20, 0);
    let confirmed = Arc::clone(&held.confirmed);
    confirmed.advance(10);
    let prepared = |xid, prepare_lsn| Prepared { xid, prepare_lsn, end_lsn: 0, gid: "g" };
    for (xid, lsn) in [(1, 50), (2, 40)] {
        held.control(Control::BeginPrepare(prepared(xid, lsn))).unwrap();
        held.keep(1, 1, b"I....plain").unwrap();
        held.control(Control::Prepare(prepared(xid, lsn))).unwrap();
    }
    confirmed.advance(90);
    assert_eq!(confirmed.get(), 40);
    held.control(Control::RollbackPrepared { xid: 2, end_lsn: 95, gid: "g" }).unwrap();
    assert_eq!(confirmed.get(), 50);
    let (commit_lsn, end_lsn, commit_us) = (95, 96, 0);
    let committed = Control::CommitPrepared { xid: 1, commit_lsn, end_lsn, commit_us, gid: "g" };
    let Step::Decided(mut decided) = held.control(committed).unwrap() else { panic!("held") };
    assert_eq!(decided.records.next().unwrap().unwrap().payload, b"I....plain");
    assert_eq!(confirmed.get(), 90);
    // What was never sent to us is never taken for empty.
    assert!(held.control(committed).is_err());
}
