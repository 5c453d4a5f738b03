//! Standard output and standard error of a guest: lines of at most
//! [`LINE_BYTES_MAX`](super::log::LINE_BYTES_MAX) bytes, for the gateway's log. Nothing else is
//! kept of what is written.

use super::log::LINE_BYTES_MAX;

/// One stream of one instance.
#[derive(Debug, Default)]
pub(crate) struct Console {
    line: Vec<u8>,
}

impl Console {
    /// Takes what the guest writes and hands each line to `say`, when it ends.
    pub(crate) fn write(&mut self, contents: &[u8], mut say: impl FnMut(&str)) {
        let mut pieces = contents.split(|byte| *byte == b'\n');
        let rest = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.keep(piece);
            if !self.line.is_empty() {
                say(&String::from_utf8_lossy(&self.line));
                self.line.clear();
            }
        }
        self.keep(rest);
    }

    /// The beginning of a line is kept, the rest of a long one is lost.
    fn keep(&mut self, piece: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(writes: &[&[u8]]) -> Vec<String> {
        let (mut console, mut lines) = (Console::default(), Vec::new());
        for write in writes {
            console.write(write, |line| lines.push(line.to_owned()));
        }
        lines
    }

    #[test]
    fn lines_are_said_when_they_end_and_cut_when_they_are_long() {
        let long = vec![b'x'; 10 << 20];
        let cut = "x".repeat(LINE_BYTES_MAX);
        for (writes, said) in [
            (&[&b"no end"[..]][..], &[][..]),
            (&[b"one\ntwo\nth", b"ree\n"], &["one", "two", "three"]),
            (&[b"\n\n", b"a\n\n"], &["a"]),
            (&[b"half \xc3\n"], &["half \u{fffd}"]),
            (&[&long, &long, b"\nnext\n"], &[cut.as_str(), "next"]),
        ] {
            assert_eq!(lines(writes), said);
        }
    }

    #[test]
    fn a_long_line_takes_no_memory() {
        let mut console = Console::default();
        console.write(&vec![b'x'; 10 << 20], |_| {});
        assert!(console.line.capacity() <= 2 * LINE_BYTES_MAX);
    }
}
