//! What safety costs: the five stages with all of it, and with one or the other left out. The
//! variants take turns, so that a slow minute of the machine meets them alike, and the ratio that
//! counts is the median of the turns.

use wasmgate_wasm::{Limits, Runtime, Safeguards};

use crate::Problem;
use crate::paths::{FIVE, stages};

const TURNS: usize = 9;
const ROWS: [usize; 2] = [256, 16];

const VARIANTS: [(&str, Safeguards); 5] = [
    ("all of it", Safeguards::ALL),
    ("without deadlines", Safeguards { epochs: false, ..Safeguards::ALL }),
    ("without limits", Safeguards { limits: false, ..Safeguards::ALL }),
    ("without counting", Safeguards { counting: false, ..Safeguards::ALL }),
    ("without any", Safeguards { epochs: false, limits: false, counting: false }),
];

/// Measures and prints.
///
/// # Errors
/// A module does not load or run.
pub(crate) fn run() -> Result<(), Problem> {
    let runtime = |(_, safeguards)| Runtime::guarded(Limits::default(), None, safeguards);
    let runtimes = VARIANTS.map(runtime).into_iter().collect::<Result<Vec<_>, _>>()?;
    for rows in ROWS {
        println!("five stages at batch {rows}: ns per record, and what `all of it` costs more");
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            let turn = runtimes.iter().map(|runtime| stages(runtime, &FIVE, rows));
            turns.push(turn.collect::<Result<Vec<_>, _>>()?);
        }
        for (at, (name, _)) in VARIANTS.iter().enumerate() {
            let all = |turn: &Vec<f64>| turn.first().copied().unwrap_or_default();
            let own = |turn: &Vec<f64>| turn.get(at).copied().unwrap_or_default();
            let ns = median(turns.iter().map(own));
            let more = median(turns.iter().map(|turn| 100.0 * (all(turn) / own(turn) - 1.0)));
            println!("  {name:<18} {ns:>7.1} {more:>+6.1} %");
        }
    }
    Ok(())
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
