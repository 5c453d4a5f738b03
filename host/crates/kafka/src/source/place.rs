//! Kafka's places in the model's terms, and where reading starts.
//!
//! The partition of topic `orders`, number 3, is `orders-3`. The position of a record is
//! (offset + 1, 0): what is to be read after it. So a delivery's `from` is its first unread
//! offset, its `to` and the checkpoint are the next offset to read, as Kafka commits it.

use wasmgate_model::{Partition, Position};

use crate::settings::Start;

/// The partition's name.
pub(super) fn partition(topic: &str, number: i32) -> Partition {
    Partition(format!("{topic}-{number}").into())
}

/// The position at which `offset` is the next to be read.
pub(super) fn before(offset: u64) -> Position {
    Position::new(offset, 0)
}

/// The position of the record at `offset`.
pub(super) fn of(offset: u64) -> Position {
    Position::new(offset + 1, 0)
}

/// What the broker holds of a partition: [`low`, `high`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) low: u64,
    pub(super) high: u64,
}

/// Where to start, and whether records were lost or will repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// At this offset.
    At(u64),
    /// At the oldest: retention took what comes before.
    Expired(u64),
    /// At the oldest: the log ends before our place, so it is another log (the topic was made
    /// again) or lost its end.
    Replaced(u64),
}

impl Beginning {
    /// The offset.
    pub(super) fn offset(self) -> u64 {
        let (Self::At(offset) | Self::Expired(offset) | Self::Replaced(offset)) = self;
        offset
    }

    /// Chooses between what the group committed and what the checkpoint says.
    ///
    /// | the larger of those within the log's end | start |
    /// |---|---|
    /// | neither is known | by the setting: oldest or newest |
    /// | neither is within | oldest, *replaced* |
    /// | below the oldest record | oldest, *expired* |
    /// | else | there |
    pub(super) fn choose(places: [Option<u64>; 2], log: Log, start: Start) -> Self {
        let known = places.into_iter().flatten();
        let within = known.clone().filter(|place| *place <= log.high).max();
        match (within, known.count(), start) {
            (Some(place), ..) if place < log.low => Self::Expired(log.low),
            (Some(place), ..) => Self::At(place),
            (None, 0, Start::Earliest) => Self::At(log.low),
            (None, 0, Start::Latest) => Self::At(log.high),
            (None, ..) => Self::Replaced(log.low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings() {
        use Beginning::{At, Expired, Replaced};
        use Start::{Earliest, Latest};
        let log = Log { low: 10, high: 20 };
        let cases = [
            ([None, None], Earliest, At(10)),
            ([None, None], Latest, At(20)),
            ([Some(12), None], Latest, At(12)),
            ([Some(12), Some(15)], Earliest, At(15)),
            ([Some(15), Some(12)], Earliest, At(15)),
            ([Some(20), Some(12)], Earliest, At(20)),
            ([Some(12), Some(99)], Earliest, At(12)),
            ([Some(3), None], Latest, Expired(10)),
            ([Some(99), Some(98)], Latest, Replaced(10)),
        ];
        for (places, start, expected) in cases {
            assert_eq!(Beginning::choose(places, log, start), expected, "{places:?} {start:?}");
        }
    }

    #[test]
    fn the_position_of_a_record_is_what_follows_it() {
        assert_eq!(of(6), before(7));
        assert_eq!(partition("a-b", 3).to_string(), "a-b-3");
    }
}
