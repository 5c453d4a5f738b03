//! The messages of the pgoutput plugin as views into the received bytes: version 1 here, what
//! later versions add in `control`.
//!
//! [`decode`] checks a whole message, so that everything it gives out is infallible afterwards:
//! tuples are walked once to check them and once more by whoever reads their values.
//! Source of the layout: PostgreSQL manual, "Logical Replication Message Formats".

mod control;
pub(crate) mod wire;

use std::fmt;

pub use control::{Control, Prepared, decode_control, decode_streamed, streamed_xid};
use wire::Wire;

/// Microseconds between 1970-01-01 and 2000-01-01, where Postgres starts to count.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Start of a transaction. `commit_us` is in microseconds since 1970.
    Begin {
        final_lsn: u64,
        commit_us: i64,
        xid: u32,
    },
    /// End of the transaction. `commit_us` is in microseconds since 1970.
    Commit {
        commit_lsn: u64,
        end_lsn: u64,
        commit_us: i64,
    },
    /// The transaction was replayed from another server; follows `Begin`.
    Origin {
        lsn: u64,
        name: &'a str,
    },
    /// Describes a table; sent before its first row and after every change of it.
    Relation(Relation<'a>),
    /// Names a type that is not built in; sent before the relation that uses it.
    Type {
        oid: u32,
        namespace: &'a str,
        name: &'a str,
    },
    Insert {
        relation: u32,
        new: Tuple<'a>,
    },
    /// `old` is there where the key changed, or always with identity FULL.
    Update {
        relation: u32,
        old: Option<(OldKind, Tuple<'a>)>,
        new: Tuple<'a>,
    },
    Delete {
        relation: u32,
        kind: OldKind,
        old: Tuple<'a>,
    },
    Truncate {
        relations: Vec<u32>,
        cascade: bool,
        restart_identity: bool,
    },
    /// Written with `pg_logical_emit_message`.
    Logical {
        transactional: bool,
        lsn: u64,
        prefix: &'a str,
        content: &'a [u8],
    },
}

/// What an old tuple holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldKind {
    /// The columns of the replica identity; the others are null.
    Key,
    /// The whole row.
    Full,
}

/// A table as it was when the following rows were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation<'a> {
    pub id: u32,
    /// Empty for `pg_catalog`.
    pub namespace: &'a str,
    pub name: &'a str,
    /// Replica identity: `d`efault, `n`othing, `f`ull or `i`ndex.
    pub identity: u8,
    pub columns: Vec<RelationColumn<'a>>,
}

/// A column of a [`Relation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationColumn<'a> {
    /// Part of the replica identity.
    pub key: bool,
    pub name: &'a str,
    pub type_oid: u32,
    /// -1 where the type has no modifier.
    pub type_modifier: i32,
}

/// The values of a row, in the order of the relation's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    columns: u16,
    /// Checked: exactly `columns` values.
    values: &'a [u8],
}

/// One value of a [`Tuple`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TupleValue<'a> {
    Null,
    /// A large value that the update did not touch and the server did not send.
    Unchanged,
    /// The type's text output.
    Text(&'a [u8]),
    /// The type's binary output; only sent when asked for.
    Binary(&'a [u8]),
}

impl<'a> Tuple<'a> {
    /// How many columns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.columns)
    }

    /// Whether the row has no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// Appends the tuple as it stands in messages.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.columns.to_be_bytes());
        out.extend_from_slice(self.values);
    }

    /// The values, in order.
    pub fn iter(&self) -> impl Iterator<Item = TupleValue<'a>> + use<'a> {
        let mut wire = Wire::new(self.values);
        (0..self.columns).map_while(move |_| wire.tuple_value().ok())
    }
}

/// Bytes that are not a message of protocol version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// First byte of the message; 0 for an empty one.
    pub tag: u8,
    /// Where in the message it went wrong, in bytes.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tag, at, expected } = self;
        let tag = tag.escape_ascii();
        write!(f, "pgoutput message '{tag}': expected {expected} at byte {at}")
    }
}

impl std::error::Error for DecodeError {}

