//! Policies: what becomes of a record that failed (WIT world `dead-letter-policy`).

use std::sync::Arc;

use wasmgate_model::{Fault, Op};

use crate::stage::ModuleIdentity;

/// One failed record (WIT `policy.failure`).
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// `decode`, `convert`, the name of a stage, `encode` or `sink`.
    pub stage: String,
    pub code: String,
    pub message: String,
    /// 1 for the first failure of this record.
    pub attempt: u32,
    /// Time since the record's first failure.
    pub age_ms: u64,
    pub topic: String,
    pub partition: i32,
    pub op: Op,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// What becomes of it (WIT `policy.decision`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Try again after so many milliseconds.
    Retry(u32),
    /// Keep it, in the named dead-letter topic or the default one.
    DeadLetter(Option<String>),
    Drop,
    /// Stop the pipeline before this record is acknowledged.
    Halt,
}

/// An open policy instance.
pub trait Policy: Send {
    /// One decision per failure.
    ///
    /// # Errors
    /// The module failed; the pipeline then dead-letters to the default place.
    fn decide(&mut self, failures: &[Failure]) -> Result<Vec<Decision>, Fault>;
}

/// One version of a policy module.
pub trait PolicyModule: Send + Sync {
    /// Who it is.
    fn identity(&self) -> &Arc<ModuleIdentity>;

    /// Opens an instance with a configuration (JSON).
    ///
    /// # Errors
    /// The module refuses the configuration, or fails.
    fn open(&self, config: &str) -> Result<Box<dyn Policy>, Fault>;
}
