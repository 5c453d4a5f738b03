//! Why a value does not fit its column: what a dead letter says. Never the value itself.

/// A value that has no place in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// NULL, and the column is not Nullable.
    Null,
    /// The source did not send the value, and a whole row is wanted.
    Absent,
    OutOfRange,
    /// More digits than the column keeps.
    TooFine,
    TooLong,
    NotNumber,
    NotUuid,
    NotAddress,
    NotLabel,
    NotObject,
    NotArray,
    /// An array or map that holds something else than its type says.
    Inner(&'static str),
    /// The kind of value has no form in the type.
    Kind,
}

impl Reason {
    /// A short stable word: the dead letter's code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Null => "null-not-allowed",
            Self::Absent => "value-not-sent",
            Self::OutOfRange => "out-of-range",
            Self::TooFine => "too-precise",
            Self::TooLong => "too-long",
            Self::Kind => "wrong-kind",
            _ => "bad-value",
        }
    }

    /// What was found, and what can be done.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Null => "is NULL, and the column is not Nullable",
            Self::Absent => {
                "was not sent by the source (an unchanged large value); set REPLICA IDENTITY FULL \
                 on the table, or use a CoalescingMergeTree"
            }
            Self::OutOfRange => "is out of the column's range",
            Self::TooFine => "has more digits than the column keeps",
            Self::TooLong => "is longer than the column",
            Self::NotNumber => "is not a finite number",
            Self::NotUuid => "is not a UUID",
            Self::NotAddress => "is not an address of this family",
            Self::NotLabel => "is none of the Enum's labels; add it with ALTER TABLE",
            Self::NotObject => "is not a JSON object",
            Self::NotArray => "is not a JSON array",
            Self::Inner(found) => found,
            Self::Kind => "has no form in this type",
        }
    }
}

/// A row of the block whose value does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit {
    /// Number in the block.
    pub row: u32,
    pub reason: Reason,
}
