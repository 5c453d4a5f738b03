//! The ledger: rows of (key, seq, checksum) go in at the source; at the sink every seq is there,
//! each key's seqs never fall back behind one that was new, the last state is the table's.

use std::collections::{BTreeMap, BTreeSet};

/// What arrived, in order of arrival per key.
#[derive(Debug, Default)]
pub struct Ledger {
    seen: BTreeMap<i64, Vec<i64>>,
}

impl Ledger {
    /// A record arrived.
    ///
    /// # Panics
    /// Its checksum is wrong: the value was damaged on the way.
    pub fn arrived(&mut self, key: i64, seq: i64, checksum: i64) {
        assert_eq!(checksum, self::checksum(key, seq), "key {key}, seq {seq} was damaged");
        self.seen.entry(key).or_default().push(seq);
    }

    /// Holds what arrived against what was written: key → highest seq, from 1. Returns the number
    /// of duplicates.
    ///
    /// # Panics
    /// Something is missing, or a key's records arrived in another order.
    #[must_use]
    pub fn check(&self, written: &BTreeMap<i64, i64>) -> usize {
        let mut duplicates = 0;
        for (key, last) in written {
            let seen = self.seen.get(key).map_or(&[][..], Vec::as_slice);
            let distinct: BTreeSet<i64> = seen.iter().copied().collect();
            let missing: Vec<i64> = (1..=*last).filter(|s| !distinct.contains(s)).collect();
            assert!(missing.is_empty(), "key {key}: missing {missing:?}");
            duplicates += seen.len() - distinct.len();
            // A replay starts anew at an earlier seq, but within it the order holds, and what is
            // new comes in order.
            let mut highest = 0;
            let mut previous = 0;
            for &seq in seen {
                assert!(seq <= highest + 1, "key {key}: {seq} arrived before {}", highest + 1);
                assert!(seq == previous + 1 || seq <= highest, "key {key}: {seq} after {previous}");
                highest = highest.max(seq);
                previous = seq;
            }
            assert_eq!(seen.last(), Some(last), "key {key}: the last state is not the table's");
        }
        duplicates
    }
}

/// What a row carries so that damage shows.
#[must_use]
pub fn checksum(key: i64, seq: i64) -> i64 {
    (key * 1_000_003 + seq * 7919) % 998_244_353
}
