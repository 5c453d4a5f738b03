//! How a command ends: exit codes by kind of failure (sysexits(3) where it has one).

use std::io::Write as _;
use std::process::ExitCode;

use wasmgate_model::{Fault, FaultKind};
use wasmgate_store::LockError;

/// A command that failed, with the text for standard error.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration: 78, `EX_CONFIG`.
    Config(String),
    /// The data directory is held by another process: 75, `EX_TEMPFAIL`.
    Held(String),
    /// Everything else: 1. (Usage is 2, by clap.)
    Runtime(String),
}

impl Failure {
    /// Prints the text and gives the code.
    pub(crate) fn report(self) -> ExitCode {
        let (code, text) = match self {
            Self::Config(text) => (78, text),
            Self::Held(text) => (75, text),
            Self::Runtime(text) => (1, text),
        };
        // Nobody is left to be told when standard error is closed.
        writeln!(std::io::stderr(), "{text}").map_or(ExitCode::from(1), |()| ExitCode::from(code))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            FaultKind::Config => Self::Config(fault.chain()),
            _ => Self::Runtime(fault.chain()),
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::Held(error.to_string()),
            LockError::Unusable(fault) => Self::Config(format!("data_dir: {}", fault.chain())),
        }
    }
}

/// Prints to standard output.
///
/// # Errors
/// It is closed.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}")
        .map_err(|error| Failure::Runtime(format!("cannot write to standard output: {error}")))
}
