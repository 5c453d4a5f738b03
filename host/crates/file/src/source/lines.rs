//! Lines of a file, one after the other, without a copy: a line is a range of the buffer until
//! the next one is asked for. A line over the limit is passed over and leaves its first bytes.

use std::io::{self, Read};
use std::ops::Range;

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;
/// What is kept of a line over the limit.
const KEPT: usize = 64 << 10;

/// A line found in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where its bytes are; without the line end.
    pub(super) range: Range<usize>,
    /// Where the next line starts, in bytes from the start of the file.
    pub(super) end: u64,
    /// Bytes of the whole line where only its first ones are there.
    pub(super) too_long: Option<u64>,
}

/// Reads lines.
pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where the current line starts in the buffer.
    start: usize,
    /// Up to here there is no line end.
    scanned: usize,
    /// Where the current line starts in the file.
    offset: u64,
    /// Bytes of the current line that were thrown away.
    thrown: u64,
    limit: usize,
}

impl<R: Read> Lines<R> {
    /// Lines of an input that stands at byte `offset` of its file.
    pub(super) fn new(input: R, offset: u64, limit: usize) -> Self {
        Self { input, buffer: Vec::new(), start: 0, scanned: 0, offset, thrown: 0, limit }
    }

    /// Bytes of the file that were read.
    pub(super) fn read_to(&self) -> u64 {
        self.offset + self.thrown + (self.buffer.len() - self.start) as u64
    }

    pub(super) fn input(&self) -> &R {
        &self.input
    }

    pub(super) fn bytes(&self, line: &Line) -> &[u8] {
        self.buffer.get(line.range.clone()).unwrap_or(&[])
    }

    /// The next whole line; `None` at the end of what is there now.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let rest = self.buffer.get(self.scanned..).unwrap_or(&[]);
            if let Some(at) = memchr::memchr(b'\n', rest) {
                let end = self.scanned + at;
                return Ok(Some(self.take(end, 1)));
            }
            self.scanned = self.buffer.len();
            self.throw_away();
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// The last line, where the file ends without a line end.
    pub(super) fn last(&mut self) -> Option<Line> {
        let end = self.buffer.len();
        (end > self.start).then(|| self.take(end, 0))
    }

    fn take(&mut self, end: usize, line_end: usize) -> Line {
        let start = self.start;
        let whole = (end - start) as u64 + self.thrown;
        self.offset += whole + line_end as u64;
        self.start = end + line_end;
        self.scanned = self.start;
        self.thrown = 0;
        let mut range = start..end;
        let too_long = (whole > self.limit as u64).then_some(whole);
        if too_long.is_some() {
            range.end = range.end.min(start + KEPT.min(self.limit));
        } else if self.buffer.get(start..end).is_some_and(|l| l.ends_with(b"\r")) {
            range.end -= 1;
        }
        Line { range, end: self.offset, too_long }
    }

    /// Keeps memory bounded while a line over the limit goes by.
    fn throw_away(&mut self) {
        let length = self.buffer.len() - self.start;
        let kept = KEPT.min(self.limit);
        let over = length as u64 + self.thrown > self.limit as u64;
        if over && length > kept {
            self.thrown += (length - kept) as u64;
            self.buffer.truncate(self.start + kept);
            self.scanned = self.buffer.len();
        }
    }

    /// Reads another chunk behind what is not used yet.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK, 0);
        let read = loop {
            match self.input.read(self.buffer.get_mut(length..).unwrap_or(&mut [])) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        read
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Gives its bytes in pieces of a few.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len()).min(self.0.len());
            let (head, rest) = self.0.split_at(count);
            buffer.get_mut(..count).unwrap().copy_from_slice(head);
            self.0 = rest;
            Ok(count)
        }
    }

    fn all(input: &[u8], step: usize, limit: usize) -> Vec<(String, u64, Option<u64>)> {
        let mut lines = Lines::new(Trickle(input, step), 1000, limit);
        let mut found = Vec::new();
        loop {
            let next = lines.next().unwrap();
            let ended = next.is_none();
            let Some(line) = next.or_else(|| lines.last()) else { break };
            let text = String::from_utf8(lines.bytes(&line).to_vec()).unwrap();
            found.push((text, line.end, line.too_long));
            if ended {
                break;
            }
        }
        assert_eq!(lines.read_to(), 1000 + input.len() as u64);
        found
    }

    #[test]
    fn lines_and_where_they_end_whatever_the_pieces() {
        let line = |text: &str, end| (text.to_owned(), end, None);
        let cases = [
            ("", vec![]),
            ("a\nbc\n", vec![line("a", 1002), line("bc", 1005)]),
            ("a\r\n\nb", vec![line("a", 1003), line("", 1004), line("b", 1005)]),
            (
                "short\nmuch too long\nok\n",
                vec![line("short", 1006), ("much too".into(), 1020, Some(13)), line("ok", 1023)],
            ),
            ("much too long", vec![("much too".into(), 1013, Some(13))]),
        ];
        for (input, want) in cases {
            for step in 1..=input.len().max(1) {
                assert_eq!(all(input.as_bytes(), step, 8), want, "{input:?} in pieces of {step}");
            }
        }
    }
}
