//! Which version of pgoutput's protocol a server is asked for, and with which options.
//!
//! | what | version of the protocol | server |
//! |---|---|---|
//! | transactions when they commit | 1 | all |
//! | large ones while they run | 2 | 14 |
//! | prepared ones | 3 | 15 |
//! | aborts with their place | 4 | 16 |
//!
//! Values come in binary in every version, where [`crate::wire_format`] says so.

use postgres_protocol::escape::escape_literal;
use wasmgate_model::{Fault, FaultKind, Position};

use crate::catalog::quote;
use crate::lsn::Lsn;
use crate::settings::Settings;
use crate::streaming::{InProgress, Origins, Streaming};

/// Versions of the server that brought something.
const TWO_PHASE: u32 = 150_000;
const PARALLEL: u32 = 160_000;
const ORIGINS: u32 = 160_000;

/// What the server is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    version: u8,
    options: Vec<&'static str>,
}

impl Protocol {
    /// The newest that settings and server agree on.
    ///
    /// # Errors
    /// The server is too old for what is asked.
    pub(crate) fn choose(streaming: &Streaming, server: u32, binary: bool) -> Result<Self, Fault> {
        if streaming.two_phase && server < TWO_PHASE {
            let what = "`stream.two_phase` needs PostgreSQL 15; leave it out, and prepared \
                        transactions are read when they commit";
            return Err(Fault::new(FaultKind::SourceRefused, what));
        }
        let parallel = streaming.in_progress == InProgress::Parallel && server >= PARALLEL;
        let (mut version, mut options) = (1, Vec::new());
        if streaming.in_progress != InProgress::Off {
            version = 2;
            options.push(if parallel { "streaming 'parallel'" } else { "streaming 'on'" });
        }
        if streaming.two_phase {
            version = 3;
            options.push("two_phase 'on'");
        }
        if parallel {
            version = 4;
        }
        if binary {
            options.push("binary 'on'");
        }
        if !streaming.messages.off {
            options.push("messages 'on'");
        }
        // Older servers send them, and the stream leaves them out.
        if streaming.origins == Origins::None && server >= ORIGINS {
            options.push("origin 'none'");
        }
        Ok(Self { version, options })
    }

    /// The command that starts the stream at a place.
    pub(crate) fn start(&self, settings: &Settings, at: Position) -> String {
        let slot = quote(&settings.slot);
        let publication = escape_literal(&quote(&settings.publication));
        // The server goes on where the slot is confirmed, or behind that where it is asked to. What
        // is prepared lies before the checkpoint and after the confirmed place.
        let place = if settings.stream.two_phase { Lsn(0) } else { Lsn(at.major) };
        let version = self.version;
        let mut command = format!(
            "START_REPLICATION SLOT {slot} LOGICAL {place} (proto_version '{version}', \
             publication_names {publication}"
        );
        for option in &self.options {
            command.push_str(", ");
            command.push_str(option);
        }
        command.push(')');
        command
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::streaming::Messages;

    #[test]
    fn the_version_follows_server_and_settings() {
        use InProgress::{Off, On, Parallel};
        // (server, in progress, two phases and binary, origin none) → what stands in the command
        let cases = [
            (140_000, Off, false, false, "proto_version '1'|"),
            (140_000, On, false, true, "proto_version '2'|streaming 'on'"),
            (
                150_000,
                Parallel,
                true,
                true,
                "proto_version '3'|streaming 'on', two_phase 'on', binary 'on'",
            ),
            (160_000, Off, true, false, "proto_version '3'|two_phase 'on', binary 'on'"),
            (
                160_000,
                Parallel,
                false,
                true,
                "proto_version '4'|streaming 'parallel', origin 'none'",
            ),
            (
                180_000,
                Parallel,
                true,
                false,
                "proto_version '4'|streaming 'parallel', two_phase 'on', binary 'on'",
            ),
        ];
        for (server, in_progress, two_phase, none, want) in cases {
            let origins = if none { Origins::None } else { Origins::Any };
            let messages = Messages { off: true, ..Messages::default() };
            let streaming =
                Streaming { in_progress, two_phase, origins, messages, ..Streaming::default() };
            let protocol = Protocol::choose(&streaming, server, two_phase).unwrap();
            let settings = Settings { stream: streaming, ..Settings::default() };
            let command = protocol.start(&settings, Position::new(1 << 32, 5));
            let (version, options) = want.split_once('|').unwrap();
            let place = if two_phase { " 0/0 " } else { " 1/0 " };
            assert!(command.contains(place), "{command}");
            assert!(command.contains(version), "{command}");
            let tail = if options.is_empty() { ")".into() } else { format!(", {options})") };
            assert!(command.ends_with(&tail), "{command}");
        }
        let old = Streaming { two_phase: true, ..Streaming::default() };
        assert!(Protocol::choose(&old, 140_000, false).is_err());
    }
}
