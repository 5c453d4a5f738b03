//! What the JSON writer is told: the options of Kafka Connect's JsonConverter.

/// How keys, values and headers are written as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JsonOptions {
    /// Keys are `{"schema","payload"}` documents (`schemas.enable` of the key's converter).
    pub key_schemas: bool,
    /// Values are (`schemas.enable` of the value's converter).
    pub value_schemas: bool,
    /// Headers are (`schemas.enable` of the header's converter).
    pub header_schemas: bool,
    /// The default of a column stands for null in it (`replace.null.with.default`).
    pub replace_nulls: bool,
    /// Decimals are numbers, not base64 of the unscaled number (`decimal.format: NUMERIC`).
    pub numeric_decimals: bool,
}

impl JsonOptions {
    /// Whether there is no schema in any part.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !(self.key_schemas || self.value_schemas || self.header_schemas)
    }
}
