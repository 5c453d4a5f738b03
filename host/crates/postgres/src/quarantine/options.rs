//! How tables are held back, in plain fields that the host maps its configuration onto.

use std::path::PathBuf;

/// What becomes of the changes of a table while it is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeldEvents {
    /// Each becomes a dead letter.
    #[default]
    DeadLetter,
    /// They are kept on disk, and delivered in order when the table goes on.
    Keep,
}

/// How tables are held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    pub events: HeldEvents,
    /// Bytes of kept changes, of all tables together. Where there is no room the source fails:
    /// nothing that was promised to be kept is dropped.
    pub keep_max: u64,
    /// So many rows of one table in a row that cannot be decoded hold the table back; 0: never.
    pub undecodable_rows: u32,
    /// Where kept changes go; `None`: nothing can be kept.
    pub dir: Option<PathBuf>,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { events: HeldEvents::default(), keep_max: 1 << 30, undecodable_rows: 10, dir: None }
    }
}
