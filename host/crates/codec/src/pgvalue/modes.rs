//! How values are written where a type leaves a choice: Debezium's `*.handling.mode` options.

use wasmgate_model::Style;

/// How `numeric` and `money` are written: Debezium's `decimal.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecimalMode {
    /// Connect's Decimal: bytes of the unscaled number.
    #[default]
    Precise,
    /// The server's text.
    String,
    /// A double; digits may be lost.
    Double,
}

/// How dates and times without zone are written: Debezium's `time.precision.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimePrecision {
    /// Milliseconds for columns of at most three fraction digits, else microseconds.
    #[default]
    Adaptive,
    /// Times of day in microseconds, all else as [`TimePrecision::Adaptive`].
    AdaptiveTimeMicroseconds,
    /// Milliseconds, under Connect's own types.
    Connect,
    /// ISO 8601 text.
    IsoString,
    Microseconds,
    Nanoseconds,
}

/// How `bytea` is written: Debezium's `binary.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BinaryMode {
    /// Bytes, which JSON has in base64.
    #[default]
    Bytes,
    Base64,
    /// Base64 with the letters of RFC 4648 section 5.
    Base64UrlSafe,
    Hex,
}

/// All choices of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueModes {
    pub decimal: DecimalMode,
    pub time: TimePrecision,
    pub binary: BinaryMode,
    /// `hstore` as an object, not as JSON text (`hstore.handling.mode: map`).
    pub hstore_map: bool,
    /// `interval` as ISO 8601 text, not as microseconds (`interval.handling.mode: string`).
    pub interval_text: bool,
    /// Fraction digits of `money` (`money.fraction.digits`).
    pub money_digits: u8,
    /// Types without a form of their own go out as bytes of the server's text
    /// (`include.unknown.datatypes`).
    pub unknown: bool,
    /// Arrays that Debezium leaves out go out too: of intervals, money, points, XML, domains.
    pub all_arrays: bool,
}

impl Default for ValueModes {
    /// Debezium's defaults.
    fn default() -> Self {
        Self {
            decimal: DecimalMode::default(),
            time: TimePrecision::default(),
            binary: BinaryMode::default(),
            hstore_map: false,
            interval_text: false,
            money_digits: 2,
            unknown: false,
            all_arrays: false,
        }
    }
}

impl From<DecimalMode> for ValueModes {
    fn from(decimal: DecimalMode) -> Self {
        Self { decimal, ..Self::default() }
    }
}

impl ValueModes {
    pub(super) fn date(&self) -> Style {
        match self.time {
            TimePrecision::Connect => Style::Connect,
            TimePrecision::IsoString => Style::Iso,
            _ => Style::Plain,
        }
    }

    pub(super) fn timestamp(&self) -> Style {
        match self.time {
            TimePrecision::Adaptive | TimePrecision::AdaptiveTimeMicroseconds => Style::Plain,
            TimePrecision::Connect => Style::Connect,
            TimePrecision::IsoString => Style::Iso,
            TimePrecision::Microseconds => Style::Micros,
            TimePrecision::Nanoseconds => Style::Nanos,
        }
    }

    pub(super) fn time_of_day(&self) -> Style {
        match self.time {
            TimePrecision::AdaptiveTimeMicroseconds => Style::Micros,
            _ => self.timestamp(),
        }
    }

    pub(super) fn bytes(&self) -> Style {
        match self.binary {
            BinaryMode::Bytes => Style::Plain,
            BinaryMode::Base64 => Style::Base64,
            BinaryMode::Base64UrlSafe => Style::Base64Url,
            BinaryMode::Hex => Style::Hex,
        }
    }
}
