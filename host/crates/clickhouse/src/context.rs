//! What the workers of one sink share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmgate_connector::SinkHealth;
use wasmgate_model::{Fault, FaultKind};

use crate::client::SharedHosts;
use crate::ledger::Ledger;
use crate::settings::SinkSettings;

/// See the module's text.
pub(crate) struct Context {
    pub(crate) settings: Arc<SinkSettings>,
    pub(crate) hosts: SharedHosts,
    pub(crate) ledger: Ledger,
    pub(crate) health: Arc<SinkHealth>,
    /// Inserts at a time.
    pub(crate) slots: Semaphore,
    /// Bytes of rows that are gathered and not sent yet.
    pub(crate) gathered: AtomicUsize,
    pub(crate) server: Server,
    /// Pipeline and number of the sink: part of every token.
    pub(crate) name: String,
    failed: AtomicBool,
    fault: Mutex<Option<(FaultKind, String)>>,
}

/// What is known of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// It knows [`STRICT_TYPES`].
    pub(crate) strict_types: bool,
}

/// With 0 the server refuses a block whose types are not those of the table, where it would
/// convert values otherwise, whatever becomes of them.
pub(crate) const STRICT_TYPES: &str = "input_format_native_allow_types_conversion";

impl Server {
    /// From `25.8.1.1`.
    pub(crate) fn parse(version: &str) -> Self {
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        Self { major, minor, strict_types: false }
    }

    pub(crate) fn is_at_least(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

/// Longest pause before an insert is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The first pause.
const PAUSE: Duration = Duration::from_millis(100);

impl Context {
    pub(crate) fn new(
        settings: Arc<SinkSettings>,
        hosts: SharedHosts,
        ledger: Ledger,
        server: Server,
        name: String,
    ) -> Self {
        Self {
            slots: Semaphore::new(settings.parallel.max(1)),
            settings,
            hosts,
            ledger,
            health: Arc::default(),
            gathered: AtomicUsize::new(0),
            server,
            name,
            failed: AtomicBool::new(false),
            fault: Mutex::default(),
        }
    }

    /// Nothing is accepted any more. The first fault stays.
    pub(crate) fn fail(&self, fault: &Fault) {
        let mut held = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert_with(|| (fault.kind, fault.chain()));
        self.failed.store(true, Ordering::Release);
    }

    /// Why nothing is accepted any more.
    pub(crate) fn fault(&self) -> Option<Fault> {
        if !self.failed.load(Ordering::Acquire) {
            return None;
        }
        let held = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|(kind, message)| Fault::new(*kind, message.clone()))
    }

    /// How long to wait before try number `attempt` (from 1), with jitter out of `seed`.
    pub(crate) fn pause(attempt: u32, seed: u64) -> Duration {
        let longest = PAUSE.saturating_mul(1 << attempt.min(10)).min(PAUSE_MAX);
        let random = seed.wrapping_add(u64::from(attempt)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // Between half and all of it, so that sinks do not come back at the same moment.
        longest / 2 + (longest / 2).mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared() {
        let server = Server::parse("25.8.26.11");
        assert!(server.is_at_least(25, 6) && server.is_at_least(24, 12));
        assert!(!server.is_at_least(25, 9) && !server.is_at_least(26, 0));
        let nothing = Server { major: 0, minor: 0, strict_types: false };
        assert_eq!(Server::parse("nonsense"), nothing);
    }

    #[test]
    fn pauses_grow_and_end() {
        for seed in [0, 7, u64::MAX] {
            let pauses: Vec<_> = (1..20).map(|attempt| Context::pause(attempt, seed)).collect();
            assert!(pauses.iter().all(|p| *p >= PAUSE && *p <= PAUSE_MAX), "{pauses:?}");
            assert!(pauses.last() > pauses.first());
        }
    }
}
