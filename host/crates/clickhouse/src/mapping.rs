//! Fields of our schemas as ClickHouse types, and which change of a type loses nothing.

use wasmgate_model::{Kind, Logical};

use crate::types::Type;

/// What tables made here may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    /// `Time64` is there (25.6); else times are `DateTime64` on 1970-01-01.
    pub(crate) time: bool,
    /// JSON columns are `JSON`; else `String`.
    pub(crate) json: bool,
}

/// The type of a field without NULL.
pub(crate) fn bare(kind: Kind, logical: &Logical, palette: Palette) -> Type {
    let int = |bits| Type::Int { bits, signed: true };
    match (kind, logical) {
        (Kind::Boolean, _) => Type::Bool,
        (Kind::Integer, Logical::Bits(bits @ (8 | 16 | 32))) => int(u16::from(*bits)),
        (Kind::Integer, _) => int(64),
        (Kind::Float, Logical::Float32) => Type::Float32,
        (Kind::Float, _) => Type::Float64,
        (Kind::Decimal, Logical::Decimal { precision, scale }) => decimal(*precision, *scale),
        (Kind::Uuid, _) => Type::Uuid,
        (Kind::TimestampUs, _) => Type::DateTime64 { scale: 6, zone: Some("UTC".to_owned()) },
        (Kind::DateDays, _) => Type::Date32,
        (Kind::TimeUs, _) if palette.time => Type::Time64 { scale: 6 },
        (Kind::TimeUs, _) => Type::DateTime64 { scale: 6, zone: Some("UTC".to_owned()) },
        (Kind::Json, Logical::Array(element)) => array(*element),
        (Kind::Json, Logical::JsonText) if palette.json => Type::Json,
        (Kind::Text, Logical::Enum(_)) => Type::LowCardinality(Box::new(Type::Text)),
        _ => Type::Text,
    }
}

/// `numeric(p,s)`; without limit, or beyond 76 digits, text keeps it exact.
fn decimal(precision: u16, scale: i16) -> Type {
    // A negative scale rounds to tens: whole numbers of more digits.
    let digits = if scale < 0 { precision + scale.unsigned_abs() } else { precision };
    let scale = scale.max(0).unsigned_abs();
    match (u8::try_from(digits.max(scale)), u8::try_from(scale)) {
        (Ok(precision @ 1..=76), Ok(scale)) if digits > 0 => Type::Decimal { precision, scale },
        _ => Type::Text,
    }
}

/// Elements may be NULL; what JSON does not say exactly stays the array's text.
fn array(element: Kind) -> Type {
    let element = match element {
        Kind::Boolean => Type::Bool,
        Kind::Integer => Type::Int { bits: 64, signed: true },
        Kind::Float => Type::Float64,
        Kind::Text => Type::Text,
        Kind::Uuid => Type::Uuid,
        Kind::DateDays => Type::Date32,
        _ => return Type::Text,
    };
    Type::Array(Box::new(Type::Nullable(Box::new(element))))
}

/// The type with NULL where it can be had.
pub(crate) fn nullable(ty: Type) -> Type {
    match ty {
        Type::Array(_) | Type::Map(_) | Type::Nullable(_) => ty,
        Type::LowCardinality(inner) => Type::LowCardinality(Box::new(nullable(*inner))),
        _ => Type::Nullable(Box::new(ty)),
    }
}

/// The type that holds everything of both, where `wanted` goes beyond `has`; `None`: `has` is
/// enough, or a change would lose something.
pub(crate) fn widened(has: &Type, wanted: &Type) -> Option<Type> {
    let bare = wider(has.bare(), wanted.bare());
    let null = wanted.is_nullable() && !has.is_nullable();
    if bare.is_none() && !null {
        return None;
    }
    let null = null || has.is_nullable();
    let ty = bare.unwrap_or_else(|| has.bare().clone());
    let ty = match has {
        Type::LowCardinality(_) => Type::LowCardinality(Box::new(ty)),
        _ => ty,
    };
    Some(if null { nullable(ty) } else { ty })
}

