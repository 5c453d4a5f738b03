//! What became of a row: emitted unless it stands in the batch's rejects.

use std::sync::Arc;

/// Why a row is dead-lettered, and where that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterCause {
    /// `decode`, `convert`, `quarantine`, the name of a stage, `encode` or `sink`.
    pub stage: Arc<str>,
    /// A short stable word ("missing-field"): a metric label.
    pub code: Arc<str>,
    /// For people.
    pub message: String,
    /// Module name, version and sha256 (hex), where a module decided.
    pub module: Option<Arc<(String, String, String)>>,
}

/// What a stage decided about a row that does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Dropped on purpose by a stage; counted by stage.
    Drop {
        stage: Arc<str>,
    },
    DeadLetter(Box<DeadLetterCause>),
}

/// A row that left the chain. `row` is its number in the batch's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub row: u32,
    pub verdict: Verdict,
}

/// Fields to leave out of one row when it is written. `row` is its number in the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    pub row: u32,
    /// Field names, or `$key.NAME`.
    pub fields: Vec<String>,
}
