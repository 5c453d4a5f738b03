//! Types to kinds. Source of the shapes: Debezium's Postgres type mapping; types that it leaves
//! out are left out, unless the modes ask for them.

use std::sync::Arc;

use wasmgate_model::{Column, ConnectSchema, ConnectShape, Kind, Logical, Style};

use super::{ColumnType, DecimalMode, Form, PgTypeKind, TypeInfo, ValueModes, push_text};
use crate::connect::{connect_decimal, of_type};
use crate::encode::Cell;

/// How a column of type `oid` with modifier `typmod` (-1: none) is stored. Built-in types are
/// known by oid, others by `info`. `None`: the type is left out, as Debezium does.
#[must_use]
pub fn column_type(
    oid: u32,
    typmod: i32,
    info: Option<&TypeInfo>,
    modes: &ValueModes,
) -> Option<ColumnType> {
    if let Some(ty) = scalar(oid, typmod, modes) {
        return Some(ty);
    }
    if let Some(element) = element_of(oid) {
        return Some(array(scalar(element, typmod, modes)?));
    }
    let info = info?;
    match &info.kind {
        PgTypeKind::Enum(labels) => Some(enumeration(labels)),
        PgTypeKind::Domain { base, typmod } => column_type(*base, *typmod, None, modes),
        PgTypeKind::Base => extension(&info.name, modes).or_else(|| unknown(modes)),
        PgTypeKind::Array { element, inner } => {
            let usual = modes.all_arrays || is_usual_element(*element, inner.as_deref());
            let inner = inner.as_deref();
            usual.then(|| column_type(*element, typmod, inner, modes)).flatten().map(array)
        }
        PgTypeKind::Other => unknown(modes),
    }
}

/// Whether the catalog need not be asked about a type.
#[must_use]
pub fn is_built_in(oid: u32) -> bool {
    element_of(oid).is_some() || scalar(oid, -1, &ValueModes::default()).is_some()
}

/// Whether Debezium has arrays of such elements.
fn is_usual_element(element: u32, inner: Option<&TypeInfo>) -> bool {
    match inner.map(|i| (&i.kind, &*i.name)) {
        Some((PgTypeKind::Enum(_), _)) => true,
        Some((PgTypeKind::Base, name)) => {
            extension(name, &ValueModes::default()).is_some_and(|ty| !ty.form.is_spatial())
        }
        Some(_) => false,
        // xml, point, money, interval
        None => !matches!(element, 142 | 600 | 790 | 1186),
    }
}

fn typed(kind: Kind, logical: Logical, form: Form) -> ColumnType {
    ColumnType { kind, logical, style: Style::Plain, connect: None, form }
}

fn styled(kind: Kind, logical: Logical, form: Form, style: Style) -> ColumnType {
    ColumnType { style, ..typed(kind, logical, form) }
}

/// A type whose name in schemas does not follow from how it is stored.
fn said(kind: Kind, logical: Logical, form: Form, schema: ConnectSchema) -> ColumnType {
    ColumnType { connect: Some(Arc::new(schema)), ..typed(kind, logical, form) }
}

fn enumeration(labels: &Arc<[String]>) -> ColumnType {
    typed(Kind::Text, Logical::Enum(Arc::clone(labels)), Form::Text)
}

fn unknown(modes: &ValueModes) -> Option<ColumnType> {
    let ty = || styled(Kind::Bytes, Logical::Plain, Form::Raw, modes.bytes());
    modes.unknown.then(ty)
}

/// Types of extensions that are well known.
fn extension(name: &str, modes: &ValueModes) -> Option<ColumnType> {
    let numbers = |name: &str, item: ConnectShape, form| {
        let item = Box::new(ConnectSchema::new(item).required());
        let schema = ConnectSchema::named(ConnectShape::Array(item), name);
        Some(said(Kind::Json, Logical::Array(Kind::Float), form, schema))
    };
    match name {
        "citext" | "lquery" | "isbn" | "isbn13" | "issn" | "issn13" | "ismn" | "ismn13"
        | "ean13" | "upc" => Some(typed(Kind::Text, Logical::Plain, Form::Text)),
        "ltree" => {
            let schema = ConnectSchema::named(ConnectShape::String, "io.debezium.data.Ltree");
            Some(said(Kind::Text, Logical::Plain, Form::Text, schema))
        }
        "hstore" => {
            let style = if modes.hstore_map { Style::Object } else { Style::Plain };
            Some(styled(Kind::Json, Logical::TextMap, Form::Hstore, style))
        }
        "vector" => {
            numbers("io.debezium.data.DoubleVector", ConnectShape::Double, Form::DoubleVector)
        }
        "halfvec" => {
            numbers("io.debezium.data.FloatVector", ConnectShape::Float, Form::FloatVector)
        }
        "sparsevec" => {
            Some(said(Kind::Json, Logical::JsonValue, Form::SparseVector, sparse_vector()))
        }
        "geometry" => Some(spatial("Geometry")),
        "geography" => Some(spatial("Geography")),
        _ => None,
    }
}

