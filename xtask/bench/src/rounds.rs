//! Timing: the fast tenth of many short rounds. Whatever else the machine does adds to a round and
//! never takes away, and a short round is often left alone.

use std::time::{Duration, Instant};

/// How long one figure is measured.
const SPAN: Duration = Duration::from_millis(1500);
/// Records of one round, whatever the batch size.
const RECORDS: usize = 1024;

/// Nanoseconds per record, in the tenth percentile of the rounds, of `batch`, which handles `rows`
/// records a call and answers the nanoseconds that count.
pub(crate) fn fastest<E>(
    rows: usize,
    mut batch: impl FnMut() -> Result<u128, E>,
) -> Result<f64, E> {
    let calls = (RECORDS / rows).max(1);
    let mut rounds = Vec::new();
    let started = Instant::now();
    while started.elapsed() < SPAN {
        let mut spent = 0;
        for _ in 0..calls {
            spent += batch()?;
        }
        rounds.push(spent as f64 / (calls * rows) as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds.get(rounds.len() / 10).copied().unwrap_or_default())
}

/// Nanoseconds of a piece of work.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, u128) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed().as_nanos())
}
