//! What a file of kept changes holds: descriptions of the table, and the changes that were written
//! under each, as the server sent them.
//!
//! A record: length of its body, the first bytes of the body's SHA-256, the body. A body: `D` and
//! a description as JSON; or `C`, the length of the change's stamp, the stamp as JSON, and the
//! change as a message of pgoutput.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use wasmgate_codec::pgvalue::{PgTypeKind, TypeInfo};

use crate::catalog::TableInfo;
use crate::rows::{Origin, TransactionBlock};
use crate::table::Described;

/// Bytes of a record before its body.
pub(super) const HEADER: usize = 12;

/// One version of a table, as the stream and the catalog described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    pub described: Vec<Described>,
    pub info: TableInfo,
}

/// What a change's source block says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    time_us: i64,
    sequence: String,
    transaction: i64,
    lsn: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    block: Option<(String, i64, i64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replicated: Option<(String, u64)>,
}

impl Stamp {
    pub(crate) fn of(origin: &Origin<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            time_us: origin.time_us,
            sequence: text(origin.sequence),
            transaction: origin.transaction,
            lsn: origin.lsn,
            block: origin.block.map(|b| (text(b.id), b.total_order, b.data_collection_order)),
            replicated: origin.replicated.map(|(name, lsn)| (name.to_owned(), lsn)),
        }
    }

    pub(crate) fn origin(&self) -> Origin<'_> {
        let block =
            self.block.as_ref().map(|(id, total_order, data_collection_order)| TransactionBlock {
                id: id.as_bytes(),
                total_order: *total_order,
                data_collection_order: *data_collection_order,
            });
        Origin {
            time_us: self.time_us,
            snapshot: "false",
            sequence: self.sequence.as_bytes(),
            transaction: self.transaction,
            lsn: self.lsn,
            block,
            replicated: self.replicated.as_ref().map(|(name, lsn)| (name.as_str(), *lsn)),
        }
    }
}

/// A record that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Description(Box<Description>),
    Change(Stamp, Vec<u8>),
}

/// Appends the record of a description.
pub(super) fn write_description(
    description: &Description,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let mut body = vec![b'D'];
    serde_json::to_writer(&mut body, description).map_err(|e| e.to_string())?;
    frame(&body, out);
    Ok(())
}

/// Appends the record of a change.
pub(super) fn write_change(stamp: &Stamp, change: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let stamp = serde_json::to_vec(stamp).map_err(|e| e.to_string())?;
    let mut body = Vec::with_capacity(5 + stamp.len() + change.len());
    body.push(b'C');
    body.extend_from_slice(&(stamp.len() as u32).to_be_bytes());
    body.extend_from_slice(&stamp);
    body.extend_from_slice(change);
    frame(&body, out);
    Ok(())
}

fn frame(body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(&checksum(body));
    out.extend_from_slice(body);
}

fn checksum(body: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(body);
    digest.first_chunk::<8>().copied().unwrap_or_default()
}

/// Length of the body and its checksum.
pub(super) fn header(bytes: &[u8; HEADER]) -> Result<(usize, [u8; 8]), &'static str> {
    let [a, b, c, d, sum @ ..] = *bytes;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length == 0 { Err("an empty record") } else { Ok((length, sum)) }
}

/// Reads a body.
pub(super) fn read(body: &[u8], sum: [u8; 8]) -> Result<Record, &'static str> {
    if checksum(body) != sum {
        return Err("another checksum than its record says");
    }
    match body.split_first() {
        Some((b'D', text)) => {
            let description = serde_json::from_slice(text).map_err(|_| "an odd description")?;
            Ok(Record::Description(Box::new(description)))
        }
        Some((b'C', rest)) => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or("no stamp")?;
            let length = u32::from_be_bytes(*length) as usize;
            let (stamp, change) = rest.split_at_checked(length).ok_or("a stamp cut short")?;
            let stamp = serde_json::from_slice(stamp).map_err(|_| "an odd stamp")?;
            Ok(Record::Change(stamp, change.to_vec()))
        }
        _ => Err("a record of an unknown sort"),
    }
}

/// The codec's types have no form in JSON: these have.
#[derive(Serialize, Deserialize)]
struct Type {
    name: String,
    kind: TypeKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum TypeKind {
    Base,
    Enum(Vec<String>),
    Domain { base: u32, typmod: i32 },
    Array { element: u32, inner: Option<Box<Type>> },
    Other,
}

impl From<&TypeInfo> for Type {
    fn from(info: &TypeInfo) -> Self {
        let kind = match &info.kind {
            PgTypeKind::Base => TypeKind::Base,
            PgTypeKind::Enum(labels) => TypeKind::Enum(labels.to_vec()),
            PgTypeKind::Domain { base, typmod } => {
                TypeKind::Domain { base: *base, typmod: *typmod }
            }
            PgTypeKind::Array { element, inner } => TypeKind::Array {
                element: *element,
                inner: inner.as_deref().map(|inner| Box::new(inner.into())),
            },
            PgTypeKind::Other => TypeKind::Other,
        };
        Self { name: info.name.clone(), kind, sent: info.sent.clone() }
    }
}

impl From<Type> for TypeInfo {
    fn from(stored: Type) -> Self {
        let kind = match stored.kind {
            TypeKind::Base => PgTypeKind::Base,
            TypeKind::Enum(labels) => PgTypeKind::Enum(labels.into()),
            TypeKind::Domain { base, typmod } => PgTypeKind::Domain { base, typmod },
            TypeKind::Array { element, inner } => {
                PgTypeKind::Array { element, inner: inner.map(|inner| Box::new((*inner).into())) }
            }
            TypeKind::Other => PgTypeKind::Other,
        };
        Self { name: stored.name, kind, sent: stored.sent }
    }
}

/// For `serialize_with`.
pub(crate) fn write_types<S: Serializer>(
    types: &HashMap<u32, TypeInfo>,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_map(types.iter().map(|(oid, info)| (oid, Type::from(info))))
}

/// For `deserialize_with`.
pub(crate) fn read_types<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<HashMap<u32, TypeInfo>, D::Error> {
    let stored = HashMap::<u32, Type>::deserialize(from)?;
    Ok(stored.into_iter().map(|(oid, info)| (oid, info.into())).collect())
}