fn structure(name: &str, fields: Vec<(&str, ConnectSchema)>) -> ConnectSchema {
    let fields = fields.into_iter().map(|(name, schema)| (name.into(), schema)).collect();
    ConnectSchema::named(ConnectShape::Struct(fields), name)
}

fn sparse_vector() -> ConnectSchema {
    let part = |shape| ConnectSchema::new(shape).required();
    let pair = (part(ConnectShape::Int16), part(ConnectShape::Double));
    let vector = part(ConnectShape::Map(Box::new(pair)));
    let fields = vec![("dimensions", part(ConnectShape::Int16)), ("vector", vector)];
    structure("io.debezium.data.SparseDoubleVector", fields)
}

/// PostGIS: the bytes that it stores, and the reference system named in them.
fn spatial(name: &str) -> ColumnType {
    let wkb = ConnectSchema::new(ConnectShape::Bytes).required();
    let fields = vec![("wkb", wkb), ("srid", ConnectSchema::new(ConnectShape::Int32))];
    let schema = structure(&format!("io.debezium.data.geometry.{name}"), fields);
    let schema = ConnectSchema { doc: Some(name.into()), ..schema };
    said(Kind::Json, Logical::JsonValue, Form::Geometry, schema)
}

fn point() -> ColumnType {
    let double = || ConnectSchema::new(ConnectShape::Double).required();
    let fields = vec![
        ("x", double()),
        ("y", double()),
        ("wkb", ConnectSchema::new(ConnectShape::Bytes)),
        ("srid", ConnectSchema::new(ConnectShape::Int32)),
    ];
    let schema = structure("io.debezium.data.geometry.Point", fields);
    let schema = ConnectSchema { doc: Some("Geometry (POINT)".into()), ..schema };
    said(Kind::Json, Logical::JsonValue, Form::Point, schema)
}

fn vector(item: ConnectShape) -> ColumnType {
    let item = Box::new(ConnectSchema::new(item).required());
    let schema = ConnectSchema::new(ConnectShape::Array(item));
    said(Kind::Json, Logical::Array(Kind::Integer), Form::Vector, schema)
}

fn scalar(oid: u32, typmod: i32, modes: &ValueModes) -> Option<ColumnType> {
    let plain = |kind, form| Some(typed(kind, Logical::Plain, form));
    match oid {
        16 => plain(Kind::Boolean, Form::Bool),
        20 | 26 => plain(Kind::Integer, Form::Int),
        21 => Some(typed(Kind::Integer, Logical::Bits(16), Form::Int)),
        23 => Some(typed(Kind::Integer, Logical::Bits(32), Form::Int)),
        700 => Some(typed(Kind::Float, Logical::Float32, Form::Float32)),
        701 => plain(Kind::Float, Form::Float),
        17 => Some(styled(Kind::Bytes, Logical::Plain, Form::Bytea, modes.bytes())),
        // "char", name, text, bpchar, varchar; cidr, inet, macaddr, macaddr8; ranges
        18 | 19 | 25 | 1042 | 1043 | 650 | 869 | 829 | 774 | 3904 | 3906 | 3908 | 3910 | 3912
        | 3926 => plain(Kind::Text, Form::Text),
        3614 => {
            let schema = ConnectSchema::named(ConnectShape::String, "io.debezium.data.Tsvector");
            Some(said(Kind::Text, Logical::Plain, Form::Text, schema))
        }
        114 | 3802 => Some(typed(Kind::Json, Logical::JsonText, Form::Text)),
        142 => Some(typed(Kind::Text, Logical::Xml, Form::Text)),
        2950 => plain(Kind::Uuid, Form::Text),
        1700 => Some(numeric(typmod, modes.decimal)),
        790 => Some(money(modes)),
        600 => Some(point()),
        22 => Some(vector(ConnectShape::Int16)),
        30 => Some(vector(ConnectShape::Int64)),
        1560 | 1562 => Some(bits(oid, typmod)),
        // line, lseg, box, path, polygon, circle
        628 | 601 | 603 | 602 | 604 | 718 if modes.unknown => {
            Some(styled(Kind::Bytes, Logical::Plain, Form::Figure, modes.bytes()))
        }
        _ => temporal(oid, typmod, modes),
    }
}

