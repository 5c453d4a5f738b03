//! Bodies of binlog events that are not rows: transactions, statements, rotations; MariaDB's own
//! among them, which the client library does not know. Layouts: MySQL's
//! `libs/mysql/binlog/event/control_events.h`, MariaDB's `sql/log_event.h`.

use crate::gtid::Gtid;

/// Types of events.
pub(crate) mod kind {
    pub(crate) const QUERY: u8 = 2;
    pub(crate) const ROTATE: u8 = 4;
    pub(crate) const FORMAT: u8 = 15;
    pub(crate) const XID: u8 = 16;
    pub(crate) const BEGIN_LOAD: u8 = 17;
    pub(crate) const EXECUTE_LOAD: u8 = 18;
    pub(crate) const TABLE_MAP: u8 = 19;
    pub(crate) const INCIDENT: u8 = 26;
    pub(crate) const HEARTBEAT: u8 = 27;
    pub(crate) const ROWS_QUERY: u8 = 29;
    pub(crate) const GTID: u8 = 33;
    pub(crate) const ANONYMOUS_GTID: u8 = 34;
    pub(crate) const XA_PREPARE: u8 = 38;
    pub(crate) const PAYLOAD: u8 = 40;
    pub(crate) const HEARTBEAT_V2: u8 = 41;
    pub(crate) const GTID_TAGGED: u8 = 42;
    pub(crate) const MARIA_ANNOTATE: u8 = 160;
    pub(crate) const MARIA_GTID: u8 = 162;
    pub(crate) const MARIA_START_ENCRYPTION: u8 = 164;
    pub(crate) const MARIA_QUERY_COMPRESSED: u8 = 165;
    /// Rows events from here to 171 are compressed.
    pub(crate) const MARIA_ROWS_COMPRESSED: u8 = 166;
}

/// The first event of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begin {
    pub gtid: Gtid,
    /// Of the commit, microseconds since 1970; `None`: the header's second is all there is.
    pub commit_us: Option<i64>,
    /// MariaDB: no BEGIN follows.
    pub is_begin: bool,
    /// MariaDB: an XA transaction up to its PREPARE.
    pub prepares: bool,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub thread: u32,
    pub database: String,
    pub sql: String,
    pub error: u16,
}

fn le(bytes: &[u8], at: usize, n: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(n)?)?;
    Some(bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)))
}

/// GTID_EVENT and ANONYMOUS_GTID_EVENT.
pub(crate) fn gtid(body: &[u8], anonymous: bool) -> Option<Begin> {
    let uuid: [u8; 16] = *body.get(1..)?.first_chunk::<16>()?;
    let number = le(body, 17, 8)?;
    // Behind the logical clock (its mark is 2): seven bytes, the highest bit tells of another time.
    let commit_us = match body.get(25) {
        Some(2) => le(body, 42, 7).map(|us| (us & !(1 << 55)) as i64),
        _ => None,
    };
    let gtid = if anonymous { Gtid::Anonymous } else { Gtid::MySql(uuid, String::new(), number) };
    Some(Begin { gtid, commit_us, is_begin: false, prepares: false })
}

/// A number of MySQL's serialisation library: the ones at the low end of the first byte tell how
/// many bytes follow.
fn varlen(rest: &mut &[u8]) -> Option<u64> {
    let ones = rest.first()?.trailing_ones() as usize;
    let (skip, size, shift) = if ones == 8 { (1, 8, 0) } else { (0, ones + 1, ones + 1) };
    let value = le(rest, skip, size)?;
    *rest = rest.get(skip + size..)?;
    Some(value >> shift)
}

/// GTID_TAGGED_LOG_EVENT: fields by number, in the form of the serialisation library, version 2.
pub(crate) fn tagged_gtid(body: &[u8]) -> Option<Begin> {
    let (version, mut rest) = body.split_first()?;
    if *version != 2 {
        return None;
    }
    varlen(&mut rest)?; // size
    varlen(&mut rest)?; // the last field that must be known
    let (mut uuid, mut tag, mut number, mut commit_us) = ([0; 16], String::new(), 0, None);
    while !rest.is_empty() {
        match varlen(&mut rest)? {
            1 => {
                for byte in &mut uuid {
                    *byte = u8::try_from(varlen(&mut rest)?).ok()?;
                }
            }
            // Signed numbers have their sign in the lowest bit.
            2 => number = varlen(&mut rest)? >> 1,
            3 => {
                let length = usize::try_from(varlen(&mut rest)?).ok()?;
                let (text, after) = rest.split_at_checked(length)?;
                tag = std::str::from_utf8(text).ok()?.to_owned();
                rest = after;
            }
            6 => commit_us = i64::try_from(varlen(&mut rest)?).ok(),
            _ => {
                varlen(&mut rest)?;
            }
        }
    }
    let gtid = Gtid::MySql(uuid, tag, number);
    Some(Begin { gtid, commit_us, is_begin: false, prepares: false })
}

