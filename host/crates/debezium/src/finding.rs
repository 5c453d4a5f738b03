//! What became of a property.

/// The answer for one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Honoured,
    /// It has no meaning here, and the records are the same without it.
    Ignored,
    /// It asks for something that this version does not do.
    Unsupported {
        /// The records would not be what the connector asks for: an error.
        changes_data: bool,
    },
    /// Neither Debezium nor Kafka Connect has it, as far as is known here.
    Unknown,
    /// Its value is none of those allowed: an error.
    Wrong,
}

impl Verdict {
    /// The word for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Ignored => "ignored",
            Self::Unsupported { .. } => "unsupported",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
        }
    }

    /// Whether the connector cannot run like that.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(self, Self::Unsupported { changes_data: true } | Self::Wrong)
    }
}

/// One property and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name as it is written; for one that is missing, the name it should have.
    pub property: String,
    /// Which of the properties it is; `None` for one that is missing.
    pub index: Option<usize>,
    pub verdict: Verdict,
    /// How it is honoured, why it is ignored, or what is wrong.
    pub text: String,
    /// What to do.
    pub help: Option<String>,
}
