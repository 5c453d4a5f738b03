//! Sources: no gap, ascending positions, resuming anywhere, the plan, what is settled.

mod reading;

use std::sync::Arc;

use wasmgate_model::{Checkpoint, Delta};

use self::reading::{KitPlanner, Piece, Reading};
use super::soon;
use crate::source::Source;

/// What the kit has to know about a source.
pub struct SourceKit<'a> {
    pub source: &'a dyn Source,
    /// The source waits for more after the last record; otherwise it says that it is completed.
    pub live: bool,
    /// The integer field that holds the record's number.
    pub field: &'a str,
}

/// Records that the kit writes before it reads.
const FIRST: u64 = 300;
/// Records that it writes to live sources at a time, later on.
const MORE: u64 = 20;

/// Runs the kit against a source whose server holds nothing yet. `write` adds records with these
/// numbers, in order, and returns when the server has them.
///
/// # Panics
/// The source does not do what [`Source`] says.
pub async fn source(kit: &SourceKit<'_>, write: impl AsyncFn(std::ops::Range<u64>)) {
    let found = kit.source.check().await;
    assert!(
        found.iter().all(|f| f.ok),
        "the check finds fault with a source that works: {found:?}"
    );
    write(0..FIRST).await;
    let pieces = everything(kit).await;
    nothing_settled_comes_again(kit).await;
    resumes_after_every_piece(kit, &pieces).await;
    let end = follows_the_plan(kit, &write).await;
    settled_does_not_come_again(kit, &write, end).await;
}

fn upto(end: u64) -> Vec<u64> {
    (0..end).collect()
}

/// Numbers of all pieces, sorted: a source of several partitions interleaves them.
fn numbers(pieces: &[Piece]) -> Vec<u64> {
    let mut all: Vec<_> = pieces.iter().flat_map(Piece::numbers).collect();
    all.sort_unstable();
    all
}

/// The checkpoint after these pieces.
fn checkpoint(pieces: &[Piece]) -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    for piece in pieces {
        let delta = Delta {
            partition: piece.partition.clone(),
            from: piece.from,
            to: piece.to,
            state: piece.state.clone(),
        };
        if let Err(error) = checkpoint.apply(&delta) {
            panic!("deliveries do not follow each other: {error}");
        }
    }
    checkpoint
}

async fn everything(kit: &SourceKit<'_>) -> Vec<Piece> {
    let mut reading = Reading::open(kit, Checkpoint::default(), KitPlanner::new(kit.field)).await;
    let pieces = reading.until(FIRST as usize).await;
    assert_eq!(numbers(&pieces), upto(FIRST), "the first open: every record, once");
    assert!(pieces.len() > 1, "limits of {} rows per delivery are not kept", reading::ROWS);
    checkpoint(&pieces);
    if !kit.live {
        reading.completed().await;
    }
    pieces
}

/// Halves that were dropped without a settled checkpoint have acknowledged nothing.
async fn nothing_settled_comes_again(kit: &SourceKit<'_>) {
    for open in ["second", "third"] {
        let planner = KitPlanner::new(kit.field);
        let mut reading = Reading::open(kit, Checkpoint::default(), planner).await;
        let pieces = reading.until(FIRST as usize).await;
        assert_eq!(numbers(&pieces), upto(FIRST), "nothing was settled before the {open} open");
    }
}

async fn resumes_after_every_piece(kit: &SourceKit<'_>, pieces: &[Piece]) {
    let last = pieces.len() - 1;
    for after in [0, last / 3, last / 2, last] {
        let (before, rest) = pieces.split_at(after + 1);
        let planner = KitPlanner::new(kit.field);
        let mut reading = Reading::open(kit, checkpoint(before), planner).await;
        let found = reading.until(rest.iter().map(|p| p.rows.len()).sum()).await;
        let case = format!("resuming after delivery {} of {}", after + 1, pieces.len());
        assert_eq!(numbers(&found), numbers(rest), "{case}");
        let mut whole = before.to_vec();
        whole.extend(found);
        checkpoint(&whole);
        if !kit.live {
            reading.completed().await;
        }
    }
}

/// A later version of the chain is asked for its plan, and batches are read by it.
async fn follows_the_plan(kit: &SourceKit<'_>, write: &impl AsyncFn(std::ops::Range<u64>)) -> u64 {
    let planner = KitPlanner::new(kit.field);
    let mut reading = Reading::open(kit, Checkpoint::default(), Arc::clone(&planner)).await;
    let first = reading.until(1).await;
    assert!(first.iter().all(|p| p.chain == 1), "the plan's version travels with the batch");
    planner.next_version();
    let left = FIRST as usize - first.iter().map(|p| p.rows.len()).sum::<usize>();
    let rest = reading.until(left).await;
    if !kit.live {
        assert!(rest.iter().any(|p| p.chain == 2), "no batch was read by the plan of version 2");
        return FIRST;
    }
    // What was read before the change may still come; sooner or later the new plan shows.
    let mut end = FIRST;
    for _ in 0..50 {
        write(end..end + MORE).await;
        end += MORE;
        let pieces = reading.until(MORE as usize).await;
        if pieces.iter().any(|p| p.chain == 2) {
            return end;
        }
    }
    panic!("no batch was read by the plan of version 2");
}

/// What was settled is not delivered again, and what was written meanwhile is not missed.
async fn settled_does_not_come_again(
    kit: &SourceKit<'_>,
    write: &impl AsyncFn(std::ops::Range<u64>),
    end: u64,
) {
    let planner = || KitPlanner::new(kit.field);
    let mut reading = Reading::open(kit, Checkpoint::default(), planner()).await;
    let pieces = reading.until(end as usize).await;
    let settled = checkpoint(&pieces);
    reading.settle(&settled).await;
    reading.close().await;
    drop(reading);
    if kit.live {
        write(end..end + MORE).await;
    }
    let mut reading = Reading::open(kit, settled, planner()).await;
    if kit.live {
        let found = numbers(&reading.until(MORE as usize).await);
        assert_eq!(found, (end..end + MORE).collect::<Vec<_>>(), "opened after settling");
    } else {
        soon("completed after everything was settled", reading.completed()).await;
    }
}
