//! Commands to a running source: an ad-hoc snapshot, a table that is to be read on. They come from
//! HTTP, from a topic, from wherever the host listens; the source only sees this queue.
//!
//! A source that takes commands asks for the receiver when it is opened and answers each. While
//! nobody holds a receiver, whoever sends is told so at once: no command waits for a source that
//! may never come.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// Commands that wait for the source, at most; more are refused as [`Refusal::Busy`].
const WAITING_MAX: usize = 16;

/// Something a source is asked to do.
#[derive(Debug)]
pub struct SourceCommand {
    /// Who sent it chose it; it comes back in notifications and logs.
    pub id: String,
    /// `execute-snapshot`, `pause-snapshot`, ...: the source's words.
    pub kind: String,
    /// What the kind needs, as JSON text.
    pub data: String,
    /// Told once the command is taken, and will not be forgotten, or why it is not.
    pub answer: oneshot::Sender<Result<(), Refusal>>,
}

/// Why a command is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The source is not open, or was closed meanwhile.
    NotRunning,
    /// The source takes no commands.
    NotSupported,
    /// The data does not fit the kind; what was found and expected.
    Invalid(String),
    /// It does not fit what the source is doing now; why.
    Conflict(String),
    /// Too many wait already.
    Busy,
    /// It was not answered in time, and may still be taken.
    Late,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning => f.write_str("the source is not running"),
            Self::NotSupported => f.write_str("this kind of source takes no commands"),
            Self::Invalid(why) | Self::Conflict(why) => f.write_str(why),
            Self::Busy => f.write_str("too many commands wait already"),
            Self::Late => {
                f.write_str("the source did not answer in time: the command may still be taken")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// The way of commands to the source of one pipeline; outlives the source's being opened again.
#[derive(Debug, Default)]
pub struct Commands {
    open: Mutex<Option<mpsc::Sender<SourceCommand>>>,
}

impl Commands {
    /// For a source that is being opened: from now on commands come here. Dropping the receiver
    /// ends it.
    #[must_use]
    pub fn receive(&self) -> mpsc::Receiver<SourceCommand> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Sends a command and waits for the source's answer.
    ///
    /// # Errors
    /// The source does not take it; see [`Refusal`].
    pub async fn send(&self, id: String, kind: String, data: String) -> Result<(), Refusal> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(sender) = open else { return Err(Refusal::NotSupported) };
        let (answer, answered) = oneshot::channel();
        match sender.try_send(SourceCommand { id, kind, data, answer }) {
            Ok(()) => answered.await.unwrap_or(Err(Refusal::NotRunning)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refusal::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refusal::NotRunning),
        }
    }
}

/// A random identifier in the form of a version 4 UUID, for what nobody gave a name.
///
/// # Errors
/// The system has no random numbers.
pub fn random_id() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    // RFC 9562, 5.4: version in the high half of byte 6, variant in the high bits of byte 8.
    let n = u128::from_be_bytes(bytes);
    let n = n & !(0xf << 76) | (4 << 76);
    let n = n & !(0b11 << 62) | (0b10 << 62);
    let hex = format!("{n:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    Ok(parts.join("-"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    async fn ask(commands: &Commands, kind: &str) -> Result<(), Refusal> {
        commands.send("1".into(), kind.into(), "{}".into()).await
    }

    #[tokio::test]
    async fn every_command_is_answered_whoever_is_there() {
        let commands = Commands::default();
        assert_eq!(ask(&commands, "a").await, Err(Refusal::NotSupported));
        let mut receiver = commands.receive();
        let source = async {
            let first = receiver.recv().await.unwrap();
            first.answer.send(Ok(())).unwrap();
            drop(receiver.recv().await.unwrap());
        };
        let asking = async { (ask(&commands, "a").await, ask(&commands, "b").await) };
        let ((), answers) = tokio::join!(source, asking);
        assert_eq!(answers, (Ok(()), Err(Refusal::NotRunning)), "one that was dropped is told");
        drop(receiver);
        assert_eq!(ask(&commands, "c").await, Err(Refusal::NotRunning));
        // Opened again.
        let receiver = commands.receive();
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| ask(&commands, "d")).collect();
        let mut waiting: Vec<_> = waiting.into_iter().map(Box::pin).collect();
        for one in &mut waiting {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(one.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
        }
        assert_eq!(ask(&commands, "e").await, Err(Refusal::Busy));
        drop(receiver);
    }

    #[test]
    fn identifiers_have_the_form_of_version_4() {
        let (a, b) = (random_id().unwrap(), random_id().unwrap());
        assert_ne!(a, b);
        for id in [a, b] {
            let parts: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(id.chars().nth(14) == Some('4'), "{id}");
            assert!(matches!(id.chars().nth(19), Some('8' | '9' | 'a' | 'b')), "{id}");
        }
    }
}
