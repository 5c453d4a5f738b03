//! Pauses between tries: capped exponential with jitter, one table for all faults.

use std::time::Duration;

use wasmgate_model::FaultKind;

/// (first pause, longest pause) by what went wrong.
fn bounds(kind: FaultKind) -> (Duration, Duration) {
    let ms = Duration::from_millis;
    match kind {
        FaultKind::SinkUnavailable => (ms(50), ms(5_000)),
        FaultKind::SourceUnavailable | FaultKind::SourceProtocol => (ms(200), ms(10_000)),
        _ => (ms(500), ms(30_000)),
    }
}

/// Counts tries and says how long to wait.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
    seed: u64,
}

impl Backoff {
    /// The pause before the next try: doubled each time up to the cap, of which a random half.
    pub(crate) fn next(&mut self, kind: FaultKind) -> Duration {
        let (first, longest) = bounds(kind);
        let full = first.saturating_mul(1 << self.tries.min(16)).min(longest);
        self.tries += 1;
        full / 2 + full.mul_f64(self.random() / 2.0)
    }

    /// Things work again.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }

    /// In [0, 1): xorshift64, started from the address space so that replicas differ.
    fn random(&mut self) -> f64 {
        if self.seed == 0 {
            let here: *const Self = self;
            self.seed = (here as u64) ^ u64::from(std::process::id()).rotate_left(32) | 1;
        }
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_start_again() {
        let mut b = Backoff::default();
        let pauses: Vec<_> = (0..20).map(|_| b.next(FaultKind::SinkUnavailable)).collect();
        assert!(pauses.iter().all(|p| *p <= Duration::from_secs(5)));
        assert!(
            pauses.first() < pauses.get(4) && pauses.get(19) >= Some(&Duration::from_millis(2500))
        );
        b.reset();
        assert!(b.next(FaultKind::SinkUnavailable) <= Duration::from_millis(50));
    }
}
