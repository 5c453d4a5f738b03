//! The bytes of a block, in parts: what a long column holds is handed over as it is, since copying
//! megabytes together costs as much as encoding them.

use bytes::Bytes;

/// Shorter columns are copied together: every part becomes a frame of its own.
const SHORT: usize = 64 << 10;

/// Bytes that are gathered in order.
#[derive(Debug, Default)]
pub(super) struct Parts {
    done: Vec<Bytes>,
    open: Vec<u8>,
}

impl Parts {
    /// Where a few bytes are appended.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.open
    }

    /// Appends many bytes.
    pub(super) fn push(&mut self, data: Vec<u8>) {
        if data.len() < SHORT {
            return self.open.extend_from_slice(&data);
        }
        let before = std::mem::replace(&mut self.open, data);
        if !before.is_empty() {
            self.done.push(before.into());
        }
    }

    pub(super) fn finish(mut self) -> Vec<Bytes> {
        if !self.open.is_empty() {
            self.done.push(self.open.into());
        }
        self.done
    }
}
