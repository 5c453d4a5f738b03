//! A delivery: a contiguous piece of one source partition, the unit that settles.

use std::fmt;
use std::sync::Arc;

use crate::batch::Batch;

/// A source partition: the unit of order. `postgres`, `orders-3` (a Kafka topic and partition),
/// a file's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub Arc<str>);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a partition, totally ordered. What the halves mean is the source's: Postgres
/// (commit LSN, number of the change in its transaction), Kafka (offset, 0), a file (byte, 0),
/// MySQL (binlog file and offset, row).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position {
    pub major: u64,
    pub minor: u64,
}

impl Position {
    /// A position by its halves.
    #[must_use]
    pub fn new(major: u64, minor: u64) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.major, self.minor)
    }
}

/// Records of `partition` in (`from`, `to`]. Deliveries of a partition follow each other without
/// a gap. Rows of the batches interleave: a sink that keeps order across topics merges by position.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub partition: Partition,
    pub from: Position,
    pub to: Position,
    /// What else the source needs to resume after `to` (snapshot progress, a GTID set): opaque.
    pub state: Option<Arc<[u8]>>,
    pub batches: Vec<Batch>,
}

impl Delivery {
    /// How many records came in.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(Batch::len).sum()
    }

    /// Bytes of payload held.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.batches.iter().map(Batch::weight).sum()
    }
}
