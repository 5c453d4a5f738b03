//! What a fake has seen, shared between the fake and the test, and waiting for it to change.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// How long a test waits for a condition before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A log that can be awaited. Clones share it.
#[derive(Debug)]
pub(super) struct Logbook<T>(Arc<watch::Sender<T>>);

impl<T> Clone for Logbook<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Logbook<T> {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(T::default())))
    }
}

impl<T> Logbook<T> {
    /// Changes the log and wakes whoever waits.
    pub(super) fn note<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut result = None;
        self.0.send_modify(|log| result = Some(change(log)));
        match result {
            Some(result) => result,
            None => unreachable!("send_modify calls its closure"),
        }
    }

    /// Looks at the log.
    pub(super) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.0.borrow())
    }

    /// Waits without a limit, for the fakes themselves.
    pub(super) async fn until(&self, condition: impl FnMut(&T) -> bool) {
        // The sender lives as long as `self`, so the wait ends only by its condition.
        drop(self.0.subscribe().wait_for(condition).await);
    }
}

impl<T: Debug> Logbook<T> {
    /// Waits for a test's condition.
    pub(super) async fn wait_until(&self, condition: impl FnMut(&T) -> bool) {
        if tokio::time::timeout(PATIENCE, self.until(condition)).await.is_err() {
            self.look(|log| {
                panic!("the condition did not come true within {PATIENCE:?}: {log:#?}")
            });
        }
    }
}
