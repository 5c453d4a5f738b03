//! Slot, publication and replica identities, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::{Size, Time};

/// Who makes and changes the publication, how the slot is kept, how much log it may keep.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SlotCare {
    /// Who makes and changes the publication (Debezium's `publication.autocreate.mode`). Default
    /// `filtered`.
    pub(crate) publication_mode: PublicationMode,
    /// Changes of partitions go under the name of their partitioned table. An existing publication
    /// is changed to it. Default: an existing publication stays as it is, and a new one has it
    /// where `tables` names a partitioned table.
    pub(crate) publish_via_partition_root: Option<bool>,
    /// Tables that the publication holds and that are not named in `tables` are taken out of it
    /// (under `filtered`). Default false.
    pub(crate) drop_surplus_tables: bool,
    /// The slot is kept on standbys too (`FAILOVER`, PostgreSQL 17 or newer), and after a fail-over
    /// the stream goes on, unless we have read more than the new server has. Default false: a
    /// fail-over is refused.
    pub(crate) failover: bool,
    /// The slot is dropped when the pipeline stops; what changes until the next start is missing
    /// then. For tests, with `snapshot: always`. Default false.
    pub(crate) drop_on_stop: bool,
    /// How long a slot may stay with its last reader before the pipeline goes into `retrying`.
    /// Default `5s`, up to `10m`.
    pub(crate) wait: Time,
    /// What is done where the slot is not where the checkpoint is (Debezium's
    /// `offset.mismatch.strategy`). Default `trust_offset`.
    pub(crate) position_mismatch: Mismatch,
    /// Log that the slot may keep; `0B`: no limit of ours. Default `0B`, else from `1MiB` to
    /// `16384GiB`.
    pub(crate) wal_limit: Size,
    /// What is done at `wal_limit`. Default `warn`.
    pub(crate) on_wal_limit: OnWalLimit,
    /// How often the slot is looked at. Default `10s`, from `100ms` to `1h`.
    pub(crate) watch_interval: Time,
    /// Replica identities to set on tables of `tables`, by a pattern of `schema.table`: `default`,
    /// `full`, `nothing` or `index NAME`. Takes the ownership of the tables. Default none.
    pub(crate) replica_identity: BTreeMap<String, String>,
}

impl Default for SlotCare {
    fn default() -> Self {
        let seconds = |s| Time(std::time::Duration::from_secs(s));
        Self {
            publication_mode: PublicationMode::default(),
            publish_via_partition_root: None,
            drop_surplus_tables: false,
            failover: false,
            drop_on_stop: false,
            wait: seconds(5),
            position_mismatch: Mismatch::default(),
            wal_limit: Size(0),
            on_wal_limit: OnWalLimit::default(),
            watch_interval: seconds(10),
            replica_identity: BTreeMap::new(),
        }
    }
}

/// Who makes and changes the publication.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PublicationMode {
    /// It is made for `tables`, and tables that it lacks are added.
    #[default]
    Filtered,
    /// It is made for all tables, later ones included; takes a superuser.
    AllTables,
    /// It is made without a table.
    NoTables,
    /// It has to be there and is never changed.
    Disabled,
}

/// What is done where slot and checkpoint disagree.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mismatch {
    /// The checkpoint counts: a slot that is ahead of it has lost changes, and the pipeline fails
    /// (`slot-lost`).
    #[default]
    TrustOffset,
    /// The slot counts: changes are skipped, or come again.
    TrustSlot,
    /// The later of both counts: changes may be skipped, none comes again.
    TrustGreaterLsn,
    /// Nothing is compared; the server begins at the later of both.
    NoValidation,
}

/// What is done at the limit of kept log.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnWalLimit {
    /// A line in the log.
    #[default]
    Warn,
    /// The pipeline fails (`wal-limit`) until somebody resumes it; the slot stays.
    Pause,
    /// The slot is dropped and the pipeline fails (`slot-lost`): the server lives on.
    Drop,
}
