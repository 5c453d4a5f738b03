//! What later versions of the protocol add: transactions that are sent while they run (2), in two
//! phases (3), and where their aborts stand in the log (4). Their changes carry the number of the
//! sub-transaction between tag and body; the server's manual describes both.

use super::wire::Wire;
use super::{DecodeError, Message, message_after, unix_us};

/// A message that begins, ends or decides a piece of a transaction. Times are microseconds since
/// 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control<'a> {
    /// A piece of a transaction that is not committed yet follows, up to [`Control::StreamStop`].
    StreamStart {
        xid: u32,
        first: bool,
    },
    StreamStop,
    StreamCommit {
        xid: u32,
        commit_lsn: u64,
        end_lsn: u64,
        commit_us: i64,
    },
    /// `sub_xid` is taken back, with everything that came after its first change; the whole
    /// transaction where both numbers are the same.
    StreamAbort {
        xid: u32,
        sub_xid: u32,
    },
    /// A prepared transaction follows whole, up to [`Control::Prepare`].
    BeginPrepare(Prepared<'a>),
    Prepare(Prepared<'a>),
    /// What was sent in pieces is prepared.
    StreamPrepare(Prepared<'a>),
    CommitPrepared {
        xid: u32,
        commit_lsn: u64,
        end_lsn: u64,
        commit_us: i64,
        gid: &'a str,
    },
    RollbackPrepared {
        xid: u32,
        end_lsn: u64,
        gid: &'a str,
    },
}

/// A transaction that waits for its second phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared<'a> {
    pub xid: u32,
    /// Start of the record that prepared it.
    pub prepare_lsn: u64,
    /// End of that record.
    pub end_lsn: u64,
    pub gid: &'a str,
}

/// Reads a message of versions 2 to 4. `None`: one of version 1, for [`super::decode`] or, inside
/// a piece of a transaction, for [`decode_streamed`].
///
/// # Errors
/// The bytes are cut short or too long.
pub fn decode_control(bytes: &[u8]) -> Result<Option<Control<'_>>, DecodeError> {
    let Some(tag) = bytes.first().copied().filter(|tag| b"SEcAbPKrp".contains(tag)) else {
        return Ok(None);
    };
    let mut wire = Wire::new(bytes);
    control(&mut wire)
        .and_then(|control| wire.end().map(|()| Some(control)))
        .map_err(|expected| DecodeError { tag, at: wire.at(), expected })
}

/// Number of the sub-transaction that a change inside a piece belongs to. `None`: the message has
/// none (an origin).
///
/// # Errors
/// The bytes are cut short.
pub fn streamed_xid(bytes: &[u8]) -> Result<Option<u32>, DecodeError> {
    let tag = bytes.first().copied().unwrap_or(0);
    if tag == b'O' {
        return Ok(None);
    }
    let mut wire = Wire::new(bytes);
    let xid = wire.u8().and_then(|_| wire.u32());
    xid.map(Some).map_err(|expected| DecodeError { tag, at: wire.at(), expected })
}

/// Reads a change inside a piece of a transaction: as [`super::decode`], with the number of its
/// sub-transaction between tag and body.
///
/// # Errors
/// As for [`super::decode`].
pub fn decode_streamed(bytes: &[u8]) -> Result<Message<'_>, DecodeError> {
    let tag = bytes.first().copied().unwrap_or(0);
    let mut wire = Wire::new(bytes);
    streamed(&mut wire)
        .and_then(|message| wire.end().map(|()| message))
        .map_err(|expected| DecodeError { tag, at: wire.at(), expected })
}

fn streamed<'a>(wire: &mut Wire<'a>) -> Result<Message<'a>, &'static str> {
    let tag = wire.u8()?;
    if tag != b'O' {
        wire.u32()?;
    }
    message_after(tag, wire)
}

fn control<'a>(wire: &mut Wire<'a>) -> Result<Control<'a>, &'static str> {
    Ok(match wire.u8()? {
        b'S' => Control::StreamStart { xid: wire.u32()?, first: wire.u8()? == 1 },
        b'E' => Control::StreamStop,
        b'c' => {
            let xid = wire.u32()?;
            wire.u8()?;
            Control::StreamCommit {
                xid,
                commit_lsn: wire.u64()?,
                end_lsn: wire.u64()?,
                commit_us: unix_us(wire.u64()?),
            }
        }
        b'A' => {
            let (xid, sub_xid) = (wire.u32()?, wire.u32()?);
            // Version 4 adds where and when.
            if wire.end().is_err() {
                wire.u64()?;
                wire.u64()?;
            }
            Control::StreamAbort { xid, sub_xid }
        }
        b'b' => Control::BeginPrepare(prepared(wire)?),
        b'P' => {
            wire.u8()?;
            Control::Prepare(prepared(wire)?)
        }
        b'p' => {
            wire.u8()?;
            Control::StreamPrepare(prepared(wire)?)
        }
        b'K' => {
            wire.u8()?;
            let (commit_lsn, end_lsn) = (wire.u64()?, wire.u64()?);
            let commit_us = unix_us(wire.u64()?);
            let (xid, gid) = (wire.u32()?, wire.text()?);
            Control::CommitPrepared { xid, commit_lsn, end_lsn, commit_us, gid }
        }
        _ => {
            wire.u8()?;
            let (_, end_lsn) = (wire.u64()?, wire.u64()?);
            let _times = (wire.u64()?, wire.u64()?);
            Control::RollbackPrepared { xid: wire.u32()?, end_lsn, gid: wire.text()? }
        }
    })
}

fn prepared<'a>(wire: &mut Wire<'a>) -> Result<Prepared<'a>, &'static str> {
    let (prepare_lsn, end_lsn) = (wire.u64()?, wire.u64()?);
    wire.u64()?;
    Ok(Prepared { xid: wire.u32()?, prepare_lsn, end_lsn, gid: wire.text()? })
}
