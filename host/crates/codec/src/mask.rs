//! Values that leave masked: Debezium's `column.mask.*` and `column.truncate.to.N.chars`.

use std::fmt;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_256};

/// A digest, by its name in the Java Cryptography Architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_256,
}

impl HashAlgorithm {
    /// Names that [`HashAlgorithm::parse`] knows, for messages.
    pub const NAMES: &str = "MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/256";

    /// By name, in any case; `None`: unknown.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MD5" => Self::Md5,
            "SHA" | "SHA1" | "SHA-1" => Self::Sha1,
            "SHA-224" => Self::Sha224,
            "SHA-256" => Self::Sha256,
            "SHA-384" => Self::Sha384,
            "SHA-512" => Self::Sha512,
            "SHA-512/256" => Self::Sha512_256,
            _ => return None,
        })
    }

    fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn of<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            parts.iter().for_each(|part| digest.update(part));
            digest.finalize().to_vec()
        }
        match self {
            Self::Md5 => of::<Md5>(parts),
            Self::Sha1 => of::<Sha1>(parts),
            Self::Sha224 => of::<Sha224>(parts),
            Self::Sha256 => of::<Sha256>(parts),
            Self::Sha384 => of::<Sha384>(parts),
            Self::Sha512 => of::<Sha512>(parts),
            Self::Sha512_256 => of::<Sha512_256>(parts),
        }
    }
}

/// What is done to the values of a column.
#[derive(Clone, PartialEq, Eq)]
pub enum Mask {
    /// This many stars stand for every value, null too.
    Stars(usize),
    /// Hexadecimal digits of a digest of salt and text.
    Hash {
        algorithm: HashAlgorithm,
        salt: Vec<u8>,
        /// Version 1 hashes the text as Java serialises it, version 2 the text alone.
        version: HashVersion,
    },
    /// At most this many characters (UTF-16 units, as in Java) or bytes.
    Truncate(usize),
}

/// What of a text goes into a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashVersion {
    /// Java's serialised form (`column.mask.hash`).
    V1,
    /// The text in UTF-8 (`column.mask.hash.v2`).
    #[default]
    V2,
}

/// The salt is a secret: it is not shown.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stars(count) => write!(f, "Stars({count})"),
            Self::Truncate(count) => write!(f, "Truncate({count})"),
            Self::Hash { algorithm, version, .. } => write!(f, "Hash({algorithm:?}, {version:?})"),
        }
    }
}

impl Mask {
    /// Appends what stands for a text. `length`: of the column, where it is bounded; a hash is
    /// cut to it.
    pub fn text(&self, text: &[u8], length: Option<usize>, out: &mut Vec<u8>) {
        match self {
            Self::Stars(count) => out.resize(out.len() + count, b'*'),
            Self::Truncate(units) => out.extend_from_slice(first_units(text, *units)),
            Self::Hash { algorithm, salt, version } => {
                let digest = match version {
                    HashVersion::V1 => algorithm.digest(&[salt, &java_serialised(text)]),
                    HashVersion::V2 => algorithm.digest(&[salt, text]),
                };
                let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let digit = |nibble| char::from_digit(nibble, 16).map_or(b'0', |c| c as u8);
                let count = length.unwrap_or(usize::MAX);
                out.extend(digits.take(count).map(|nibble| digit(u32::from(nibble))));
            }
        }
    }

    /// What is left of bytes.
    #[must_use]
    pub fn bytes<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        match self {
            Self::Truncate(count) => bytes.get(..*count).unwrap_or(bytes),
            _ => bytes,
        }
    }
}

/// As many characters from the start as fit this many UTF-16 units; no character is cut.
fn first_units(text: &[u8], units: usize) -> &[u8] {
    if text.len() <= units {
        return text;
    }
    let (mut at, mut left) = (0, units);
    while let Some(first) = text.get(at) {
        let (bytes, needs) = match first {
            0xf0.. => (4, 2),
            0xe0.. => (3, 1),
            0xc0.. => (2, 1),
            _ => (1, 1),
        };
        if needs > left {
            break;
        }
        (at, left) = (at + bytes, left - needs);
    }
    text.get(..at).unwrap_or(text)
}

/// A string as `java.io.ObjectOutputStream` writes it (Java Object Serialization, 6.4).
fn java_serialised(text: &[u8]) -> Vec<u8> {
    let body = modified_utf8(text);
    let mut out = vec![0xac, 0xed, 0, 5];
    match u16::try_from(body.len()) {
        Ok(length) => {
            out.push(0x74);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            out.push(0x7c);
            out.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&body);
    out
}

/// Java's UTF-8: zero in two bytes, characters beyond the first plane as two surrogates.
fn modified_utf8(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '\0' => out.extend_from_slice(&[0xc0, 0x80]),
            '\u{10000}'.. => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let unit = u32::from(*unit);
                    let byte = |shift: u32| 0x80 | (unit >> shift & 0x3f) as u8;
                    out.extend_from_slice(&[0xe0 | (unit >> 12) as u8, byte(6), byte(0)]);
                }
            }
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(mask: &Mask, text: &str, length: Option<usize>) -> String {
        let mut out = Vec::new();
        mask.text(text.as_bytes(), length, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn hashes_are_those_of_the_recorded_engine() {
        // recorded: column.mask.hash.SHA-256.with.salt.CzQMA0cB5K on a varchar(20) `hello`
        let hash = |version| Mask::Hash {
            algorithm: HashAlgorithm::Sha256,
            salt: b"CzQMA0cB5K".to_vec(),
            version,
        };
        assert_eq!(masked(&hash(HashVersion::V1), "hello", Some(20)), "b4d39ab0d198fb4cac8b");
        let long = masked(&hash(HashVersion::V2), "hello", None);
        assert_eq!(long.len(), 64);
        assert_ne!(long.get(..20), Some("b4d39ab0d198fb4cac8b"));
        assert_eq!(java_serialised("a\0😀".as_bytes()).len(), 7 + 1 + 2 + 6);
        assert_eq!(java_serialised(&vec![b'a'; 70_000]).len(), 13 + 70_000);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        for (units, want) in [(0, ""), (3, "hél"), (5, "héllo"), (6, "héllo"), (7, "héllo😀")]
        {
            assert_eq!(masked(&Mask::Truncate(units), "héllo😀", None), want, "{units}");
        }
        assert_eq!(Mask::Truncate(2).bytes(b"abc"), b"ab");
        assert_eq!(masked(&Mask::Stars(5), "x", Some(2)), "*****");
    }

    #[test]
    fn every_algorithm_has_a_name() {
        for name in HashAlgorithm::NAMES.split(", ") {
            assert!(HashAlgorithm::parse(&name.to_lowercase()).is_some(), "{name}");
        }
        assert_eq!(HashAlgorithm::parse("CRC32"), None);
    }
}
