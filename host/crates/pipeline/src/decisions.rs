//! What a policy may ask for: tries and pauses within bounds, so that one record never holds a
//! lane for good, and dead-letter topics that can be topics.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wasmgate_connector::Decision;
use wasmgate_model::DeadLetterCause;

/// A record that was tried so often is a dead letter, whatever the policy says.
pub(crate) const ATTEMPTS_MAX: u32 = 1_000;
/// So is one whose first failure is that old.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(3_600);
/// The least pause before a second try; it doubles with each try up to [`FLOOR_MAX`].
const FLOOR: Duration = Duration::from_millis(1);
const FLOOR_MAX: Duration = Duration::from_millis(100);
/// From this try on the status says so.
const SHOWN_FROM: u32 = 10;
/// Least time between two lines of the log about it.
const LOG_SPACING: Duration = Duration::from_secs(60);

/// Bytes of a topic's name, as Kafka has it.
const TOPIC_BYTES_MAX: usize = 249;

/// Whether a text can be the name of a topic.
pub(crate) fn fits_topic(topic: &str) -> bool {
    (1..=TOPIC_BYTES_MAX).contains(&topic.len()) && !topic.contains(char::is_control)
}

/// Holds a decision about a record to the bounds. Where it goes another way than the policy
/// asked, the reason says so.
pub(crate) fn hold(
    decision: &mut Decision,
    cause: &mut DeadLetterCause,
    attempt: u32,
    age: Duration,
) {
    match decision {
        Decision::Retry(_) if attempt >= ATTEMPTS_MAX || age >= AGE_MAX => {
            give_up(decision, cause, "was tried as often or as long as a record may be");
        }
        Decision::DeadLetter(topic) => {
            if let Some(wrong) = topic.take_if(|topic| !fits_topic(topic)) {
                note(
                    cause,
                    &format!(
                        "the policy's dead-letter topic has {} bytes, expected 1 to \
                         {TOPIC_BYTES_MAX} without control characters",
                        wrong.len()
                    ),
                );
            }
        }
        _ => {}
    }
}

/// A record that the policy would try again becomes a dead letter.
pub(crate) fn give_up(decision: &mut Decision, cause: &mut DeadLetterCause, why: &str) {
    note(cause, &format!("the policy asked for another try, but it {why}"));
    *decision = Decision::DeadLetter(None);
}

/// Adds to a reason why it ended otherwise than the policy asked.
pub(crate) fn note(cause: &mut DeadLetterCause, what: &str) {
    cause.message = format!("{} ({what})", cause.message);
}

/// The pause before the next try of records that failed `attempt` times.
pub(crate) fn pause(asked_ms: u32, attempt: u32, age: Duration) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let floor = FLOOR.saturating_mul(1 << doublings).min(FLOOR_MAX);
    let asked = Duration::from_millis(u64::from(asked_ms));
    asked.max(floor).min(AGE_MAX.saturating_sub(age)).max(FLOOR)
}

/// Tells operators about records that are tried again and again.
#[derive(Debug, Default)]
pub(crate) struct Again(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// Shown until whoever showed it is done.
    reason: Option<String>,
    logged: Option<Instant>,
}

impl Again {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records failed `attempt` times and will be tried again.
    pub(crate) fn tell(&self, attempt: u32, cause: &DeadLetterCause) {
        if attempt < SHOWN_FROM {
            return;
        }
        let reason = format!(
            "the policy tries records again: {attempt} tries so far, of {ATTEMPTS_MAX} at most; \
             stage {}, code {}",
            cause.stage, cause.code
        );
        let mut told = self.lock();
        if told.logged.is_none_or(|at| at.elapsed() >= LOG_SPACING) {
            tracing::warn!(reason);
            told.logged = Some(Instant::now());
        }
        told.reason = Some(reason);
    }

    /// They are through, one way or another.
    pub(crate) fn done(&self) {
        self.lock().reason = None;
    }

    /// What the status says.
    pub(crate) fn reason(&self) -> Option<String> {
        self.lock().reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Counts lines.
    struct Lines(Arc<AtomicUsize>);

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_thousand_tries_are_shown_and_logged_once() {
        let (again, lines) = (Again::default(), Arc::<AtomicUsize>::default());
        tracing::subscriber::with_default(Lines(Arc::clone(&lines)), || {
            (1..SHOWN_FROM).for_each(|attempt| again.tell(attempt, &cause()));
            assert_eq!((again.reason(), lines.load(Ordering::SeqCst)), (None, 0));
            (SHOWN_FROM..=ATTEMPTS_MAX).for_each(|attempt| again.tell(attempt, &cause()));
        });
        assert_eq!(lines.load(Ordering::SeqCst), 1);
        assert!(again.reason().is_some_and(|reason| reason.contains("1000 tries so far")));
        again.done();
        assert_eq!(again.reason(), None);
    }

    fn cause() -> DeadLetterCause {
        let (stage, code) = ("s".into(), "c".into());
        DeadLetterCause { stage, code, message: "m".into(), module: None }
    }

    #[test]
    fn a_policy_is_held_to_the_bounds() {
        let (dead, hour) = (Decision::DeadLetter, AGE_MAX);
        let own = || Some("own".to_owned());
        let cases = [
            (Decision::Retry(0), 999, Duration::ZERO, Decision::Retry(0), ""),
            (Decision::Retry(0), 1_000, Duration::ZERO, dead(None), "another try"),
            (Decision::Retry(9), 1, hour, dead(None), "another try"),
            (dead(own()), 1, hour, dead(own()), ""),
            (dead(Some("t".repeat(250))), 1, hour, dead(None), "has 250 bytes"),
            (dead(Some("a\nb".into())), 1, hour, dead(None), "without control characters"),
            (Decision::Drop, 1_000, hour, Decision::Drop, ""),
        ];
        for (mut decision, attempt, age, want, says) in cases {
            let mut cause = cause();
            hold(&mut decision, &mut cause, attempt, age);
            assert_eq!(decision, want);
            assert!(cause.message.starts_with('m') && cause.message.contains(says), "{cause:?}");
            assert_eq!(says.is_empty(), cause.message == "m", "{cause:?}");
        }
    }

    #[test]
    fn pauses_have_a_floor_that_grows_and_end_with_the_age() {
        let ms = Duration::from_millis;
        let floors: Vec<_> = [1, 2, 3, 8, 1_000].map(|n| pause(0, n, Duration::ZERO)).into();
        assert_eq!(floors, [ms(1), ms(2), ms(4), ms(100), ms(100)]);
        assert_eq!(pause(500, 1, Duration::ZERO), ms(500));
        assert_eq!(pause(u32::MAX, 1, AGE_MAX - ms(7)), ms(7));
    }
}