/// Reads one message: the payload of an XLogData message.
///
/// # Errors
/// The bytes are cut short, too long, or not a message of protocol version 1.
pub fn decode(bytes: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut wire = Wire::new(bytes);
    let tag = bytes.first().copied().unwrap_or(0);
    message(&mut wire)
        .and_then(|message| wire.end().map(|()| message))
        .map_err(|expected| DecodeError { tag, at: wire.at(), expected })
}

fn message<'a>(wire: &mut Wire<'a>) -> Result<Message<'a>, &'static str> {
    let tag = wire.u8()?;
    message_after(tag, wire)
}

/// What follows the tag.
fn message_after<'a>(tag: u8, wire: &mut Wire<'a>) -> Result<Message<'a>, &'static str> {
    Ok(match tag {
        b'I' => {
            let relation = wire.u32()?;
            wire.expect(b'N', "a new tuple ('N')")?;
            Message::Insert { relation, new: wire.tuple()? }
        }
        b'U' => update(wire)?,
        b'D' => {
            let relation = wire.u32()?;
            let kind = old_kind(wire.u8()?).ok_or("an old tuple ('K' or 'O')")?;
            Message::Delete { relation, kind, old: wire.tuple()? }
        }
        b'B' => Message::Begin {
            final_lsn: wire.u64()?,
            commit_us: unix_us(wire.u64()?),
            xid: wire.u32()?,
        },
        b'C' => {
            wire.u8()?;
            Message::Commit {
                commit_lsn: wire.u64()?,
                end_lsn: wire.u64()?,
                commit_us: unix_us(wire.u64()?),
            }
        }
        b'R' => Message::Relation(relation(wire)?),
        b'Y' => Message::Type { oid: wire.u32()?, namespace: wire.text()?, name: wire.text()? },
        b'O' => Message::Origin { lsn: wire.u64()?, name: wire.text()? },
        b'T' => truncate(wire)?,
        b'M' => {
            let transactional = wire.u8()? & 1 == 1;
            let (lsn, prefix) = (wire.u64()?, wire.text()?);
            Message::Logical { transactional, lsn, prefix, content: wire.sized()? }
        }
        _ => return Err("a tag of protocol version 1 (B, C, D, I, M, O, R, T, U or Y)"),
    })
}

fn unix_us(postgres: u64) -> i64 {
    (postgres as i64).saturating_add(POSTGRES_EPOCH_US)
}

fn old_kind(tag: u8) -> Option<OldKind> {
    match tag {
        b'K' => Some(OldKind::Key),
        b'O' => Some(OldKind::Full),
        _ => None,
    }
}

fn update<'a>(wire: &mut Wire<'a>) -> Result<Message<'a>, &'static str> {
    let relation = wire.u32()?;
    let tag = wire.u8()?;
    let old = match old_kind(tag) {
        Some(kind) => {
            let old = wire.tuple()?;
            wire.expect(b'N', "a new tuple ('N')")?;
            Some((kind, old))
        }
        None if tag == b'N' => None,
        None => return Err("a tuple ('K', 'O' or 'N')"),
    };
    Ok(Message::Update { relation, old, new: wire.tuple()? })
}

fn relation<'a>(wire: &mut Wire<'a>) -> Result<Relation<'a>, &'static str> {
    let (id, namespace, name) = (wire.u32()?, wire.text()?, wire.text()?);
    let identity = wire.u8()?;
    let columns = (0..wire.u16()?)
        .map(|_| {
            Ok(RelationColumn {
                key: wire.u8()? & 1 == 1,
                name: wire.text()?,
                type_oid: wire.u32()?,
                type_modifier: wire.u32()? as i32,
            })
        })
        .collect::<Result<_, &'static str>>()?;
    Ok(Relation { id, namespace, name, identity, columns })
}

fn truncate<'a>(wire: &mut Wire<'a>) -> Result<Message<'a>, &'static str> {
    let (count, flags) = (wire.u32()?, wire.u8()?);
    let relations = (0..count).map(|_| wire.u32()).collect::<Result<_, _>>()?;
    Ok(Message::Truncate { relations, cascade: flags & 1 != 0, restart_identity: flags & 2 != 0 })
}
