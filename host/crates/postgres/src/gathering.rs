//! When the socket is left to fill. The server sends every change in a segment of its own; a busy
//! stream read as it arrives costs a wake-up, a read and a hand-over per change, many times what
//! decoding it costs. So a stream that is read without a pause is read every millisecond; one
//! that pauses is read at once, so that single transactions wait for nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Reads without a pause between them that make a stream busy: more than a small transaction.
const BUSY: u32 = 16;
/// A stream that has nothing for so long pauses.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a busy stream is left alone. Socket buffers grow to hold what comes meanwhile.
const GATHER: Duration = Duration::from_millis(1);
/// A read that finds so many bytes is worth its price: the next one may follow at once.
const PLENTY: usize = 32 << 10;

/// How the reads follow each other.
#[derive(Debug)]
pub(crate) struct Gathering {
    /// Reads without a pause.
    reads: u32,
    /// The last read, or the end of the last wait.
    since: Instant,
    until: Option<Instant>,
}

impl Gathering {
    pub(crate) fn new(now: Instant) -> Self {
        Self { reads: 0, since: now, until: None }
    }

    /// A read ended and found so many bytes.
    pub(crate) fn read(&mut self, now: Instant, bytes: usize) {
        let paused = now.duration_since(self.since) > PAUSE;
        self.reads = if paused { 0 } else { self.reads.saturating_add(1) };
        self.since = now;
        self.until = (self.reads >= BUSY && bytes < PLENTY).then(|| now + GATHER);
    }

    /// The next read waits until then; `None`: it need not.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// The wait is over.
    pub(crate) fn over(&mut self, now: Instant) {
        self.until = None;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as (microseconds since the one before, bytes); answers which are followed by a wait.
    fn waits(reads: &[(u64, usize)]) -> Vec<bool> {
        let mut now = Instant::now();
        let mut gathering = Gathering::new(now);
        let mut waits = Vec::new();
        for (gap, bytes) in reads {
            now += Duration::from_micros(*gap);
            gathering.read(now, *bytes);
            waits.push(gathering.until().is_some());
            if let Some(until) = gathering.until() {
                now = until;
                gathering.over(now);
            }
        }
        waits
    }

    #[test]
    fn only_a_stream_of_small_reads_without_pause_waits() {
        let small = vec![(50, 300); 40];
        let waited = waits(&small);
        assert_eq!(waited.iter().position(|w| *w), Some(BUSY as usize - 1));
        assert!(waited.iter().skip(BUSY as usize).all(|w| *w), "it stays busy through its waits");

        let plenty = vec![(50, PLENTY); 40];
        assert!(!waits(&plenty).contains(&true));

        // Transactions of four segments, every five milliseconds.
        let trickle: Vec<_> = [(5000, 60), (40, 300), (40, 30), (40, 30)].repeat(20);
        assert!(!waits(&trickle).contains(&true));

        let mut stops = small;
        stops.push((3000, 300));
        assert_eq!(waits(&stops).last(), Some(&false), "a pause ends it");
    }
}
