//! The syntax of RFC 8259, checked byte by byte without building anything.
//!
//! [`Scanner`] moves over one document; whoever drives it records where things lie. UTF-8 is not
//! its business: callers check whole batches at once. Byte 0, which JSON allows nowhere, stands
//! for the end of the document, so that looking ahead needs no bounds check of its own.

use super::{DocumentError, Reason};

/// Objects and arrays inside each other, the outermost included.
pub(super) const MAX_DEPTH: u32 = 128;

/// A place in a document. After an error `at` is where it was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The error at the place where scanning stopped.
    #[cold]
    pub(super) fn error(&self, reason: Reason) -> DocumentError {
        let ended = self.at >= self.bytes.len() && reason != Reason::Depth;
        DocumentError { offset: self.at, reason: if ended { Reason::End } else { reason } }
    }

    /// The next byte; 0 at the end.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Everything that is left.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// The bytes between two places.
    #[inline]
    pub(super) fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to).unwrap_or(&[])
    }

    /// Skips white space.
    #[inline]
    pub(super) fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// The document ends here, but for white space.
    pub(super) fn finish(&mut self) -> Result<(), Reason> {
        self.space();
        if self.at < self.bytes.len() { Err(Reason::Trailing) } else { Ok(()) }
    }

    /// Enters the object that starts here. False: it is empty, and left again.
    #[inline]
    pub(super) fn open_object(&mut self) -> Result<bool, Reason> {
        if self.peek() != b'{' {
            return Err(Reason::Object);
        }
        self.at += 1;
        self.space();
        let empty = self.peek() == b'}';
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// After a member of an object: moves to the next one. False: the object is left.
    #[inline]
    pub(super) fn next_member(&mut self) -> Result<bool, Reason> {
        self.space();
        let more = match self.peek() {
            b',' => true,
            b'}' => false,
            _ => return Err(Reason::CommaOrEnd),
        };
        self.at += 1;
        if more {
            self.space();
        }
        Ok(more)
    }

    /// A member's name and colon, up to its value. The name with its quotes, and whether it has
    /// escapes.
    #[inline]
    pub(super) fn name(&mut self) -> Result<(&'a [u8], bool), Reason> {
        if self.peek() != b'"' {
            return Err(Reason::Name);
        }
        let start = self.at;
        let escaped = self.string()?;
        let name = self.slice(start, self.at);
        self.space();
        if self.peek() != b':' {
            return Err(Reason::Colon);
        }
        self.at += 1;
        self.space();
        Ok((name, escaped))
    }

    /// Any value inside `depth` containers.
    #[inline]
    pub(super) fn value(&mut self, depth: u32) -> Result<(), Reason> {
        match self.peek() {
            b'{' | b'[' => self.container(depth),
            _ => self.scalar(),
        }
    }

    #[inline]
    fn scalar(&mut self) -> Result<(), Reason> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(Reason::Value),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Reason> {
        if !self.rest().starts_with(word) {
            return Err(Reason::Value);
        }
        self.at += word.len();
        Ok(())
    }

    /// An object or array with everything in it. One bit per level says which it is.
    fn container(&mut self, depth: u32) -> Result<(), Reason> {
        let mut objects: u128 = 0;
        let mut level = 0;
        loop {
            let open = self.peek();
            if matches!(open, b'{' | b'[') {
                level += 1;
                if depth + level > MAX_DEPTH {
                    return Err(Reason::Depth);
                }
                let object = open == b'{';
                objects = objects << 1 | u128::from(object);
                self.at += 1;
                self.space();
                // The closing bracket stands two places behind the opening one in ASCII.
                if self.peek() != open + 2 {
                    if object {
                        self.name()?;
                    }
                    continue;
                }
            } else {
                self.scalar()?;
            }
            if self.close(&mut objects, &mut level)? {
                return Ok(());
            }
        }
    }

    /// After a value in a container: closes what ends here and moves to the next value. True: the
    /// outermost one is closed.
    #[inline]
    fn close(&mut self, objects: &mut u128, level: &mut u32) -> Result<bool, Reason> {
        loop {
            self.space();
            let object = *objects & 1 == 1;
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.space();
                    if object {
                        self.name()?;
                    }
                    return Ok(false);
                }
                b'}' if object => {}
                b']' if !object => {}
                _ => return Err(Reason::CommaOrEnd),
            }
            self.at += 1;
            *objects >>= 1;
            *level -= 1;
            if *level == 0 {
                return Ok(true);
            }
        }
    }

    #[inline]
    fn number(&mut self) -> Result<(), Reason> {
        self.at += usize::from(self.peek() == b'-');
        match self.peek() {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return Err(Reason::Number),
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Reason> {
        if !self.peek().is_ascii_digit() {
            return Err(Reason::Number);
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    /// A string with its quotes. True: it has escapes.
    #[inline]
    fn string(&mut self) -> Result<bool, Reason> {
        self.at += 1;
        let mut escaped = false;
        loop {
            while let Some(chunk) = self.rest().first_chunk::<8>() {
                let stops = stops(u64::from_le_bytes(*chunk));
                if stops != 0 {
                    self.at += stops.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(escaped);
                }
                b'\\' => {
                    self.escape()?;
                    escaped = true;
                }
                0..0x20 => return Err(Reason::Control),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Reason> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => match self.hex()? {
                0xDC00..0xE000 => return Err(Reason::Surrogate),
                0xD800..0xDC00 => {
                    if !self.rest().starts_with(b"\\u") {
                        return Err(Reason::Surrogate);
                    }
                    self.at += 1;
                    if !(0xDC00..0xE000).contains(&self.hex()?) {
                        return Err(Reason::Surrogate);
                    }
                }
                _ => {}
            },
            _ => return Err(Reason::Escape),
        }
        Ok(())
    }

    /// The `u` of an escape and its four digits.
    fn hex(&mut self) -> Result<u32, Reason> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()).to_digit(16).ok_or(Reason::Escape)?;
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

/// Marks the bytes of a word that end plain text: quote, backslash, control characters. The
/// lowest mark is right; higher ones may be false (borrows), so only the lowest is used.
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |w: u64| w.wrapping_sub(ONES) & !w;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGH
}

/// Calls `each` with every member of the object at `object` and its name with quotes. The place
/// after the object.
///
/// # Errors
/// What stands there is not an object, or not JSON.
pub(super) fn members<'a>(
    document: &'a [u8],
    object: usize,
    mut each: impl FnMut(wasmgate_model::Member, &'a [u8]),
) -> Result<usize, DocumentError> {
    let mut scan = Scanner::new(document, object);
    let mut walk = |scan: &mut Scanner<'a>| {
        let mut more = scan.open_object()?;
        while more {
            let name = scan.at;
            let (text, _) = scan.name()?;
            let value = scan.at;
            scan.value(1)?;
            let end = scan.at as u32;
            each(wasmgate_model::Member { name: name as u32, value: value as u32, end }, text);
            more = scan.next_member()?;
        }
        Ok(scan.at)
    };
    walk(&mut scan).map_err(|reason| scan.error(reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn check(document: &str) -> Result<(), String> {
        let mut scan = Scanner::new(document.as_bytes(), 0);
        scan.space();
        let done = scan.value(0).and_then(|()| scan.finish());
        done.map_err(|r| scan.error(r).to_string())
    }

    #[test]
    fn documents_are_accepted() {
        for document in [
            "{}",
            "[]",
            " { } ",
            "[1]",
            "0",
            "-0",
            "1e3",
            "1E+3",
            "0.5e-10",
            "18446744073709551616",
            r#"{"a":[],"b":{},"c":[{},[]],"d":"\"\\\/\b\f\n\r\t\u00e9\ud83c\udf88"}"#,
            "\t[ 1 ,\r\n 2 , null , true , false ]",
            r#""seven77""#,
            r#""eight888""#,
            r#""sixteen-bytes-16\n""#,
            "1e999",
        ] {
            assert_eq!(check(document), Ok(()), "{document}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        let cases = [
            ("", "0: it ends too early"),
            ("{", "1: it ends too early"),
            (r#"{"a"}"#, "4: a colon is expected after the name"),
            (r#"{"a":1,}"#, "7: a name in quotes is expected"),
            ("{a:1}", "1: a name in quotes is expected"),
            ("[1}", "2: a comma or the closing bracket is expected"),
            ("[1,]", "3: a value is expected"),
            ("[tru]", "1: a value is expected"),
            ("[NaN]", "1: a value is expected"),
            ("[01]", "2: a comma or the closing bracket is expected"),
            ("[1.]", "3: a number is malformed"),
            ("[-]", "2: a number is malformed"),
            ("[1e+]", "4: a number is malformed"),
            ("\"a\tb\"", "2: a control character stands unescaped in a string"),
            ("\"0123456789\u{1}\"", "11: a control character stands unescaped in a string"),
            (r#""\x""#, "2: an escape is malformed"),
            (r#""\u12g4""#, "5: an escape is malformed"),
            (r#""\udc00""#, "7: half of a surrogate pair stands alone"),
            (r#""\ud800x""#, "7: half of a surrogate pair stands alone"),
            (r#""\ud800\u0041""#, "13: half of a surrogate pair stands alone"),
            ("{}x", "2: something follows the document"),
            ("\"abc", "4: it ends too early"),
        ];
        for (document, want) in cases {
            let got = check(document).unwrap_err();
            assert_eq!(got, format!("not valid JSON at byte {want}"), "{document}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(&nested(128)), Ok(()));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(128), "}".repeat(128));
        assert_eq!(check(&objects), Ok(()));
        let error = check(&nested(129)).unwrap_err();
        assert_eq!(error, "not valid JSON at byte 128: it is nested deeper than 128 levels");
    }
}
