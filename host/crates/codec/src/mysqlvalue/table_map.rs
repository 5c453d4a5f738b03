//! TABLE_MAP_EVENT: which table the rows events of a number are of, and how its columns stand in
//! them. With `binlog_row_metadata=FULL` it also names the columns and says signs, character sets,
//! labels and the primary key.

use super::Malformed;
use super::cursor::{Cursor, bit};

/// Numbers of types in table maps (`enum_field_types`).
pub mod mysql_type {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const NULL: u8 = 6;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const BLOB_COMPRESSED: u8 = 140;
    pub const VARCHAR_COMPRESSED: u8 = 141;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}
use mysql_type as t;

/// A column as the table map has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedColumn {
    /// The type, of enums and sets the real one.
    pub ty: u8,
    /// Its metadata: lengths, digits, precision (low byte) and scale.
    pub meta: u16,
    pub nullable: bool,
    /// With full metadata, of numbers.
    pub unsigned: Option<bool>,
    /// With full metadata.
    pub name: Option<String>,
    /// Number of the collation, with full metadata, of texts.
    pub collation: Option<u32>,
    /// Labels of an enum or a set in the column's character set, with full metadata.
    pub labels: Vec<Vec<u8>>,
    /// `wkbType` of a geometry (1: point), with full metadata.
    pub geometry: Option<u32>,
}

/// A table map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    pub id: u64,
    pub database: String,
    pub table: String,
    pub columns: Vec<MappedColumn>,
    /// Numbers of the primary key's columns, with full metadata.
    pub primary_key: Vec<usize>,
}

impl TableMap {
    /// Whether the columns are named: the server logs full metadata.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.columns.is_empty() && self.columns.iter().all(|c| c.name.is_some())
    }

    /// Reads the body of the event. MariaDB counts other types among numbers and texts (`maria`).
    ///
    /// # Errors
    /// It is cut short or contradicts itself.
    pub fn parse(body: &[u8], maria: bool) -> Result<Self, Malformed> {
        parse(body, maria).ok_or(Malformed { at: "a table map" })
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn parse(body: &[u8], maria: bool) -> Option<TableMap> {
    let mut cursor = Cursor(body);
    let id = cursor.le(6)?;
    cursor.take(2)?;
    let name = |cursor: &mut Cursor<'_>| {
        let length = usize::from(cursor.u8()?);
        let name = text(cursor.take(length)?)?;
        cursor.take(1)?;
        Some(name)
    };
    let (database, table) = (name(&mut cursor)?, name(&mut cursor)?);
    let count = usize::try_from(cursor.lenenc()?).ok()?;
    let types = cursor.take(count)?;
    let mut meta = Cursor(cursor.lenenc_bytes()?);
    let nulls = cursor.take(count.div_ceil(8))?;
    let mut columns = Vec::with_capacity(count);
    for (i, ty) in types.iter().enumerate() {
        let (ty, meta) = metadata(*ty, &mut meta)?;
        columns.push(MappedColumn {
            ty,
            meta,
            nullable: bit(nulls, i),
            unsigned: None,
            name: None,
            collation: None,
            labels: Vec::new(),
            geometry: None,
        });
    }
    let mut map = TableMap { id, database, table, columns, primary_key: Vec::new() };
    while !cursor.is_empty() {
        let kind = cursor.u8()?;
        let value = cursor.lenenc_bytes()?;
        optional(&mut map, kind, Cursor(value), maria)?;
    }
    Some(map)
}

/// The real type and its metadata.
fn metadata(ty: u8, cursor: &mut Cursor<'_>) -> Option<(u8, u16)> {
    Some(match ty {
        t::FLOAT
        | t::DOUBLE
        | t::BLOB
        | t::JSON
        | t::GEOMETRY
        | t::VECTOR
        | t::TIME2
        | t::DATETIME2
        | t::TIMESTAMP2
        | t::BLOB_COMPRESSED => (ty, cursor.u8()?.into()),
        t::VARCHAR | t::NEWDECIMAL | t::VAR_STRING | t::VARCHAR_COMPRESSED => {
            (ty, u16::from_le_bytes(cursor.array()?))
        }
        t::BIT => {
            let [bits, bytes] = cursor.array()?;
            (ty, u16::from(bytes) * 8 + u16::from(bits))
        }
        t::STRING | t::ENUM | t::SET => {
            let [real, length] = cursor.array()?;
            let length = u16::from(length);
            if real & 0x30 == 0x30 {
                (real, length)
            } else {
                // Lengths above 255 use two bits of the type's byte.
                (real | 0x30, length | (u16::from(real & 0x30) ^ 0x30) << 4)
            }
        }
        other => (other, 0),
    })
}

