//! Room for so many connections. When there is none left, the connection that has waited longest
//! for a request gives its seat up: whoever opens many and says nothing keeps nobody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// For this long a connection may wait for a request, however many there are.
const IDLE_MIN: Duration = Duration::from_millis(500);
/// For a connection that was told to end, before another look.
const END_PAUSE: Duration = Duration::from_millis(10);

/// All seats.
pub(crate) struct Seats {
    room: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    uses: BTreeMap<u64, Arc<Use>>,
}

/// What the connection on a seat does.
pub(crate) struct Use {
    /// Since when it waits for a request; `None` while it has one.
    idle_since: Mutex<Option<Instant>>,
    wanted: Notify,
}

/// One connection's seat, free again when dropped.
pub(crate) struct Seat {
    number: u64,
    used: Arc<Use>,
    taken: Arc<Mutex<Taken>>,
    _room: OwnedSemaphorePermit,
}

/// A request is being answered.
pub(crate) struct Busy(Arc<Use>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seats {
    pub(crate) fn new(count: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(count)), taken: Arc::default() }
    }

    /// Waits for a seat, and asks for one where none is free.
    pub(crate) async fn take(&self) -> Seat {
        loop {
            if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
                return self.seat(room);
            }
            let pause = self.want();
            tokio::select! {
                Ok(room) = Arc::clone(&self.room).acquire_owned() => return self.seat(room),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn seat(&self, room: OwnedSemaphorePermit) -> Seat {
        let idle_since = Mutex::new(Some(Instant::now()));
        let used = Arc::new(Use { idle_since, wanted: Notify::new() });
        let mut taken = lock(&self.taken);
        let number = taken.next;
        taken.next += 1;
        taken.uses.insert(number, Arc::clone(&used));
        Seat { number, used, taken: Arc::clone(&self.taken), _room: room }
    }

    /// Asks the one who has waited longest to go, if that is long. Says when to ask again.
    fn want(&self) -> Duration {
        let taken = lock(&self.taken);
        let idle = taken.uses.values().filter_map(|used| Some((used.idle_since()?, used)));
        let Some((since, used)) = idle.min_by_key(|(since, _)| *since) else {
            return IDLE_MIN;
        };
        let left = IDLE_MIN.saturating_sub(since.elapsed());
        if left.is_zero() {
            used.wanted.notify_one();
            return END_PAUSE;
        }
        left
    }
}

impl Seat {
    pub(crate) fn use_of(&self) -> Arc<Use> {
        Arc::clone(&self.used)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.taken).uses.remove(&self.number);
    }
}

impl Use {
    fn idle_since(&self) -> Option<Instant> {
        *lock(&self.idle_since)
    }

    /// Resolves when the seat is wanted and no request is being answered.
    pub(crate) async fn wanted(&self) {
        loop {
            self.wanted.notified().await;
            // A request may have come between the question and now.
            if self.idle_since().is_some_and(|since| since.elapsed() >= IDLE_MIN) {
                return;
            }
        }
    }

    /// A request has come.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        *lock(&self.idle_since) = None;
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *lock(&self.0.idle_since) = Some(Instant::now());
    }
}
