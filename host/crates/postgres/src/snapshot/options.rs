//! How existing rows are read.

/// How rows that are read while the stream runs are set against its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watermarks {
    /// By logical messages of ours in the log: no table and no privilege is needed.
    #[default]
    Message,
    /// By the places of the log alone: nothing is written, as a standby and a reader without the
    /// right to write need it. A quiet server may let it wait for its next change.
    ReadOnly,
    /// By rows of the signal table, one when a chunk is begun and one when it is read; they are
    /// records of that table (Debezium's `insert_insert`).
    InsertInsert,
    /// As [`Watermarks::InsertInsert`], and the first row is deleted instead of a second one.
    InsertDelete,
}

/// How existing rows are read. Of one table ranges are copied at the same time, with one thread a
/// table is copied in the order of its pages.
pub type Snapshots = wasmgate_replication::Snapshots<Watermarks>;