fn is_number(ty: u8) -> bool {
    matches!(
        ty,
        t::TINY
            | t::SHORT
            | t::INT24
            | t::LONG
            | t::LONGLONG
            | t::NEWDECIMAL
            | t::FLOAT
            | t::DOUBLE
    )
}

/// MySQL's numbers: it says of a year, too, that it has no sign.
fn is_number_or_year(ty: u8) -> bool {
    is_number(ty) || ty == t::YEAR
}

/// MariaDB's texts: its geometries are blobs.
fn is_text_or_geometry(ty: u8) -> bool {
    is_text(ty) || ty == t::GEOMETRY
}

fn is_text(ty: u8) -> bool {
    matches!(
        ty,
        t::STRING
            | t::VAR_STRING
            | t::VARCHAR
            | t::BLOB
            | t::BLOB_COMPRESSED
            | t::VARCHAR_COMPRESSED
    )
}

fn is_labelled(ty: u8) -> bool {
    matches!(ty, t::ENUM | t::SET)
}

/// One field of the optional metadata.
fn optional(map: &mut TableMap, kind: u8, mut value: Cursor<'_>, maria: bool) -> Option<()> {
    let columns = &mut map.columns;
    let number = if maria { is_number } else { is_number_or_year };
    let text_type = if maria { is_text_or_geometry } else { is_text };
    match kind {
        // A bit per number, the highest first.
        1 => {
            for (i, column) in columns.iter_mut().filter(|c| number(c.ty)).enumerate() {
                let byte = value.0.get(i / 8).copied().unwrap_or(0);
                column.unsigned = Some(byte << (i % 8) & 0x80 != 0);
            }
        }
        2 => default_collations(columns, text_type, value)?,
        3 => collations(columns, text_type, value)?,
        10 => default_collations(columns, is_labelled, value)?,
        11 => collations(columns, is_labelled, value)?,
        4 => {
            for column in columns.iter_mut() {
                column.name = Some(text(value.lenenc_bytes()?)?);
            }
        }
        5 => labels(columns.iter_mut().filter(|c| c.ty == t::SET), value)?,
        6 => labels(columns.iter_mut().filter(|c| c.ty == t::ENUM), value)?,
        7 => {
            for column in columns.iter_mut().filter(|c| c.ty == t::GEOMETRY) {
                column.geometry = Some(u32::try_from(value.lenenc()?).ok()?);
            }
        }
        8 | 9 => {
            while !value.is_empty() {
                map.primary_key.push(usize::try_from(value.lenenc()?).ok()?);
                if kind == 9 {
                    value.lenenc()?;
                }
            }
        }
        // Visibility, dimensions of vectors, and what later servers add: not needed.
        _ => {}
    }
    Some(())
}

/// A collation that most columns have, then (column, collation) for the others.
fn default_collations(
    columns: &mut [MappedColumn],
    wanted: fn(u8) -> bool,
    mut value: Cursor<'_>,
) -> Option<()> {
    let default = u32::try_from(value.lenenc()?).ok()?;
    let mut others = Vec::new();
    while !value.is_empty() {
        others.push((value.lenenc()?, u32::try_from(value.lenenc()?).ok()?));
    }
    for (i, column) in columns.iter_mut().filter(|c| wanted(c.ty)).enumerate() {
        let own = others.iter().find(|(at, _)| *at == i as u64);
        column.collation = Some(own.map_or(default, |(_, collation)| *collation));
    }
    Some(())
}

fn collations(
    columns: &mut [MappedColumn],
    wanted: fn(u8) -> bool,
    mut value: Cursor<'_>,
) -> Option<()> {
    for column in columns.iter_mut().filter(|c| wanted(c.ty)) {
        column.collation = Some(u32::try_from(value.lenenc()?).ok()?);
    }
    Some(())
}

fn labels<'a>(
    columns: impl Iterator<Item = &'a mut MappedColumn>,
    mut value: Cursor<'_>,
) -> Option<()> {
    for column in columns {
        let count = usize::try_from(value.lenenc()?).ok()?.min(value.0.len());
        column.labels = Vec::with_capacity(count);
        for _ in 0..count {
            column.labels.push(value.lenenc_bytes()?.to_vec());
        }
    }
    Some(())
}
