//! Timing: the median of many short rounds.

use std::time::Instant;

const ROUNDS: usize = 300;
/// Records of one round, whatever the batch size.
const RECORDS: usize = 4096;

/// Median nanoseconds per record of `batch`, which handles `rows` records a call and answers the
/// nanoseconds that count.
pub(crate) fn median<E>(rows: usize, mut batch: impl FnMut() -> Result<u128, E>) -> Result<f64, E> {
    let calls = (RECORDS / rows).max(1);
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let mut spent = 0;
        for _ in 0..calls {
            spent += batch()?;
        }
        rounds.push(spent as f64 / (calls * rows) as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds.get(ROUNDS / 2).copied().unwrap_or_default())
}

/// Nanoseconds of a piece of work.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, u128) {
    let started = Instant::now();
    let done = work();
    (done, started.elapsed().as_nanos())
}
