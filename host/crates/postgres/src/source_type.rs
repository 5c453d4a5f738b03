//! A column's type in the database as schemas say it (`column.propagate.source.type`): name,
//! length and scale as the JDBC driver gives them, which is what Debezium passes on.

use wasmgate_model::ConnectSchema;

use crate::table::Described;

/// What the driver says for a length without a bound.
const UNBOUNDED: i32 = i32::MAX;

/// A type with its length and scale.
pub(crate) struct SourceType {
    name: String,
    length: i32,
    scale: i32,
}

impl SourceType {
    pub(crate) fn new(name: &str, column: &Described) -> Self {
        let modifier = column.type_modifier;
        let (length, scale) = match name {
            "int2" => (5, 0),
            "int4" | "oid" => (10, 0),
            "int8" => (19, 0),
            "float4" => (8, 8),
            "float8" => (17, 17),
            "bool" | "char" => (1, 0),
            "numeric" => match modifier.checked_sub(4).filter(|m| *m >= 0) {
                Some(packed) => (packed >> 16 & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024),
                None => (131_089, 0),
            },
            "bpchar" | "varchar" => {
                (modifier.checked_sub(4).filter(|m| *m > 0).unwrap_or(UNBOUNDED), 0)
            }
            "date" => (13, 0),
            "time" => (8 + fraction(modifier), digits(modifier)),
            "timetz" => (14 + fraction(modifier), digits(modifier)),
            "timestamp" => (22 + fraction(modifier), digits(modifier)),
            "timestamptz" => (28 + fraction(modifier), digits(modifier)),
            "interval" => (49, digits(modifier)),
            "bit" => (modifier.max(1), 0),
            "varbit" if modifier > 0 => (modifier, 0),
            _ => (UNBOUNDED, 0),
        };
        Self { name: name.to_uppercase(), length, scale }
    }

    /// The schema with the type in its parameters.
    pub(crate) fn said(&self, schema: ConnectSchema) -> ConnectSchema {
        schema
            .with("__debezium.source.column.type", self.name.as_str())
            .with("__debezium.source.column.length", self.length.to_string())
            .with("__debezium.source.column.scale", self.scale.to_string())
    }
}

/// Fraction digits of a time.
fn digits(modifier: i32) -> i32 {
    if (0..=6).contains(&modifier) { modifier } else { 6 }
}

/// Characters that the fraction takes.
fn fraction(modifier: i32) -> i32 {
    match digits(modifier) {
        0 => 0,
        digits => digits + 1,
    }
}
