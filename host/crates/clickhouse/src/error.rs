//! What went wrong at the server, and what is done about it: one table of codes.

use std::fmt;

use wasmgate_model::{Fault, FaultKind};

/// What an error means for the insert that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The same bytes again, after a pause.
    Retry,
    /// As `Retry`, with more time between inserts: the server cannot merge as fast as we write.
    RetryLarger,
    /// The table is not what it was: look at it again.
    Refresh,
    /// Some row is refused: find it.
    FindRow,
    /// Somebody has to do something.
    Halt,
}

/// An error of the server, the network or a time limit.
#[derive(Debug)]
pub(crate) struct ServerError {
    /// The exception's code; `None`: there was no answer.
    pub(crate) code: Option<u32>,
    pub(crate) message: String,
}

/// (codes, what to do, what to tell).
const CODES: &[(&[u32], Act, &str)] = &[
    (&[252], Act::RetryLarger, "too many parts; inserts are spaced out"),
    (&[241], Act::Retry, "the server is at its memory limit"),
    (&[242, 164], Act::Retry, "the table is read-only for now"),
    // overload, time limits, connections between servers, Keeper, quorum
    (
        &[
            3, 159, 201, 202, 203, 209, 210, 225, 236, 243, 244, 254, 279, 285, 286, 287, 298, 305,
            306, 319, 364, 373, 389, 394, 396, 415, 425, 439, 473, 492, 519, 574, 636, 668, 691,
            692, 700, 722, 999,
        ],
        Act::Retry,
        "the server is busy or parts of it are away",
    ),
    (&[60, 218], Act::Refresh, "the table is not there"),
    (&[8, 9, 10, 16, 20, 47, 53, 70, 122], Act::Refresh, "the table's columns are others"),
    (
        &[6, 26, 27, 38, 41, 69, 72, 117, 131, 321, 349, 407, 441, 469, 675, 676],
        Act::FindRow,
        "the server refuses a value",
    ),
    (&[81], Act::Halt, "create the database, or correct `database`"),
    (&[115], Act::Halt, "the server does not know this setting; take it out of `settings`"),
    (
        &[192, 193, 194, 195, 196, 497, 515, 516, 531, 746],
        Act::Halt,
        "check user, password or token and the rights on the table",
    ),
    (&[524], Act::Halt, "a key column cannot be altered; make a new table"),
];

impl ServerError {
    /// No answer.
    pub(crate) fn unreachable(message: String) -> Self {
        Self { code: None, message }
    }

    /// From the text of an answer. New servers write `Code: 60. DB::Exception: ...`, old ones
    /// `Code: 60, e.displayText() = ...`.
    pub(crate) fn answered(text: &str) -> Self {
        let digits = text.split_once("Code: ").map_or("", |(_, rest)| rest);
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        let mut message: String = text.chars().take(400).collect();
        // Values of rows may stand in what the server quotes of the data.
        for quote in ["Column values", ": While executing", ": (at row"] {
            if let Some(at) = message.find(quote) {
                message.truncate(at);
                message.extend(exception_name(text).map(|name| format!(" ({name})")));
            }
        }
        Self { code: Some(digits.parse().unwrap_or(0)), message }
    }

    /// What is told of a row's refusal: the exception's name and a constraint's, never what the
    /// server quotes of the row.
    pub(crate) fn name(&self) -> String {
        let name = exception_name(&self.message).unwrap_or("an exception");
        let quoted = self.message.split_once("Constraint `").and_then(|(_, r)| r.split_once('`'));
        match quoted {
            Some((constraint, _)) => format!("{name}, constraint `{constraint}`"),
            None => name.to_owned(),
        }
    }

    fn entry(&self) -> Option<&'static (&'static [u32], Act, &'static str)> {
        let code = self.code?;
        CODES.iter().find(|(codes, _, _)| codes.contains(&code))
    }

    /// What is done about it.
    pub(crate) fn act(&self) -> Act {
        match self.code {
            None => Act::Retry,
            // An answer without a code: a proxy, or a server on its way down.
            Some(0) => Act::Retry,
            Some(_) => self.entry().map_or(Act::Halt, |(_, act, _)| *act),
        }
    }

    /// The fault that it is for the pipeline.
    pub(crate) fn fault(self, what: impl Into<String>) -> Fault {
        let hint = self.entry().map(|(_, _, hint)| *hint);
        let what = what.into();
        let what = hint.map_or(what.clone(), |hint| format!("{what}; {hint}"));
        let kind = match self.act() {
            Act::Retry | Act::RetryLarger => FaultKind::SinkUnavailable,
            Act::Refresh | Act::FindRow | Act::Halt => FaultKind::SinkRefused,
        };
        Fault::new(kind, what).because(self)
    }
}

/// `VIOLATED_CONSTRAINT` in an exception's text.
fn exception_name(text: &str) -> Option<&str> {
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(['(', ')']).find(|name| name.len() > 3 && name.chars().all(upper))
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.trim_end())
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_judged() {
        for (text, code, act) in [
            ("Code: 252. DB::Exception: Too many parts (TOO_MANY_PARTS)", 252, Act::RetryLarger),
            ("Code: 241. DB::Exception: Memory limit", 241, Act::Retry),
            ("Code: 60, e.displayText() = DB::Exception: Table", 60, Act::Refresh),
            ("Code: 16. DB::Exception: No such column", 16, Act::Refresh),
            ("Code: 117. DB::Exception: Incorrect data", 117, Act::FindRow),
            ("Code: 115. DB::Exception: Unknown setting x", 115, Act::Halt),
            ("Code: 516. DB::Exception: Authentication failed", 516, Act::Halt),
            ("Code: 4711. DB::Exception: never seen", 4711, Act::Halt),
            ("<html>502 Bad Gateway</html>", 0, Act::Retry),
        ] {
            let error = ServerError::answered(text);
            assert_eq!((error.code, error.act()), (Some(code), act), "{text}");
        }
        assert_eq!(ServerError::unreachable("refused".into()).act(), Act::Retry);
    }

    #[test]
    fn what_the_server_quotes_of_rows_is_not_kept() {
        let text = "Code: 27. DB::Exception: Cannot parse: (at row 1)\nRow 1: secret";
        assert!(!ServerError::answered(text).message.contains("secret"));
    }
}
