//! Types to kinds. Source of the shapes: Debezium's Postgres type mapping with its default modes
//! (time precision adaptive, bytes, JSON for hstore); types that it leaves out are left out.

use std::sync::Arc;

use wasmgate_model::{Kind, Logical};

use super::{ColumnType, DecimalMode, Form, PgTypeKind, TypeInfo};

/// How a column of type `oid` with modifier `typmod` (-1: none) is stored. Built-in types are
/// known by oid, others by `info`. `None`: the type is left out, as Debezium does.
#[must_use]
pub fn column_type(
    oid: u32,
    typmod: i32,
    info: Option<&TypeInfo>,
    decimal: DecimalMode,
) -> Option<ColumnType> {
    if let Some(ty) = scalar(oid, typmod, decimal) {
        return Some(ty);
    }
    if let Some(element) = element_of(oid) {
        return array(scalar(element, typmod, decimal)?);
    }
    let info = info?;
    match &info.kind {
        PgTypeKind::Enum(labels) => {
            Some(typed(Kind::Text, Logical::Enum(Arc::clone(labels)), Form::Text))
        }
        PgTypeKind::Domain { base, typmod } => column_type(*base, *typmod, None, decimal),
        PgTypeKind::Base => extension(&info.name),
        PgTypeKind::Array { element } => {
            let known = info.name.strip_prefix('_').and_then(extension);
            array(known.or_else(|| scalar(*element, typmod, decimal))?)
        }
        PgTypeKind::Other => None,
    }
}

fn typed(kind: Kind, logical: Logical, form: Form) -> ColumnType {
    ColumnType { kind, logical, form }
}

/// Types of extensions that ship with Postgres.
fn extension(name: &str) -> Option<ColumnType> {
    match name {
        "citext" | "ltree" | "lquery" | "isbn" | "isbn13" | "issn" | "issn13" | "ismn"
        | "ismn13" | "ean13" | "upc" => Some(typed(Kind::Text, Logical::Plain, Form::Text)),
        "hstore" => Some(typed(Kind::Json, Logical::TextMap, Form::Hstore)),
        _ => None,
    }
}

fn scalar(oid: u32, typmod: i32, decimal: DecimalMode) -> Option<ColumnType> {
    let plain = |kind, form| Some(typed(kind, Logical::Plain, form));
    match oid {
        16 => plain(Kind::Boolean, Form::Bool),
        20 | 26 => plain(Kind::Integer, Form::Int),
        21 => Some(typed(Kind::Integer, Logical::Bits(16), Form::Int)),
        23 => Some(typed(Kind::Integer, Logical::Bits(32), Form::Int)),
        700 => Some(typed(Kind::Float, Logical::Float32, Form::Float32)),
        701 => plain(Kind::Float, Form::Float),
        17 => plain(Kind::Bytes, Form::Bytea),
        // "char", name, text, bpchar, varchar; cidr, inet, macaddr, macaddr8; tsvector; ranges
        18 | 19 | 25 | 1042 | 1043 | 650 | 869 | 829 | 774 | 3614 | 3904 | 3906 | 3908 | 3910
        | 3912 | 3926 => plain(Kind::Text, Form::Text),
        114 | 3802 => Some(typed(Kind::Json, Logical::JsonText, Form::Text)),
        142 => Some(typed(Kind::Text, Logical::Xml, Form::Text)),
        2950 => plain(Kind::Uuid, Form::Text),
        1700 => Some(numeric(typmod, decimal)),
        790 => Some(money(decimal)),
        600 => Some(typed(Kind::Json, Logical::JsonValue, Form::Point)),
        22 | 30 => Some(typed(Kind::Json, Logical::JsonValue, Form::Vector)),
        1560 | 1562 => Some(bits(oid, typmod)),
        _ => temporal(oid, typmod),
    }
}

fn temporal(oid: u32, typmod: i32) -> Option<ColumnType> {
    let digits = u8::try_from(typmod).unwrap_or(6).min(6);
    let (kind, logical, form) = match oid {
        1082 => (Kind::DateDays, Logical::Plain, Form::Date),
        1083 => (Kind::TimeUs, Logical::Time { digits }, Form::Time),
        1266 => (Kind::Text, Logical::TimeTz, Form::TimeTz),
        1114 => (Kind::TimestampUs, Logical::Timestamp { digits }, Form::Timestamp),
        1184 => (Kind::TimestampUs, Logical::TimestampTz { digits }, Form::Timestamp),
        1186 => (Kind::Integer, Logical::Interval, Form::Interval),
        _ => return None,
    };
    Some(typed(kind, logical, form))
}

fn bits(oid: u32, typmod: i32) -> ColumnType {
    match (oid, u32::try_from(typmod).unwrap_or(0)) {
        (1560, 0 | 1) => typed(Kind::Boolean, Logical::Plain, Form::Bit),
        (_, length) => typed(Kind::Bytes, Logical::BitString(length), Form::Bits),
    }
}

fn numeric(typmod: i32, decimal: DecimalMode) -> ColumnType {
    match decimal {
        DecimalMode::String => typed(Kind::Decimal, Logical::Plain, Form::NumericText),
        DecimalMode::Double => typed(Kind::Float, Logical::Plain, Form::Float),
        DecimalMode::Precise => {
            let (precision, scale) = numeric_modifier(typmod);
            typed(Kind::Decimal, Logical::Decimal { precision, scale }, Form::Numeric)
        }
    }
}

/// Precision and scale of `numeric(p,s)`; the scale is an 11-bit signed number since Postgres 15.
fn numeric_modifier(typmod: i32) -> (u16, i16) {
    let Some(packed) = typmod.checked_sub(4).and_then(|m| u32::try_from(m).ok()) else {
        return (0, 0);
    };
    let scale = ((packed & 0x7ff) as i16 ^ 1024) - 1024;
    ((packed >> 16) as u16, scale)
}

fn money(decimal: DecimalMode) -> ColumnType {
    let form = Form::Money;
    match decimal {
        // 64 bits hold 19 digits
        DecimalMode::Precise => {
            typed(Kind::Decimal, Logical::Decimal { precision: 19, scale: 2 }, form)
        }
        DecimalMode::String => typed(Kind::Decimal, Logical::Plain, form),
        DecimalMode::Double => typed(Kind::Float, Logical::Plain, form),
    }
}

fn array(element: ColumnType) -> Option<ColumnType> {
    Some(typed(Kind::Json, Logical::Array(element.kind), Form::Array(Box::new(element))))
}

/// The element of a built-in array type. Arrays that Debezium leaves out (interval, money, point,
/// xml) are not here.
fn element_of(oid: u32) -> Option<u32> {
    Some(match oid {
        1000 => 16,
        1001 => 17,
        1002 => 18,
        1003 => 19,
        1016 => 20,
        1005 => 21,
        1007 => 23,
        1009 => 25,
        1028 => 26,
        199 => 114,
        1021 => 700,
        1022 => 701,
        1040 => 829,
        775 => 774,
        1041 => 869,
        651 => 650,
        1014 => 1042,
        1015 => 1043,
        1182 => 1082,
        1183 => 1083,
        1115 => 1114,
        1185 => 1184,
        1270 => 1266,
        1231 => 1700,
        1561 => 1560,
        1563 => 1562,
        2951 => 2950,
        3807 => 3802,
        3643 => 3614,
        3905 => 3904,
        3907 => 3906,
        3909 => 3908,
        3911 => 3910,
        3913 => 3912,
        3927 => 3926,
        _ => return None,
    })
}