fn temporal(oid: u32, typmod: i32, modes: &ValueModes) -> Option<ColumnType> {
    let digits = u8::try_from(typmod).unwrap_or(6).min(6);
    let plain = Style::Plain;
    let (kind, logical, form, style) = match oid {
        1082 => (Kind::DateDays, Logical::Plain, Form::Date, modes.date()),
        1083 => (Kind::TimeUs, Logical::Time { digits }, Form::Time, modes.time_of_day()),
        1266 => (Kind::Text, Logical::TimeTz, Form::TimeTz, plain),
        1114 => {
            let logical = Logical::Timestamp { digits };
            (Kind::TimestampUs, logical, Form::Timestamp, modes.timestamp())
        }
        1184 => (Kind::TimestampUs, Logical::TimestampTz { digits }, Form::Timestamp, plain),
        1186 if modes.interval_text => (Kind::Text, Logical::Interval, Form::IntervalText, plain),
        1186 => (Kind::Integer, Logical::Interval, Form::Interval, plain),
        _ => return None,
    };
    Some(styled(kind, logical, form, style))
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

fn money(modes: &ValueModes) -> ColumnType {
    let form = Form::Money { digits: modes.money_digits };
    match modes.decimal {
        // 64 bits hold 19 digits
        DecimalMode::Precise => {
            let scale = i16::from(modes.money_digits);
            let logical = Logical::Decimal { precision: 19, scale };
            said(Kind::Decimal, logical, form, connect_decimal(scale))
        }
        DecimalMode::String => typed(Kind::Decimal, Logical::Plain, form),
        DecimalMode::Double => typed(Kind::Float, Logical::Plain, form),
    }
}

fn array(element: ColumnType) -> ColumnType {
    let mut item = element.schema();
    item.optional = !matches!(element.logical, Logical::Enum(_));
    let schema = ConnectSchema::new(ConnectShape::Array(Box::new(item)));
    said(Kind::Json, Logical::Array(element.kind), Form::Array(Box::new(element)), schema)
}

impl ColumnType {
    /// The same column, declared with this number of dimensions. Only an array has more than one.
    #[must_use]
    pub fn with_dimensions(mut self, dimensions: u8) -> Self {
        if !matches!(self.form, Form::Array(_)) {
            return self;
        }
        for _ in 1..dimensions.min(6) {
            let nested = ConnectShape::Array(Box::new(self.schema()));
            self.connect = Some(Arc::new(ConnectSchema::new(nested)));
        }
        self
    }

    /// The type in Connect's terms.
    #[must_use]
    pub fn schema(&self) -> ConnectSchema {
        match &self.connect {
            Some(schema) => (**schema).clone(),
            None => of_type(self.kind, &self.logical, self.style),
        }
    }

    /// A value in the server's text form as JSON has it. `None`: it is none of the type, or null.
    #[must_use]
    pub fn json(&self, text: &[u8]) -> Option<String> {
        let mut column = Column::new(self.kind);
        push_text(&mut column, self, text).ok()?;
        let mut out = Vec::new();
        let cell = Cell::new(&column, self.kind, &self.logical, self.style);
        let written = !column.is_null(0) && cell.write(0, &mut out).is_ok();
        written.then(|| String::from_utf8(out).ok()).flatten()
    }

    /// A field of this type.
    #[must_use]
    pub fn field(&self, name: &str, nullable: bool) -> wasmgate_model::Field {
        let plain = wasmgate_model::Field::new(name, self.kind, self.logical.clone(), nullable);
        wasmgate_model::Field { style: self.style, connect: self.connect.clone(), ..plain }
    }
}

/// The element of a built-in array type. Arrays that Debezium leaves out (interval, money, point,
/// xml) are not here.
pub(super) fn element_of(oid: u32) -> Option<u32> {
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
