//! What the server says when it refuses, and what to do about it. One table by SQLSTATE
//! (PostgreSQL manual, appendix A); the statement that helps stands in the message.

use std::fmt;

use wasmgate_model::{Fault, FaultKind};

use crate::wire_format::TEXT_ONLY;

/// An ErrorResponse of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// SQLSTATE.
    pub code: String,
    pub message: String,
    pub detail: String,
    /// The server hangs up after it.
    pub fatal: bool,
}

impl ServerError {
    /// Reads the body of an ErrorResponse: (letter, text, 0) until a 0.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut error = Self::default();
        for field in body.split(|b| *b == 0) {
            let Some((letter, text)) = field.split_first() else { break };
            let text = || String::from_utf8_lossy(text).into_owned();
            match letter {
                b'C' => error.code = text(),
                b'M' => error.message = text(),
                b'D' => error.detail = text(),
                // the severity that is never translated
                b'V' => error.fatal = matches!(text().as_str(), "FATAL" | "PANIC"),
                _ => {}
            }
        }
        error
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server says: {} (SQLSTATE {})", self.message, self.code)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ", {}", self.detail) }
    }
}

impl std::error::Error for ServerError {}

/// Who asked for what: the words that go into advice.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub user: String,
    pub database: String,
    pub slot: String,
}

impl Who {
    /// The fault for an error of the server while `doing` something.
    pub(crate) fn fault(&self, doing: &str, error: ServerError) -> Fault {
        let Self { user, database, slot } = self;
        let (kind, advice) = match error.code.as_str() {
            "28P01" => (
                FaultKind::SourceRefused,
                format!("the password of user \"{user}\" is wrong; correct `password`"),
            ),
            "28000" => (
                FaultKind::SourceRefused,
                format!(
                    "user \"{user}\" is not let into database \"{database}\"; correct `user` and \
                     `sslmode`, or add a line for it to the server's pg_hba.conf"
                ),
            ),
            "3D000" => (
                FaultKind::SourceRefused,
                format!("database \"{database}\" does not exist; correct `database`"),
            ),
            // The words changed with version 16.
            "42501"
                if ["replication", "walsender", "WAL sender"]
                    .iter()
                    .any(|word| error.message.contains(word)) =>
            {
                (
                    FaultKind::SourceRefused,
                    format!(
                        "user \"{user}\" may not replicate; run: ALTER ROLE \"{user}\" REPLICATION"
                    ),
                )
            }
            "42501" => {
                (FaultKind::SourceRefused, format!("user \"{user}\" lacks a privilege; grant it"))
            }
            "53400" => (FaultKind::SourceRefused, NO_SLOT.into()),
            "55000" if error.message.contains("max_replication_slots") => {
                (FaultKind::SourceRefused, NO_SLOT.into())
            }
            "55006" => (
                FaultKind::SourceUnavailable,
                format!(
                    "slot \"{slot}\" is held by another reader; stop that one, or give this \
                     pipeline a slot of its own"
                ),
            ),
            "55000" if error.message.contains("wal_level") => {
                (FaultKind::SourceRefused, WAL_LEVEL.into())
            }
            "55000" if invalidated(&error.message) => (FaultKind::SourceLost, lost_advice(slot)),
            "42704" if error.message.contains("replication slot") => {
                (FaultKind::SourceLost, lost_advice(slot))
            }
            code if not_in_binary(doing, code, &error.message) => {
                let what = format!("{doing}: values will come as text");
                let fault = Fault::new(FaultKind::SourceUnavailable, what).coded(TEXT_ONLY);
                return fault.because(error);
            }
            code if transient(code) => (
                FaultKind::SourceUnavailable,
                "the server cannot serve us now; it is tried again".into(),
            ),
            _ => (FaultKind::SourceRefused, "the server refuses".into()),
        };
        Fault::new(kind, format!("{doing}: {advice}")).because(error)
    }
}

/// What to do where the server has no slot for us.
const NO_SLOT: &str = "no replication slot is free; drop an unused one with SELECT \
     pg_drop_replication_slot('NAME') (see pg_replication_slots), or raise \
     max_replication_slots and restart the server";

/// Whether the server gave up on a slot; the words changed with versions 16, 17 and 18.
fn invalidated(message: &str) -> bool {
    message.contains("from logical replication slot") || message.contains("can no longer")
}

/// What to do where logical decoding is off.
pub(crate) const WAL_LEVEL: &str = "logical decoding needs wal_level = logical; run: ALTER SYSTEM \
     SET wal_level = 'logical' and restart the server";

/// What to do where our place in the log is gone.
pub(crate) fn lost_advice(slot: &str) -> String {
    format!(
        "slot \"{slot}\" no longer has the changes after the checkpoint, so some would be missing; \
         set `snapshot: when_needed` to read the tables again, or remove the pipeline's checkpoint"
    )
}

/// What ends a stream.
pub(crate) const STREAM: &str = "the stream was ended by the server";

/// Whether the server cannot send a type in binary, or knows no such option, as relatives of
/// Postgres. Of the stream no other function can be missing; words may be in any language.
fn not_in_binary(doing: &str, code: &str, message: &str) -> bool {
    (code == "42883" && (doing == STREAM || message.contains("no binary output function")))
        || message.contains("unrecognized pgoutput option: binary")
}

/// Classes 08 (connection), 53 (resources), 57P (shutdown, start-up), 58 (system) and 40
/// (serialisation) pass by themselves.
fn transient(code: &str) -> bool {
    ["08", "53", "57P", "58", "40", "XX"].iter().any(|class| code.starts_with(class))
}

/// The connection broke.
pub(crate) fn unavailable(what: impl Into<String>, cause: std::io::Error) -> Fault {
    Fault::new(FaultKind::SourceUnavailable, what).because(cause)
}

/// The server sent what the protocol does not allow.
pub(crate) fn protocol(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::SourceProtocol, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_in_binary_is_asked_for_as_text() {
        let who = Who { user: "u".into(), database: "d".into(), slot: "s".into() };
        let refused = FaultKind::SourceRefused.label();
        for (doing, state, message, code) in [
            (STREAM, "42883", "keine binäre Ausgabefunktion verfügbar für Typ isbn", TEXT_ONLY),
            ("a", "42883", "no binary output function available for type isbn", TEXT_ONLY),
            ("a", "42883", "function f() does not exist", refused),
            ("a", "0A000", "unrecognized pgoutput option: binary", TEXT_ONLY),
            (STREAM, "0A000", "unrecognized pgoutput option: messages", refused),
        ] {
            let (code_of, message) = (state.into(), message.to_owned());
            let error = ServerError { code: code_of, message, ..ServerError::default() };
            let shown = error.to_string();
            assert_eq!(who.fault(doing, error).code(), code, "{doing}: {shown}");
        }
    }
}
