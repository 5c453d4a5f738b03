//! Which produced records are not acknowledged yet, counted per request.
//!
//! Each request takes a slot. A record carries (slot, ordinal) through librdkafka as one pointer-
//! sized number, so that an acknowledgement costs one atomic subtraction: no lock, no allocation,
//! no reference count per record. The last one wakes whoever waits for the request.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::{Notify, oneshot};

/// Requests in flight at most; the next one waits.
const SLOTS: u32 = 1024;
/// librdkafka frees a message just after its callback, so a wake-up can come a moment too early:
/// look again after this time at the latest.
const RECHECK: Duration = Duration::from_millis(2);
const _: () = assert!(usize::BITS == 64, "a ticket packs two 32-bit numbers");

/// Records that failed: (ordinal in the request, why).
pub(crate) type Failures = Vec<(u32, Code)>;

/// One request's count.
#[derive(Debug, Default)]
struct Slot {
    /// Records without an answer, and one for the writer until it is through.
    open: AtomicU32,
    failures: Mutex<Failures>,
    done: Mutex<Option<oneshot::Sender<Failures>>>,
}

/// All requests of a producer that are in flight.
#[derive(Debug)]
pub(crate) struct Ledger {
    slots: Vec<Slot>,
    free: Mutex<Vec<u32>>,
    /// A writer waits for room.
    waiting: AtomicBool,
    room: Notify,
}

/// A request that is being written. Every record produced under it must be answered.
#[derive(Debug)]
pub(crate) struct Entry {
    slot: u32,
}

impl Entry {
    /// The number that a record carries.
    pub(crate) fn ticket(&self, ordinal: u32) -> usize {
        (self.slot as usize) << 32 | ordinal as usize
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            free: Mutex::new((0..SLOTS).collect()),
            waiting: AtomicBool::new(false),
            room: Notify::new(),
        }
    }

    /// Opens a request. The receiver resolves when the entry was sealed and every record counted
    /// by [`Ledger::expect`] was answered.
    pub(crate) async fn open(&self) -> (Entry, oneshot::Receiver<Failures>) {
        let slot = loop {
            if let Some(slot) = lock(&self.free).pop() {
                break slot;
            }
            self.wait_for_room().await;
        };
        let (sender, receiver) = oneshot::channel();
        if let Some(held) = self.slots.get(slot as usize) {
            held.open.store(1, Ordering::Relaxed);
            *lock(&held.done) = Some(sender);
        }
        (Entry { slot }, receiver)
    }

    /// Counts a record in, before it is given to librdkafka.
    pub(crate) fn expect(&self, entry: &Entry) {
        if let Some(slot) = self.slots.get(entry.slot as usize) {
            slot.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The answer for one record: from librdkafka, or from the writer for what was not taken.
    pub(crate) fn answer(&self, ticket: usize, failure: Option<Code>) {
        let number = (ticket >> 32) as u32;
        let Some(slot) = self.slots.get(number as usize) else { return };
        if let Some(code) = failure {
            lock(&slot.failures).push((ticket as u32, code));
        }
        self.one_less(number, slot);
        if self.waiting.load(Ordering::Relaxed) {
            self.room.notify_one();
        }
    }

    /// The writer is through with the request.
    pub(crate) fn seal(&self, entry: Entry) {
        if let Some(slot) = self.slots.get(entry.slot as usize) {
            self.one_less(entry.slot, slot);
        }
    }

    /// Waits until librdkafka may have room again.
    pub(crate) async fn wait_for_room(&self) {
        self.waiting.store(true, Ordering::Relaxed);
        let woken = tokio::time::timeout(RECHECK, self.room.notified()).await;
        self.waiting.store(false, Ordering::Relaxed);
        drop(woken);
    }

    fn one_less(&self, number: u32, slot: &Slot) {
        if slot.open.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let failures = std::mem::take(&mut *lock(&slot.failures));
        let done = lock(&slot.done).take();
        lock(&self.free).push(number);
        if let Some(done) = done {
            // Nobody waits any more: the pipeline gave the request up.
            drop(done.send(failures));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_request_is_done_when_sealed_and_answered() {
        let ledger = Ledger::new();
        let (entry, mut done) = ledger.open().await;
        let tickets: Vec<usize> = (0..3).map(|i| entry.ticket(i)).collect();
        for ticket in &tickets {
            ledger.expect(&entry);
            assert_eq!(ticket >> 32, entry.slot as usize);
        }
        ledger.answer(tickets[1], Some(Code::MessageSizeTooLarge));
        ledger.answer(tickets[0], None);
        ledger.seal(entry);
        assert!(done.try_recv().is_err());
        ledger.answer(tickets[2], None);
        assert_eq!(done.await.unwrap(), [(1, Code::MessageSizeTooLarge)]);
    }

    #[tokio::test]
    async fn slots_are_used_again_and_the_next_request_waits_for_one() {
        let ledger = Ledger::new();
        let mut open = Vec::new();
        for _ in 0..SLOTS {
            open.push(ledger.open().await);
        }
        let (entry, done) = open.pop().unwrap();
        let mut next = Box::pin(ledger.open());
        assert!(futures_util::poll!(&mut next).is_pending());
        ledger.seal(entry);
        assert_eq!(done.await.unwrap(), []);
        next.await;
    }
}
