//! How a checkpoint is written: version, the pipeline's name, then every partition. Numbers are
//! little-endian; texts and states have their length in front.
//!
//! ```text
//! u8 version = 1 | str pipeline | u32 partitions | (str name | u64 major | u64 minor | state)*
//! state: u8 0, or u8 1 and bytes        str, bytes: u32 length and that many bytes
//! ```

use std::sync::Arc;

use wasmgate_model::{Checkpoint, Partition, Position};

const VERSION: u8 = 1;

/// Why bytes are not this pipeline's checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Written by a newer release.
    Version(u8),
    /// Another pipeline's checkpoint.
    Pipeline(String),
    /// Too short, too long, or not text where text was.
    Damaged,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(found) => write!(
                f,
                "it has version {found}, this release reads {VERSION}; use the newer release"
            ),
            Self::Pipeline(found) => write!(f, "it is the checkpoint of pipeline {found:?}"),
            Self::Damaged => f.write_str("its bytes are damaged"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The checkpoint as bytes.
pub(crate) fn encode(pipeline: &str, checkpoint: &Checkpoint) -> Vec<u8> {
    let mut out = vec![VERSION];
    push_bytes(&mut out, pipeline.as_bytes());
    push_length(&mut out, checkpoint.iter().count());
    for (partition, at, state) in checkpoint.iter() {
        push_bytes(&mut out, partition.0.as_bytes());
        out.extend_from_slice(&at.major.to_le_bytes());
        out.extend_from_slice(&at.minor.to_le_bytes());
        out.push(u8::from(state.is_some()));
        if let Some(state) = state {
            push_bytes(&mut out, state);
        }
    }
    out
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    // A checkpoint near 4 GiB cannot be stored anyway: the database takes 3 GiB per value.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// The checkpoint that the bytes say.
pub(crate) fn decode(pipeline: &str, bytes: &[u8]) -> Result<Checkpoint, Unreadable> {
    let mut input = Input(bytes);
    let [version] = input.array()?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let found = input.text()?;
    if found != pipeline {
        return Err(Unreadable::Pipeline(found.to_owned()));
    }
    let mut checkpoint = Checkpoint::default();
    for _ in 0..input.length()? {
        let partition = Partition(input.text()?.into());
        let major = u64::from_le_bytes(input.array()?);
        let minor = u64::from_le_bytes(input.array()?);
        let state = match input.array()? {
            [0] => None,
            [1] => Some(Arc::from(input.bytes()?)),
            _ => return Err(Unreadable::Damaged),
        };
        checkpoint.assign(partition, Position::new(major, minor), state);
    }
    if input.0.is_empty() { Ok(checkpoint) } else { Err(Unreadable::Damaged) }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(*head)
    }

    fn length(&mut self) -> Result<usize, Unreadable> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.length()?;
        let (head, rest) = self.0.split_at_checked(length).ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(head)
    }

    fn text(&mut self) -> Result<&'a str, Unreadable> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Unreadable::Damaged)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn sample() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        let name = |n: &str| Partition(n.into());
        checkpoint.assign(name("a"), Position::new(u64::MAX, 7), None);
        checkpoint.assign(name("b"), Position::new(1, 2), Some(Arc::from(&b"state"[..])));
        checkpoint
    }

    #[test]
    fn every_cut_and_every_addition_is_noticed() {
        let bytes = encode("orders", &sample());
        assert_eq!(decode("orders", &bytes), Ok(sample()));
        for cut in 0..bytes.len() {
            assert_eq!(decode("orders", bytes.get(..cut).unwrap()), Err(Unreadable::Damaged));
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode("orders", &longer), Err(Unreadable::Damaged));
    }

    #[test]
    fn another_pipeline_and_a_newer_version_are_named() {
        let mut bytes = encode("orders", &sample());
        assert_eq!(decode("other", &bytes), Err(Unreadable::Pipeline("orders".into())));
        *bytes.first_mut().unwrap() = 2;
        assert_eq!(decode("orders", &bytes), Err(Unreadable::Version(2)));
    }
}