/// MariaDB's GTID_EVENT, and for XA transactions their name.
pub(crate) fn maria_gtid(body: &[u8], server_id: u32) -> Option<Begin> {
    let number = le(body, 0, 8)?;
    let domain = u32::try_from(le(body, 8, 4)?).ok()?;
    let flags = *body.get(12)?;
    let (standalone, prepared) = (flags & 1 != 0, flags & 64 != 0);
    // Flag 128: a COMMIT or ROLLBACK of a prepared transaction follows as a statement.
    Some(Begin {
        gtid: Gtid::MariaDb(domain, server_id, number),
        commit_us: None,
        is_begin: !standalone,
        prepares: prepared,
    })
}

/// ROTATE_EVENT: the next file, and where it is read from.
pub(crate) fn rotate(body: &[u8]) -> Option<(u64, String)> {
    let name = body.get(8..)?;
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    Some((le(body, 0, 8)?, std::str::from_utf8(name.get(..end)?).ok()?.to_owned()))
}

/// QUERY_EVENT; MariaDB's compressed one holds the statement compressed.
pub(crate) fn query(body: &[u8], compressed: bool) -> Option<Query> {
    let thread = u32::try_from(le(body, 0, 4)?).ok()?;
    let database_length = usize::from(*body.get(8)?);
    let error = u16::try_from(le(body, 9, 2)?).ok()?;
    let status_length = le(body, 11, 2)? as usize;
    let rest = body.get(13 + status_length..)?;
    let (database, rest) = rest.split_at_checked(database_length)?;
    let sql = rest.get(1..)?;
    let sql = if compressed { inflate(sql)? } else { sql.to_vec() };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Query { thread, database: text(database), sql: text(&sql), error })
}

/// MariaDB's compressed parts: a byte with the method and the size of the length, the length with
/// its highest byte first, zlib data.
pub(crate) fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let (head, rest) = bytes.split_first()?;
    if head & 0x70 != 0 {
        return None;
    }
    let (length, data) = rest.split_at_checked(usize::from(head & 7))?;
    let length = length.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b));
    // A lie about the length costs no memory before the data is there.
    let mut out = Vec::with_capacity(length.min(data.len().saturating_mul(1100)));
    let limit = u64::try_from(length).ok()?.saturating_add(1);
    flate2::read::ZlibDecoder::new(data).take(limit).read_to_end(&mut out).ok()?;
    (out.len() == length).then_some(out)
}

/// The size of a transaction payload when unpacked.
pub(crate) fn payload_size(body: &[u8]) -> Option<u64> {
    let mut rest = body;
    let mut number = || -> Option<u64> {
        let (first, after) = rest.split_first()?;
        let size = match first {
            0..=0xfa => {
                rest = after;
                return Some(u64::from(*first));
            }
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            _ => return None,
        };
        let value = le(after, 0, size)?;
        rest = after.get(size..)?;
        Some(value)
    };
    // Fields by number: 1 size, 2 compression, 3 unpacked size, 0 the end.
    loop {
        match number()? {
            0 => return None,
            3 => {
                number()?;
                return number();
            }
            _ => {
                number()?;
                number()?;
            }
        }
    }
}

/// XA_PREPARE_LOG_EVENT: whether it is also the commit, and the transaction's name.
pub(crate) fn xa_prepare(body: &[u8]) -> Option<(bool, String)> {
    let one_phase = *body.first()? != 0;
    let format = le(body, 1, 4)? as u32 as i32;
    let (first, second) = (le(body, 5, 4)? as usize, le(body, 9, 4)? as usize);
    let data = body.get(13..)?;
    let (global, branch) = (data.get(..first)?, data.get(first..first.checked_add(second)?)?);
    Some((one_phase, xid_name(global, branch, format.into())))
}

fn xid_name(global: &[u8], branch: &[u8], format: i64) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    format!("{},{},{format}", hex(global), hex(branch))
}

/// The name in `XA COMMIT X'6162',X'63',1`, in the form of [`xa_prepare`].
pub(crate) fn xid_of(statement: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in statement.split(',').map(str::trim) {
        let part = part.split_whitespace().next().unwrap_or("");
        let lower = part.to_ascii_lowercase();
        if let Some(hex) = lower.strip_prefix("x'").and_then(|p| p.strip_suffix('\'')) {
            parts.push(hex.to_owned());
        } else if let Some(hex) = lower.strip_prefix("0x") {
            parts.push(hex.to_owned());
        } else if let Some(text) = part.strip_prefix('\'').and_then(|p| p.strip_suffix('\'')) {
            parts.push(text.bytes().map(|b| format!("{b:02x}")).collect());
        } else {
            parts.push(part.parse::<i64>().ok()?.to_string());
        }
    }
    let part = |i: usize, default: &str| parts.get(i).cloned().unwrap_or_else(|| default.into());
    Some(format!("{},{},{}", parts.first()?, part(1, ""), part(2, "1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_xa_transactions_agree() {
        let mut body = vec![0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0];
        body.extend_from_slice(b"abc");
        let name = "6162,63,1".to_owned();
        assert_eq!(xa_prepare(&body), Some((false, name.clone())));
        for statement in
            ["X'6162',X'63',1", "0x6162, 0x63", "'ab','c',1", "X'6162',X'63',1 ONE PHASE"]
        {
            assert_eq!(xid_of(statement), Some(name.clone()), "{statement}");
        }
    }
}
