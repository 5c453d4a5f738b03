//! What is settled: partition → position (and the source's state there). It moves only by a
//! delta that fits.
//!
//! | the delta's `from`, `to` against the current end | effect |
//! |---|---|
//! | partition unknown | starts the partition at `to` |
//! | `from` = end | moves to `to` |
//! | `to` ≤ end | nothing: a repeat of what is settled |
//! | `from` < end < `to` | refused: overlap |
//! | `from` > end | refused: gap |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::delivery::{Partition, Position};

/// A settled piece of a partition: (`from`, `to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub partition: Partition,
    pub from: Position,
    pub to: Position,
    pub state: Option<Arc<[u8]>>,
}

/// Where one partition stands.
type Mark = (Position, Option<Arc<[u8]>>);

/// Settled positions of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    marks: BTreeMap<Partition, Mark>,
}

/// A delta that does not fit. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointError {
    pub partition: Partition,
    pub end: Position,
    pub from: Position,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.from > self.end { "gap" } else { "overlap" };
        write!(
            f,
            "{what} in partition {}: settled up to {}, the next piece starts after {}",
            self.partition, self.end, self.from
        )
    }
}

impl std::error::Error for CheckpointError {}

impl Checkpoint {
    /// Where a partition stands, with the source's state there.
    #[must_use]
    pub fn get(&self, partition: &Partition) -> Option<(Position, Option<&Arc<[u8]>>)> {
        self.marks.get(partition).map(|(p, s)| (*p, s.as_ref()))
    }

    /// Sets a partition without looking at what was there: loading, or a partition that another
    /// process owned meanwhile.
    pub fn assign(&mut self, partition: Partition, at: Position, state: Option<Arc<[u8]>>) {
        self.marks.insert(partition, (at, state));
    }

    /// Moves one partition; see the module's table. `Ok(false)`: a repeat, nothing moved.
    ///
    /// # Errors
    /// The delta leaves a gap or overlaps; nothing was changed.
    pub fn apply(&mut self, delta: &Delta) -> Result<bool, CheckpointError> {
        match self.marks.get_mut(&delta.partition) {
            None => {
                self.assign(delta.partition.clone(), delta.to, delta.state.clone());
                Ok(true)
            }
            Some((end, state)) if delta.from == *end => {
                *end = delta.to;
                *state = delta.state.clone();
                Ok(true)
            }
            Some((end, _)) if delta.to <= *end => Ok(false),
            Some((end, _)) => Err(CheckpointError {
                partition: delta.partition.clone(),
                end: *end,
                from: delta.from,
            }),
        }
    }

    /// Every partition, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Partition, Position, Option<&Arc<[u8]>>)> {
        self.marks.iter().map(|(k, (p, s))| (k, *p, s.as_ref()))
    }

    /// Whether nothing is settled yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_fit_or_are_refused() {
        let p = Partition("p".into());
        let at = |n| Position::new(n, 0);
        let delta =
            |from, to| Delta { partition: p.clone(), from: at(from), to: at(to), state: None };
        // (from, to, result, end afterwards), the table of the module in order, end 10 before each
        let cases = [
            (10, 12, Ok(true), 12),
            (5, 10, Ok(false), 10),
            (5, 9, Ok(false), 10),
            (9, 12, Err(()), 10),
            (11, 12, Err(()), 10),
        ];
        for (from, to, want, end) in cases {
            let mut c = Checkpoint::default();
            assert_eq!(c.apply(&delta(3, 10)), Ok(true));
            assert_eq!(c.apply(&delta(from, to)).map_err(|_| ()), want, "{from}..{to}");
            assert_eq!(c.get(&p).map(|m| m.0), Some(at(end)), "{from}..{to}");
        }
    }
}
