//! Columns and the source block in Connect's terms, where more is known than follows from kind and
//! logical type: what sinks that write schemas need.

use wasmgate_codec::connect::{connect_decimal, of_type};
use wasmgate_codec::json::write_string;
use wasmgate_codec::mysqlvalue::ColumnType;
use wasmgate_model::{ConnectSchema, ConnectShape as S, Kind};

use crate::definition::{ColumnDefinition, TypeText};

/// A column's schema. `None`: it follows from the field.
pub(crate) fn field(
    column: &ColumnDefinition,
    parsed: &TypeText,
    ty: &ColumnType,
) -> Option<ConnectSchema> {
    let plain = of_type(ty.kind, &ty.logical, ty.style);
    let labels = || {
        let escaped: Vec<String> = parsed.labels.iter().map(|l| l.replace(',', "\\,")).collect();
        escaped.join(",")
    };
    let mut schema = match parsed.name.as_str() {
        "year" => ConnectSchema::named(S::Int32, "io.debezium.time.Year"),
        "enum" => {
            ConnectSchema::named(S::String, "io.debezium.data.Enum").with("allowed", labels())
        }
        "set" => {
            ConnectSchema::named(S::String, "io.debezium.data.EnumSet").with("allowed", labels())
        }
        "bigint" if ty.kind == Kind::Decimal => connect_decimal(0),
        "point" => geometry(true),
        _ if ty.kind == Kind::Json && parsed.name != "json" && parsed.name != "vector" => {
            geometry(false)
        }
        "vector" => {
            let float = ConnectSchema::new(S::Float).required();
            ConnectSchema::named(S::Array(Box::new(float)), "io.debezium.data.FloatVector")
        }
        _ => plain.clone(),
    };
    schema.default = default_of(column, ty).map(Into::into);
    (schema != plain).then_some(schema)
}

fn geometry(point: bool) -> ConnectSchema {
    let number = || ConnectSchema::new(S::Double).required();
    let mut fields = Vec::new();
    if point {
        fields.push(("x".into(), number()));
        fields.push(("y".into(), number()));
    }
    let wkb = ConnectSchema::new(S::Bytes);
    fields.push(("wkb".into(), if point { wkb } else { wkb.required() }));
    fields.push(("srid".into(), ConnectSchema::new(S::Int32)));
    let (name, doc) = match point {
        true => ("io.debezium.data.geometry.Point", "Geometry (POINT)"),
        false => ("io.debezium.data.geometry.Geometry", "Geometry"),
    };
    ConnectSchema { doc: Some(doc.into()), ..ConnectSchema::named(S::Struct(fields), name) }
}

/// A constant default as JSON, of kinds whose text is their form.
fn default_of(column: &ColumnDefinition, ty: &ColumnType) -> Option<String> {
    let text = column.default.as_deref().filter(|_| !column.generated)?;
    let bits = text.strip_prefix("b'").and_then(|t| t.strip_suffix('\''));
    match ty.kind {
        Kind::Boolean => {
            let bits = bits.unwrap_or(text);
            Some(bits.contains('1').to_string())
        }
        Kind::Integer => text.parse::<i64>().ok().map(|n| n.to_string()),
        Kind::Float => text.parse::<f64>().ok().map(|n| n.to_string()),
        Kind::Text => {
            let mut json = Vec::new();
            write_string(text, &mut json);
            String::from_utf8(json).ok()
        }
        _ => None,
    }
}

/// The schema of the source block.
pub(crate) fn source(maria: bool) -> ConnectSchema {
    let text = || ConnectSchema::new(S::String);
    let number = || ConnectSchema::new(S::Int64);
    let snapshot = ConnectSchema {
        default: Some("\"false\"".into()),
        ..ConnectSchema::named(S::String, "io.debezium.data.Enum").with(
            "allowed",
            "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental",
        )
    };
    let fields = vec![
        ("version".into(), text().required()),
        ("connector".into(), text().required()),
        ("name".into(), text().required()),
        ("ts_ms".into(), number().required()),
        ("snapshot".into(), snapshot),
        ("db".into(), text().required()),
        ("sequence".into(), text()),
        ("ts_us".into(), number()),
        ("ts_ns".into(), number()),
        ("table".into(), text()),
        ("server_id".into(), number().required()),
        ("gtid".into(), text()),
        ("file".into(), text().required()),
        ("pos".into(), number().required()),
        ("row".into(), ConnectSchema::new(S::Int32).required()),
        ("thread".into(), number()),
        ("query".into(), text()),
    ];
    let name = match maria {
        true => "io.debezium.connector.mariadb.Source",
        false => "io.debezium.connector.mysql.Source",
    };
    ConnectSchema::named(S::Struct(fields), name).required()
}
