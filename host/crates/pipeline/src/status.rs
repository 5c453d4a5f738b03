//! What a pipeline tells about itself.

use std::sync::atomic::Ordering;

use wasmgate_connector::{Quarantined, TableProgress};

use crate::spec::Then;

/// State of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Starting,
    Running,
    /// By somebody; or by itself over a module, then `reason` says which and why.
    Paused,
    /// Waiting before another try; `reason` says why.
    Retrying,
    /// Stopped by a fault that somebody has to remove; `reason` says which.
    Failed,
    /// The source had an end, and everything is settled.
    Completed,
    Stopped,
}

impl State {
    /// A lowercase word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
        }
    }
}

/// One stage as it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageStatus {
    pub name: String,
    pub version: String,
    pub sha256: String,
    pub breaker: Breaker,
}

/// A stage's breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// The stage is not called: `then` is what happens instead.
    pub open: bool,
    pub then: Then,
    /// Records on which this version failed within the window.
    pub failures: u32,
    pub last_fault: Option<String>,
}

/// What a stage does to one topic's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageFields {
    pub stage: String,
    pub reads: Vec<String>,
    /// Names of kinds; follow `reads`.
    pub read_kinds: Vec<&'static str>,
    pub writes: Vec<String>,
    /// Names of kinds; follow `writes`.
    pub write_kinds: Vec<&'static str>,
    pub removes: Vec<String>,
    /// (name, new name).
    pub renames: Vec<(String, String)>,
}

/// How far the copy of a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStatus {
    pub table: String,
    pub rows: u64,
    /// Rows that the server believes the table has; -1 while unknown.
    pub estimate: i64,
    pub done: bool,
    /// The share that is read, of 100; as good as the estimate.
    pub percent: Option<u8>,
    /// How long the rest takes at the speed so far.
    pub remaining: Option<std::time::Duration>,
}

impl CopyStatus {
    /// The copy as it is now.
    pub(crate) fn of(copy: &TableProgress) -> Self {
        Self {
            table: copy.table.clone(),
            rows: copy.rows.load(Ordering::Relaxed),
            estimate: copy.estimate.load(Ordering::Relaxed),
            done: copy.done.load(Ordering::Relaxed),
            percent: copy.percent().map(|percent| percent as u8),
            remaining: copy.remaining(),
        }
    }
}

/// A snapshot of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineStatus {
    pub name: String,
    pub state: State,
    /// Why it is not simply running.
    pub reason: Option<String>,
    /// The stable word for it, where a fault is the reason.
    pub code: Option<&'static str>,
    /// Kind of the source.
    pub source: &'static str,
    pub sinks: Vec<&'static str>,
    /// What the source is doing.
    pub phase: String,
    pub records_in: u64,
    pub records_out: u64,
    pub dropped: u64,
    pub dead_letters: u64,
    /// Records read and not settled.
    pub in_flight: u64,
    /// Event time to hand-over; -1 while unknown.
    pub lag_ms: i64,
    /// Tables whose rows are, or were last, copied.
    pub copies: Vec<CopyStatus>,
    /// Tables that the source holds back.
    pub quarantined: Vec<Quarantined>,
    /// (partition, settled position).
    pub checkpoint: Vec<(String, String)>,
    pub stages: Vec<StageStatus>,
    /// (topic, what each stage reads and writes of it).
    pub fields: Vec<(String, Vec<StageFields>)>,
    /// (topic, why a module does not fit its schema).
    pub misfits: Vec<(String, String)>,
}
