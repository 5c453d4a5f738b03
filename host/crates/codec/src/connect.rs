//! Fields in Kafka Connect's terms: what Debezium calls the type that a kind, a logical type and
//! a style of writing make together.

use std::sync::Arc;

use wasmgate_model::{ConnectSchema, ConnectShape as S, Field, Kind, Logical, Style};

/// The schema of a field: what its source said, else what follows from its type.
#[must_use]
pub fn of_field(field: &Field) -> ConnectSchema {
    let mut schema = match &field.connect {
        Some(said) => (**said).clone(),
        None => of_type(field.kind, &field.logical, field.style),
    };
    schema.optional = field.nullable;
    schema
}

/// The schema of values of a type, optional.
#[must_use]
pub fn of_type(kind: Kind, logical: &Logical, style: Style) -> ConnectSchema {
    let named = ConnectSchema::named;
    match kind {
        Kind::Boolean => ConnectSchema::new(S::Boolean),
        Kind::Integer => match logical {
            Logical::Bits(8) => ConnectSchema::new(S::Int8),
            Logical::Bits(16) => ConnectSchema::new(S::Int16),
            Logical::Bits(32) => ConnectSchema::new(S::Int32),
            Logical::Interval => named(S::Int64, "io.debezium.time.MicroDuration"),
            _ => ConnectSchema::new(S::Int64),
        },
        Kind::Float if *logical == Logical::Float32 => ConnectSchema::new(S::Float),
        Kind::Float => ConnectSchema::new(S::Double),
        Kind::Uuid => named(S::String, "io.debezium.data.Uuid"),
        Kind::Text => text(logical),
        Kind::Json => json(logical, style),
        Kind::Bytes => bytes(logical, style),
        Kind::Decimal => decimal(logical),
        Kind::DateDays => match style {
            Style::Connect => named(S::Int32, "org.apache.kafka.connect.data.Date"),
            Style::Iso => named(S::String, "io.debezium.time.IsoDate"),
            _ => named(S::Int32, "io.debezium.time.Date"),
        },
        Kind::TimeUs => time(logical, style),
        Kind::TimestampUs => timestamp(logical, style),
    }
}

fn text(logical: &Logical) -> ConnectSchema {
    let name = match logical {
        Logical::Enum(labels) => {
            let schema = ConnectSchema::named(S::String, "io.debezium.data.Enum");
            return schema.with("allowed", labels.join(","));
        }
        Logical::Xml => "io.debezium.data.Xml",
        Logical::TimeTz => "io.debezium.time.ZonedTime",
        Logical::Interval => "io.debezium.time.Interval",
        _ => return ConnectSchema::new(S::String),
    };
    ConnectSchema::named(S::String, name)
}

fn json(logical: &Logical, style: Style) -> ConnectSchema {
    match logical {
        Logical::TextMap if style == Style::Object => {
            let pair = (ConnectSchema::new(S::String).required(), ConnectSchema::new(S::String));
            ConnectSchema::new(S::Map(Box::new(pair)))
        }
        Logical::Array(kind) => {
            let item = of_type(*kind, &Logical::Plain, Style::Plain);
            ConnectSchema::new(S::Array(Box::new(item)))
        }
        _ => ConnectSchema::named(S::String, "io.debezium.data.Json"),
    }
}

fn bytes(logical: &Logical, style: Style) -> ConnectSchema {
    match (logical, style) {
        (Logical::BitString(length), _) => {
            let length = if *length == 0 { i32::MAX as u32 } else { *length };
            let schema = ConnectSchema::named(S::Bytes, "io.debezium.data.Bits");
            schema.with("length", length.to_string())
        }
        (_, Style::Base64 | Style::Base64Url | Style::Hex) => ConnectSchema::new(S::String),
        _ => ConnectSchema::new(S::Bytes),
    }
}

fn decimal(logical: &Logical) -> ConnectSchema {
    match logical {
        Logical::Decimal { precision: 0, .. } => {
            let part = |shape| ConnectSchema::new(shape).required();
            let fields: Vec<(Arc<str>, _)> =
                vec![("scale".into(), part(S::Int32)), ("value".into(), part(S::Bytes))];
            ConnectSchema {
                doc: Some("Variable scaled decimal".into()),
                ..ConnectSchema::named(S::Struct(fields), "io.debezium.data.VariableScaleDecimal")
            }
        }
        Logical::Decimal { precision, scale } => {
            connect_decimal(*scale).with("connect.decimal.precision", precision.to_string())
        }
        _ => ConnectSchema::new(S::String),
    }
}

/// Connect's Decimal of a scale, without a precision.
#[must_use]
pub fn connect_decimal(scale: i16) -> ConnectSchema {
    let schema = ConnectSchema::named(S::Bytes, "org.apache.kafka.connect.data.Decimal");
    schema.with("scale", scale.to_string())
}

fn time(logical: &Logical, style: Style) -> ConnectSchema {
    let named = ConnectSchema::named;
    match (style, logical) {
        (Style::Connect, _) => named(S::Int32, "org.apache.kafka.connect.data.Time"),
        (Style::Iso, _) => named(S::String, "io.debezium.time.IsoTime"),
        (Style::Nanos, _) => named(S::Int64, "io.debezium.time.NanoTime"),
        (Style::Plain, Logical::Time { digits: 0..=3 }) => named(S::Int32, "io.debezium.time.Time"),
        _ => named(S::Int64, "io.debezium.time.MicroTime"),
    }
}

fn timestamp(logical: &Logical, style: Style) -> ConnectSchema {
    let named = ConnectSchema::named;
    match (style, logical) {
        (_, Logical::TimestampTz { .. }) => named(S::String, "io.debezium.time.ZonedTimestamp"),
        (Style::Connect, _) => named(S::Int64, "org.apache.kafka.connect.data.Timestamp"),
        (Style::Iso, _) => named(S::String, "io.debezium.time.IsoTimestamp"),
        (Style::Nanos, _) => named(S::Int64, "io.debezium.time.NanoTimestamp"),
        (Style::Plain, Logical::Timestamp { digits: 0..=3 }) => {
            named(S::Int64, "io.debezium.time.Timestamp")
        }
        _ => named(S::Int64, "io.debezium.time.MicroTimestamp"),
    }
}
