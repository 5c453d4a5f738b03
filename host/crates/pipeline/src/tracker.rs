//! Which deliveries are in flight. A partition's settled position is a low watermark: it moves
//! over a delivery when that and every earlier one of the partition is settled.

use std::collections::{HashMap, VecDeque};

use wasmgate_model::{Delta, Partition};

/// Deliveries of one pipeline in flight.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    partitions: HashMap<Partition, VecDeque<Entry>>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    delta: Delta,
    settled: bool,
}

impl Tracker {
    /// A delivery enters; returns its ticket.
    pub(crate) fn begin(&mut self, delta: Delta) -> u64 {
        let ticket = self.next;
        self.next += 1;
        let queue = self.partitions.entry(delta.partition.clone()).or_default();
        queue.push_back(Entry { ticket, delta, settled: false });
        ticket
    }

    /// A delivery is settled; returns the deltas by which the checkpoint may move now.
    pub(crate) fn settle(&mut self, partition: &Partition, ticket: u64) -> Vec<Delta> {
        let Some(queue) = self.partitions.get_mut(partition) else {
            return Vec::new();
        };
        if let Some(entry) = queue.iter_mut().find(|e| e.ticket == ticket) {
            entry.settled = true;
        }
        let mut deltas = Vec::new();
        while queue.front().is_some_and(|e| e.settled) {
            deltas.extend(queue.pop_front().map(|e| e.delta));
        }
        if queue.is_empty() {
            self.partitions.remove(partition);
        }
        deltas
    }

    /// Whether nothing of the partition is in flight.
    pub(crate) fn is_idle(&self, partition: &Partition) -> bool {
        !self.partitions.contains_key(partition)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]

    use wasmgate_model::Position;

    use super::*;

    #[test]
    fn the_watermark_waits_for_the_earliest() {
        let p = Partition("p".into());
        let mut t = Tracker::default();
        let tickets: Vec<u64> = (0..3)
            .map(|n| {
                let (from, to) = (Position::new(n, 0), Position::new(n + 1, 0));
                t.begin(Delta { partition: p.clone(), from, to, state: None })
            })
            .collect();
        assert_eq!(t.settle(&p, tickets[2]).len(), 0);
        assert_eq!(t.settle(&p, tickets[0]).len(), 1);
        assert!(!t.is_idle(&p));
        let moved: Vec<u64> = t.settle(&p, tickets[1]).iter().map(|d| d.to.major).collect();
        assert_eq!(moved, [2, 3]);
        assert!(t.is_idle(&p));
    }
}
