//! The bounded queue between the consumer's thread and the pipeline's task. Deliveries count
//! against the bound; what the group says (assigned, revoked) never waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use wasmgate_connector::SourceEvent;
use wasmgate_model::Fault;

/// Deliveries that wait at most: many thin partitions make many small ones.
const DELIVERIES: usize = 256;

/// The queue.
#[derive(Debug)]
pub(super) struct Handover {
    /// Bytes of deliveries that wait at most.
    bytes: usize,
    state: Mutex<State>,
    room: Condvar,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Each with its bytes; 0 for what the group says.
    events: VecDeque<(SourceEvent, usize)>,
    deliveries: usize,
    bytes: usize,
    /// Why nothing is pushed any more; comes after all events.
    fault: Option<Fault>,
}

impl Handover {
    pub(super) fn new(bytes: usize) -> Self {
        let (room, ready) = (Condvar::new(), Notify::new());
        Self { bytes, state: Mutex::default(), room, ready }
    }

    /// Adds an event; `bytes` is 0 for what the group says. Callers look for room before.
    pub(super) fn push(&self, event: SourceEvent, bytes: usize) {
        let mut state = self.state();
        if let SourceEvent::Delivery(_) = event {
            state.deliveries += 1;
        }
        state.bytes += bytes;
        state.events.push_back((event, bytes));
        drop(state);
        self.ready.notify_one();
    }

    /// The consumer's thread has ended; with a fault, or because it was told to.
    pub(super) fn end(&self, fault: Option<Fault>) {
        self.state().fault = fault;
        self.ready.notify_one();
    }

    /// Whether the pipeline has taken everything and waits for more.
    pub(super) fn is_drained(&self) -> bool {
        self.state().deliveries == 0
    }

    /// Waits until another delivery fits, at most `timeout`. Says whether it does.
    pub(super) fn wait_for_room(&self, timeout: Duration) -> bool {
        let state = self.state();
        if !self.is_full(&state) {
            return true;
        }
        let waited = self.room.wait_timeout_while(state, timeout, |state| self.is_full(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !self.is_full(&state)
    }

    /// The next event. Cancel safe. Pends for ever once the thread has ended without a fault and
    /// everything was taken: the pipeline itself has asked for the end.
    pub(super) async fn next(&self) -> Result<SourceEvent, Fault> {
        loop {
            let ready = self.ready.notified();
            if let Some(next) = self.take() {
                return next;
            }
            ready.await;
        }
    }

    fn take(&self) -> Option<Result<SourceEvent, Fault>> {
        let mut state = self.state();
        let Some((event, bytes)) = state.events.pop_front() else {
            return state.fault.take().map(Err);
        };
        state.bytes -= bytes;
        if let SourceEvent::Delivery(_) = event {
            state.deliveries -= 1;
        }
        if !state.events.is_empty() || state.fault.is_some() {
            self.ready.notify_one();
        }
        drop(state);
        self.room.notify_one();
        Some(Ok(event))
    }

    /// A delivery larger than the whole bound passes when it is alone.
    fn is_full(&self, state: &State) -> bool {
        state.deliveries >= DELIVERIES || state.bytes >= self.bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use wasmgate_model::{Delivery, FaultKind, Partition, Position};

    use super::*;

    fn delivery(to: u64) -> SourceEvent {
        SourceEvent::Delivery(Delivery {
            partition: Partition("t-0".into()),
            from: Position::new(to - 1, 0),
            to: Position::new(to, 0),
            state: None,
            batches: Vec::new(),
        })
    }

    #[tokio::test]
    async fn full_by_bytes_until_taken_and_the_fault_comes_last() {
        let handover = Handover::new(100);
        handover.push(delivery(1), 60);
        assert!(handover.wait_for_room(Duration::ZERO) && !handover.is_drained());
        handover.push(delivery(2), 60);
        assert!(!handover.wait_for_room(Duration::ZERO));
        handover.end(Some(Fault::new(FaultKind::SourceUnavailable, "gone")));
        for to in 1..=2 {
            let SourceEvent::Delivery(next) = handover.next().await.unwrap() else {
                panic!("expected a delivery")
            };
            assert_eq!(next.to.major, to);
        }
        assert!(handover.is_drained() && handover.wait_for_room(Duration::ZERO));
        assert_eq!(handover.next().await.unwrap_err().to_string(), "gone");
    }
}
