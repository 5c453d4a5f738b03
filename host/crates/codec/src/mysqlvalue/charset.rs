//! Text in the character set of its column, as UTF-8.

use std::sync::Arc;

use encoding_rs::Encoding;

use super::{ValueError, not};

/// How the bytes of a column are read.
#[derive(Debug, Clone)]
pub enum Charset {
    /// No text.
    Binary,
    /// `utf8mb4`, `utf8mb3`, `ascii`.
    Utf8,
    /// `utf16` and `ucs2`: two bytes, the high one first.
    Utf16,
    /// `utf16le`.
    Utf16Le,
    /// `utf32`: four bytes, the high one first.
    Utf32,
    /// One byte a character; the server says which.
    Single(Arc<[char]>),
    /// `sjis`, `gbk` and others of several bytes.
    Multi(&'static Encoding),
}

impl PartialEq for Charset {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Single(a), Self::Single(b)) => a == b,
            (Self::Multi(a), Self::Multi(b)) => std::ptr::eq(*a, *b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Charset {
    /// A character set that is known by its name. `None`: one byte a character (ask the server for
    /// a [`Charset::Single`]), or unknown.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "binary" => Self::Binary,
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => Self::Utf8,
            "utf16" | "ucs2" => Self::Utf16,
            "utf16le" => Self::Utf16Le,
            "utf32" => Self::Utf32,
            "sjis" | "cp932" => Self::Multi(encoding_rs::SHIFT_JIS),
            "ujis" | "eucjpms" => Self::Multi(encoding_rs::EUC_JP),
            "euckr" => Self::Multi(encoding_rs::EUC_KR),
            "gbk" | "gb2312" => Self::Multi(encoding_rs::GBK),
            "gb18030" => Self::Multi(encoding_rs::GB18030),
            "big5" => Self::Multi(encoding_rs::BIG5),
            _ => return None,
        })
    }

    /// Appends the text as UTF-8.
    pub(super) fn decode(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
        const WRONG: ValueError = not("text in its column's character set");
        match self {
            Self::Binary | Self::Utf8 => {
                if !is_utf8(bytes) {
                    return Err(not("UTF-8"));
                }
                out.extend_from_slice(bytes);
            }
            Self::Utf16 => return utf16(bytes, u16::from_be_bytes, out).ok_or(WRONG),
            Self::Utf16Le => return utf16(bytes, u16::from_le_bytes, out).ok_or(WRONG),
            Self::Utf32 => {
                let (units, rest) = bytes.as_chunks::<4>();
                let start = out.len();
                for unit in units {
                    match char::from_u32(u32::from_be_bytes(*unit)) {
                        Some(c) => push_char(c, out),
                        None => {
                            out.truncate(start);
                            return Err(WRONG);
                        }
                    }
                }
                if !rest.is_empty() {
                    out.truncate(start);
                    return Err(WRONG);
                }
            }
            Self::Single(table) => {
                for byte in bytes {
                    push_char(table.get(usize::from(*byte)).copied().unwrap_or('\u{fffd}'), out);
                }
            }
            Self::Multi(encoding) => {
                if bytes.is_ascii() {
                    out.extend_from_slice(bytes);
                } else {
                    let (text, _) = encoding.decode_without_bom_handling(bytes);
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
        Ok(())
    }
}

fn push_char(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, out: &mut Vec<u8>) -> Option<()> {
    let (units, rest) = bytes.as_chunks::<2>();
    let start = out.len();
    let decoded = char::decode_utf16(units.iter().map(|u| unit(*u)));
    for c in decoded {
        match c {
            Ok(c) => push_char(c, out),
            Err(_) => {
                out.truncate(start);
                return None;
            }
        }
    }
    if rest.is_empty() {
        Some(())
    } else {
        out.truncate(start);
        None
    }
}

/// Short texts are mostly ASCII, where the standard library's check is the cheapest.
pub(super) fn is_utf8(text: &[u8]) -> bool {
    if text.len() < 64 {
        text.is_ascii() || std::str::from_utf8(text).is_ok()
    } else {
        simdutf8::basic::from_utf8(text).is_ok()
    }
}
