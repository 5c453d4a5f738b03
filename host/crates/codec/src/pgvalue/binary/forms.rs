//! Which types have a binary form that is known here. Built-in types are known by oid, others by
//! what the catalog says of them, as in `types`.

use super::{BinaryForm, Figure, Sent};
use crate::pgvalue::types::element_of;
use crate::pgvalue::{PgTypeKind, TypeInfo};

/// The binary form of a type; `None`: it is not known here, or the type has none.
#[must_use]
pub fn binary_form(oid: u32, info: Option<&TypeInfo>) -> Option<BinaryForm> {
    sent(oid, info).map(BinaryForm)
}

fn sent(oid: u32, info: Option<&TypeInfo>) -> Option<Sent> {
    if let Some(sent) = scalar(oid) {
        return Some(sent);
    }
    if let Some(element) = element_of(oid) {
        return scalar(element).map(|sent| array(element, sent));
    }
    let info = info?;
    match &info.kind {
        PgTypeKind::Enum(_) => Some(Sent::Text),
        PgTypeKind::Domain { base, .. } => sent(*base, None),
        PgTypeKind::Base => extension(info.sent.as_deref()?),
        PgTypeKind::Array { element, inner } => {
            sent(*element, inner.as_deref()).map(|sent| array(*element, sent))
        }
        PgTypeKind::Other => None,
    }
}

fn array(element: u32, sent: Sent) -> Sent {
    let between = match sent {
        Sent::Geometry => b':',
        // box
        _ if element == 603 => b';',
        _ => b',',
    };
    Sent::Array(Box::new(sent), between)
}

fn scalar(oid: u32) -> Option<Sent> {
    Some(match oid {
        16 => Sent::Bool,
        17 => Sent::Bytea,
        18 => Sent::Char,
        20 => Sent::Int8,
        21 => Sent::Int2,
        23 => Sent::Int4,
        // oid, xid
        26 | 28 => Sent::Unsigned4,
        // xid8
        5069 => Sent::Unsigned8,
        // pg_lsn
        3220 => Sent::Place,
        700 => Sent::Float4,
        701 => Sent::Float8,
        // name, text, json, xml, bpchar, varchar
        19 | 25 | 114 | 142 | 1042 | 1043 => Sent::Text,
        // jsonb, jsonpath
        3802 | 4072 => Sent::Versioned,
        2950 => Sent::Uuid,
        1700 => Sent::Numeric,
        790 => Sent::Money,
        1082 => Sent::Date,
        1083 => Sent::Time,
        1266 => Sent::TimeTz,
        1114 => Sent::Timestamp(false),
        1184 => Sent::Timestamp(true),
        1186 => Sent::Interval,
        1560 | 1562 => Sent::Bits,
        650 | 869 => Sent::Network,
        829 | 774 => Sent::Hardware,
        3614 => Sent::Tsvector,
        22 => Sent::Vector(Box::new(Sent::Int2)),
        30 => Sent::Vector(Box::new(Sent::Unsigned4)),
        // int4range, numrange, tsrange, tstzrange, daterange, int8range
        3904 => range(Sent::Int4),
        3906 => range(Sent::Numeric),
        3908 => range(Sent::Timestamp(false)),
        3910 => range(Sent::Timestamp(true)),
        3912 => range(Sent::Date),
        3926 => range(Sent::Int8),
        600 => Sent::Figure(Figure::Point),
        628 => Sent::Figure(Figure::Line),
        601 => Sent::Figure(Figure::Segment),
        603 => Sent::Figure(Figure::Box),
        602 => Sent::Figure(Figure::Path),
        604 => Sent::Figure(Figure::Polygon),
        718 => Sent::Figure(Figure::Circle),
        _ => return None,
    })
}

fn range(bound: Sent) -> Sent {
    Sent::Range(Box::new(bound))
}

/// Types of extensions, by the function that writes the form: their names are taken by others too.
fn extension(sent: &str) -> Option<Sent> {
    Some(match sent {
        "citextsend" => Sent::Text,
        "ltree_send" | "lquery_send" => Sent::Versioned,
        "hstore_send" => Sent::Hstore,
        "vector_send" => Sent::Floats(false),
        "halfvec_send" => Sent::Floats(true),
        "sparsevec_send" => Sent::Sparse,
        "geometry_send" | "geography_send" => Sent::Geometry,
        _ => return None,
    })
}
