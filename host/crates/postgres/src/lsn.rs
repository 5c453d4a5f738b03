//! Places in the write-ahead log: `16/B374D848` as text, one number inside.

use std::fmt;

/// A place in the write-ahead log, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Lsn(pub u64);

impl Lsn {
    /// Reads the server's text form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let half = |t: &str| u32::from_str_radix(t, 16).ok().map(u64::from);
        Some(Self(half(high)? << 32 | half(low)?))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        for (text, number) in [("0/0", 0), ("16/B374D848", 0x16_B374_D848), ("1/0", 1 << 32)] {
            assert_eq!(Lsn::parse(text), Some(Lsn(number)));
            assert_eq!(Lsn(number).to_string(), text);
        }
        for bad in ["", "1", "x/1", "1/100000000", "/", "-1/0"] {
            assert_eq!(Lsn::parse(bad), None, "{bad}");
        }
    }
}
