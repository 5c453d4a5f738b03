//! What can be asked of the stream: when transactions are sent, which of them, and what is kept
//! of those that are not decided.

use std::path::PathBuf;

use regex::Regex;

use crate::transactions::Limits;

/// Whether large transactions are sent while they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InProgress {
    /// They are sent when they commit; the server keeps them on its disk until then.
    Off,
    /// They are sent while they run, and kept here until they are decided.
    #[default]
    On,
    /// As [`InProgress::On`]; from version 16 on aborts say where they stand in the log.
    Parallel,
}

/// Transactions that came to the server by replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origins {
    /// They are delivered as all others.
    #[default]
    Any,
    /// They are not: what another capture wrote here does not go round in circles.
    None,
}

/// Which logical messages (`pg_logical_emit_message`) become records.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    /// None of them.
    pub off: bool,
    /// Prefixes, anchored at both ends by whoever makes them; empty: all.
    pub include: Vec<Regex>,
    pub exclude: Vec<Regex>,
}

impl Messages {
    /// Whether messages with this prefix become records.
    pub(crate) fn wants(&self, prefix: &str) -> bool {
        let among = |list: &[Regex]| list.iter().any(|r| r.is_match(prefix));
        !self.off && (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }
}

/// How the stream is read.
#[derive(Debug, Clone)]
pub struct Streaming {
    pub in_progress: InProgress,
    /// Prepared transactions are sent when they are prepared, and kept here until they are
    /// decided. Needs version 15.
    pub two_phase: bool,
    pub origins: Origins,
    pub messages: Messages,
    /// Bounds on what is kept of transactions that are not decided.
    pub limits: Limits,
    /// A directory of this pipeline alone, for what is beyond `limits.memory`. `None`: everything
    /// stays in memory.
    pub dir: Option<PathBuf>,
}

impl Default for Streaming {
    fn default() -> Self {
        Self {
            in_progress: InProgress::default(),
            two_phase: false,
            origins: Origins::default(),
            messages: Messages::default(),
            limits: Limits { memory: 16 << 20, disk: 64 << 30 },
            dir: None,
        }
    }
}
