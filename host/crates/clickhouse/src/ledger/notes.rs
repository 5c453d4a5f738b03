//! One noted range, and the bytes it is kept as.

use wasmgate_model::Position;

/// The form of the bytes.
const FORM: u8 = 1;
/// Places of refused rows noted per range at most; with more, the range counts as not taken.
pub(crate) const REFUSED_MAX: usize = 1000;

/// Rows of one partition for one table in (`from`, `to`], as one insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) from: Position,
    pub(crate) to: Position,
    /// Rows of the source that it was made of, refused ones included.
    pub(crate) rows: u32,
    /// Version of what is sent, see [`crate::bind::Binding::version`].
    pub(crate) version: [u8; 16],
    /// The server took it.
    pub(crate) taken: bool,
    /// Rows of a taken range that were not in it: they are dead letters, which may be lost yet.
    pub(crate) refused: Vec<Position>,
}

impl Entry {
    /// Whether both are about the same rows.
    pub(crate) fn is_range_of(&self, other: &Self) -> bool {
        (self.from, self.to, self.version) == (other.from, other.to, other.version)
    }

    pub(crate) fn holds(&self, at: Position) -> bool {
        self.from < at && at <= self.to
    }
}

/// A form byte, then per entry: both ends, rows, version, taken, count and places of refused rows.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    fn place(position: Position, out: &mut Vec<u8>) {
        out.extend_from_slice(&position.major.to_le_bytes());
        out.extend_from_slice(&position.minor.to_le_bytes());
    }
    let mut out = vec![FORM];
    for entry in entries {
        place(entry.from, &mut out);
        place(entry.to, &mut out);
        out.extend_from_slice(&entry.rows.to_le_bytes());
        out.extend_from_slice(&entry.version);
        out.push(u8::from(entry.taken));
        out.extend_from_slice(&(entry.refused.len() as u32).to_le_bytes());
        entry.refused.iter().for_each(|at| place(*at, &mut out));
    }
    out
}

/// `None`: the bytes make no sense.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut rest = bytes.strip_prefix(&[FORM])?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (from, to) = (place(&mut rest)?, place(&mut rest)?);
        let rows = u32::from_le_bytes(take(&mut rest)?);
        let version = take(&mut rest)?;
        let taken = match take::<1>(&mut rest)? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let count = u32::from_le_bytes(take(&mut rest)?);
        let refused = (0..count).map(|_| place(&mut rest)).collect::<Option<_>>()?;
        entries.push(Entry { from, to, rows, version, taken, refused });
    }
    Some(entries)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn place(rest: &mut &[u8]) -> Option<Position> {
    let major = u64::from_le_bytes(take(rest)?);
    Some(Position::new(major, u64::from_le_bytes(take(rest)?)))
}
