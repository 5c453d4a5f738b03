//! What is left of some bytes. Every read is checked.

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    /// A little-endian number of `n` (at most 8) bytes.
    pub(super) fn le(&mut self, n: usize) -> Option<u64> {
        Some(little(self.take(n)?))
    }

    /// A big-endian number of `n` (at most 8) bytes.
    pub(super) fn be(&mut self, n: usize) -> Option<u64> {
        Some(big(self.take(n)?))
    }

    /// Bytes with their length in so many bytes before them.
    #[inline]
    pub(super) fn sized(&mut self, prefix: u8) -> Option<&'a [u8]> {
        let length = match prefix {
            1 => usize::from(self.u8()?),
            2 => usize::from(u16::from_le_bytes(self.array()?)),
            other => usize::try_from(self.le(other.into())?).ok()?,
        };
        self.take(length)
    }

    /// A length-encoded integer of the client protocol.
    pub(super) fn lenenc(&mut self) -> Option<u64> {
        match self.u8()? {
            n @ 0..=0xfa => Some(n.into()),
            0xfc => self.le(2),
            0xfd => self.le(3),
            0xfe => self.le(8),
            0xfb | 0xff => None,
        }
    }

    /// Bytes with a length-encoded length before them.
    pub(super) fn lenenc_bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.lenenc()?).ok()?;
        self.take(length)
    }
}

/// A little-endian number of at most 8 bytes.
pub(super) fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

/// A big-endian number of at most 8 bytes.
pub(super) fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Bit `i` of a bitmap whose lowest bit comes first.
pub(super) fn bit(map: &[u8], i: usize) -> bool {
    map.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1)
}