/// Numbers only. A time, a UUID or an Enum in a table was chosen by somebody, and sources do not
/// change such types by themselves.
fn wider(has: &Type, wanted: &Type) -> Option<Type> {
    let grows = match (has, wanted) {
        (Type::Int { bits: a, signed: x }, Type::Int { bits: b, signed: y }) => {
            b > a && (x == y || *y)
        }
        (Type::Float32, Type::Float64) => true,
        (Type::Decimal { precision: a, scale: s }, Type::Decimal { precision: b, scale: t }) => {
            t >= s && b - t >= a - s && (b, t) != (a, s)
        }
        (Type::Int { bits, signed }, Type::Decimal { precision, scale }) => {
            digits(*bits, *signed) <= precision - scale
        }
        _ => false,
    };
    grows.then(|| wanted.clone())
}

fn digits(bits: u16, signed: bool) -> u8 {
    match (bits, signed) {
        (8, _) => 3,
        (16, _) => 5,
        (32, _) => 10,
        (64, true) => 19,
        (64, false) => 20,
        (128, _) => 39,
        _ => 78,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_types() {
        let plain = Palette { time: true, json: false };
        let decimal = |precision, scale| Logical::Decimal { precision, scale };
        for (kind, logical, want) in [
            (Kind::Integer, Logical::Bits(16), "Int16"),
            (Kind::Integer, Logical::Plain, "Int64"),
            (Kind::Decimal, decimal(10, 2), "Decimal(10, 2)"),
            (Kind::Decimal, decimal(76, 76), "Decimal(76, 76)"),
            (Kind::Decimal, decimal(77, 0), "String"),
            (Kind::Decimal, decimal(0, 0), "String"),
            (Kind::Decimal, decimal(5, -3), "Decimal(8, 0)"),
            (Kind::Decimal, decimal(2, 5), "Decimal(5, 5)"),
            (Kind::TimestampUs, Logical::TimestampTz { digits: 3 }, "DateTime64(6, 'UTC')"),
            (Kind::TimeUs, Logical::Time { digits: 6 }, "Time64(6)"),
            (Kind::Json, Logical::Array(Kind::Integer), "Array(Nullable(Int64))"),
            (Kind::Json, Logical::Array(Kind::TimestampUs), "String"),
            (Kind::Json, Logical::JsonText, "String"),
            (Kind::Text, Logical::Enum(std::sync::Arc::from([])), "LowCardinality(String)"),
            (Kind::Bytes, Logical::Plain, "String"),
        ] {
            assert_eq!(bare(kind, &logical, plain).to_string(), want, "{kind:?} {logical:?}");
        }
        let rich = Palette { time: false, json: true };
        assert_eq!(bare(Kind::Json, &Logical::JsonText, rich), Type::Json);
        assert_eq!(bare(Kind::TimeUs, &Logical::Plain, rich).to_string(), "DateTime64(6, 'UTC')");
    }

    #[test]
    fn only_what_loses_nothing_is_widened() {
        for (has, wanted, want) in [
            ("Int32", "Int64", Some("Int64")),
            ("Nullable(Int32)", "Int64", Some("Nullable(Int64)")),
            ("Int32", "Nullable(Int64)", Some("Nullable(Int64)")),
            ("Int64", "Nullable(Int64)", Some("Nullable(Int64)")),
            (
                "LowCardinality(String)",
                "Nullable(String)",
                Some("LowCardinality(Nullable(String))"),
            ),
            ("UInt8", "Int16", Some("Int16")),
            ("Int8", "UInt16", None),
            ("Int64", "Int32", None),
            ("Decimal(10, 2)", "Decimal(12, 4)", Some("Decimal(12, 4)")),
            ("Decimal(10, 2)", "Decimal(12, 6)", None),
            ("Decimal(10, 2)", "Decimal(10, 2)", None),
            ("Int32", "Decimal(10, 0)", Some("Decimal(10, 0)")),
            ("Float32", "Float64", Some("Float64")),
            ("String", "Int64", None),
            ("DateTime64(3)", "DateTime64(6, 'UTC')", None),
            ("Array(Int64)", "Array(Int64)", None),
            ("UUID", "String", None),
            ("Enum8('a' = 1)", "LowCardinality(String)", None),
        ] {
            let (a, b) = (Type::parse(has), Type::parse(wanted));
            let found = a.zip(b).and_then(|(a, b)| widened(&a, &b)).map(|t| t.to_string());
            assert_eq!(found.as_deref(), want, "{has} to {wanted}");
        }
    }
}
