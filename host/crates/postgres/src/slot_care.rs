//! What can be said about the slot, the publication and the tables' identity: who makes them, who
//! changes them, how much log they may keep. Where Debezium has an option its meaning is kept.

use std::time::Duration;

use regex::Regex;

/// Settings of slot and publication.
#[derive(Debug, Clone)]
pub struct SlotCare {
    pub publication: PublicationMode,
    /// `None`: as it is; a publication that is made has it where a partitioned table is named.
    pub via_partition_root: Option<bool>,
    /// Tables that are published and not wanted are taken out of the publication.
    pub drop_surplus: bool,
    /// The slot is kept on standbys too (PostgreSQL 17), and a fail-over is followed.
    pub failover: bool,
    /// The slot goes when the pipeline stops.
    pub drop_on_stop: bool,
    /// How long a slot may stay with its last reader before the pipeline waits and tries again.
    pub wait: Duration,
    pub mismatch: Mismatch,
    /// Bytes of log that may be kept for us; `None`: what the server allows.
    pub wal_limit: Option<u64>,
    pub on_wal_limit: OnWalLimit,
    /// How often the slot is looked at.
    pub watch_interval: Duration,
    /// Replica identities to set, by `schema.table`; the first that fits.
    pub replica_identity: Vec<(Regex, Identity)>,
}

/// Who cares for the publication; Debezium's `publication.autocreate.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublicationMode {
    /// Made for the wanted tables; those that it lacks are added.
    #[default]
    Filtered,
    /// Made for all tables, also later ones; takes a superuser.
    AllTables,
    /// Made without a table.
    NoTables,
    /// It has to be there, and is not changed.
    Disabled,
}

/// What is done where the slot and our position disagree; Debezium's `offset.mismatch.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mismatch {
    /// Our position counts: a slot that is ahead of it has lost changes, and the pipeline fails.
    #[default]
    TrustOffset,
    /// The slot's position counts: changes are skipped, or come again.
    TrustSlot,
    /// The later of both counts.
    TrustGreater,
    /// Nothing is compared; the server starts at the later of both.
    NoValidation,
}

/// What is done at the limit of kept log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnWalLimit {
    /// A line in the log.
    #[default]
    Warn,
    /// The pipeline fails until somebody resumes it; the slot stays.
    Pause,
    /// The slot is dropped, so that the server lives; the pipeline fails.
    Drop,
}

/// A replica identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Default,
    Full,
    Nothing,
    Index(String),
}

impl Default for SlotCare {
    fn default() -> Self {
        Self {
            publication: PublicationMode::default(),
            via_partition_root: None,
            drop_surplus: false,
            failover: false,
            drop_on_stop: false,
            wait: Duration::from_secs(5),
            mismatch: Mismatch::default(),
            wal_limit: None,
            on_wal_limit: OnWalLimit::default(),
            watch_interval: Duration::from_secs(10),
            replica_identity: Vec::new(),
        }
    }
}
