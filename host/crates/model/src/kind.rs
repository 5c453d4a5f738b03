//! The kinds a field can be stored and read as (WIT `types.kind`), what a column means beyond
//! its storage ([`Logical`]), and what happened to a record ([`Op`], WIT `types.op`).

/// How a field is stored; the contract's `kind`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Boolean,
    Integer,
    Float,
    Text,
    Bytes,
    /// JSON text.
    Json,
    /// Canonical decimal text, `-12.50`.
    Decimal,
    Uuid,
    /// Microseconds since 1970-01-01T00:00:00Z.
    TimestampUs,
    /// Days since 1970-01-01.
    DateDays,
    /// Microseconds since midnight.
    TimeUs,
}

impl Kind {
    /// The contract's name of the kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::Decimal => "decimal",
            Self::Uuid => "uuid",
            Self::TimestampUs => "timestamp-us",
            Self::DateDays => "date-days",
            Self::TimeUs => "time-us",
        }
    }

    /// Whether a field of this kind can be read as `wanted` without losing anything, so that a
    /// bind may ask for it: the same kind, integer or decimal to float, anything to text or JSON.
    /// (A decimal read as float is the caller's stated wish: rules compare amounts.)
    #[must_use]
    pub fn converts_to(self, wanted: Kind) -> bool {
        self == wanted
            || matches!(wanted, Self::Text | Self::Json)
            || matches!(
                (self, wanted),
                (Self::Integer | Self::Decimal, Self::Float)
                    | (Self::Integer, Self::Decimal)
                    | (Self::Text, Self::Bytes)
                    | (Self::TimestampUs | Self::DateDays | Self::TimeUs, Self::Integer)
            )
    }
}

/// What a column means beyond its storage. It decides how a value is written (the envelope, a
/// typed sink) and never how a module reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Logical {
    /// Nothing beyond the kind.
    #[default]
    Plain,
    /// Integers of 16 or 32 bits (a Debezium int16 or int32); plain integers have 64.
    Bits(u8),
    /// Single precision; stored as f64.
    Float32,
    /// `numeric(p,s)`: precision 0 means without limit (Debezium's VariableScaleDecimal).
    Decimal { precision: u16, scale: i16 },
    /// A timestamp without time zone with this many fraction digits.
    Timestamp { digits: u8 },
    /// An instant with this many fraction digits (`timestamptz`).
    TimestampTz { digits: u8 },
    /// A time of day with this many fraction digits.
    Time { digits: u8 },
    /// `timetz`, kept as text in UTC.
    TimeTz,
    /// A span of time in microseconds.
    Interval,
    /// A document that the source keeps as text: written as a JSON string, as Debezium does.
    JsonText,
    /// Pairs of texts (`hstore`) as a JSON object: written as a JSON string, as Debezium does.
    TextMap,
    /// JSON that stands for itself (structs): written unquoted.
    JsonValue,
    /// A JSON array, written unquoted; what its elements are.
    Array(Kind),
    /// One of these labels, in the server's order.
    Enum(std::sync::Arc<[String]>),
    /// XML text.
    Xml,
    /// A bit string of this length (0: without limit), stored as little-endian bytes.
    BitString(u32),
}

/// How JSON writes a field's values where their type leaves a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Times by their digits, bytes in base64, maps as text.
    #[default]
    Plain,
    /// Milliseconds, whatever the digits (times); Connect's own types in schemas.
    Connect,
    /// Microseconds, whatever the digits (times).
    Micros,
    /// Nanoseconds (times). What 64 bits do not hold becomes the nearest that they do.
    Nanos,
    /// ISO 8601 text in UTC (times, dates).
    Iso,
    /// Base64, as text for schemas too (bytes).
    Base64,
    /// Base64 with the letters of RFC 4648 section 5 (bytes).
    Base64Url,
    /// Hexadecimal digits in lower case (bytes).
    Hex,
    /// An object in place, not as text (maps).
    Object,
}

/// What happened at the source; the contract's `op`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Create,
    Update,
    Delete,
    Snapshot,
    Truncate,
    Message,
    /// A record without an envelope.
    Append,
    /// A record whose value is empty.
    Tombstone,
}

impl Op {
    /// Debezium's letter, where it has one.
    #[must_use]
    pub fn letter(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("c"),
            Self::Update => Some("u"),
            Self::Delete => Some("d"),
            Self::Snapshot => Some("r"),
            Self::Truncate => Some("t"),
            Self::Message => Some("m"),
            Self::Append | Self::Tombstone => None,
        }
    }
}
