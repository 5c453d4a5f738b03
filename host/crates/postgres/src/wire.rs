//! Messages on a connection to the server: a tag, a length, a body. Framing only; what messages
//! mean is in `session` and `replication`. Own framing because the library's parser does not know
//! the answer that starts a replication stream.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;
use wasmgate_model::Fault;

use crate::fault::{protocol, unavailable};
use crate::resting::{Resting, Socket};

/// A transport: TCP, a Unix socket, TLS.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// Nothing is read for a moment: see [`Resting`].
    ///
    /// # Errors
    /// The connection is lost.
    fn rest(&mut self) -> io::Result<()>;
}

impl<S: Socket> Transport for Resting<S> {
    fn rest(&mut self) -> io::Result<()> {
        Self::rest(self)
    }
}

impl<S: Socket> Transport for TlsStream<Resting<S>> {
    fn rest(&mut self) -> io::Result<()> {
        self.get_mut().0.rest()
    }
}

#[cfg(test)]
impl Transport for tokio::io::DuplexStream {
    fn rest(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tag and length.
const HEADER: usize = 5;
/// Room made for a read: large enough that a busy stream is taken in few calls.
pub(crate) const READ: usize = 64 << 10;
/// Larger than any message: rows are below 1 GiB.
const LONGEST: usize = (1 << 30) + (64 << 20);

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

/// A connection with its buffers.
pub(crate) struct Wire {
    io: Box<dyn Transport>,
    input: BytesMut,
    /// What [`Wire::send`] sends; append messages with `postgres_protocol::message::frontend`.
    pub output: BytesMut,
}

impl Wire {
    pub(crate) fn new(io: Box<dyn Transport>) -> Self {
        Self { io, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// Sends what stands in `output`.
    pub(crate) async fn send(&mut self) -> Result<(), Fault> {
        let sent = self.io.write_all_buf(&mut self.output).await;
        sent.map_err(|e| unavailable("the connection to the server broke", e))?;
        let flushed = self.io.flush().await;
        flushed.map_err(|e| unavailable("the connection to the server broke", e))
    }

    /// Reads more bytes into the buffer; answers how many. Cancel safe.
    pub(crate) async fn fill(&mut self) -> Result<usize, Fault> {
        // Runs that were handed over keep their part of the buffer: a new one only when it is used
        // up, not for every small read.
        if self.input.capacity() - self.input.len() < READ / 4 {
            self.input.reserve(READ);
        }
        match self.io.read_buf(&mut self.input).await {
            Ok(0) => {
                let eof = std::io::ErrorKind::UnexpectedEof.into();
                Err(unavailable("the server closed the connection", eof))
            }
            Ok(bytes) => Ok(bytes),
            Err(e) => Err(unavailable("the connection to the server broke", e)),
        }
    }

    /// Nothing is read until the next [`Wire::fill`].
    pub(crate) fn rest(&mut self) -> Result<(), Fault> {
        self.io.rest().map_err(|e| unavailable("the connection to the server broke", e))
    }

    /// The next whole message of the buffer.
    pub(crate) fn buffered(&mut self) -> Result<Option<Frame>, Fault> {
        let Some((tag, length)) = frame_at(&self.input)? else { return Ok(None) };
        let mut body = self.input.split_to(length);
        body.advance(HEADER);
        Ok(Some(Frame { tag, body: body.freeze() }))
    }

    /// Forgets what was read.
    pub(crate) fn discard(&mut self) {
        self.input.clear();
    }

    /// The next message. Cancel safe.
    pub(crate) async fn frame(&mut self) -> Result<Frame, Fault> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// All whole messages of the buffer that carry `tag`, uncut, up to the first that does not;
    /// `each` sees their bodies. `None`: there is none.
    pub(crate) fn run_of(
        &mut self,
        tag: u8,
        mut each: impl FnMut(&[u8]),
    ) -> Result<Option<Bytes>, Fault> {
        let mut end = 0;
        while let Some(rest) = self.input.get(end..)
            && let Some((found, length)) = frame_at(rest)?
            && found == tag
        {
            each(rest.get(HEADER..length).unwrap_or(&[]));
            end += length;
        }
        Ok((end > 0).then(|| self.input.split_to(end).freeze()))
    }
}

/// Bodies of a run of messages, in order.
pub(crate) fn bodies(mut run: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (_, length) = frame_at(run).ok().flatten()?;
        let (frame, rest) = run.split_at_checked(length)?;
        run = rest;
        frame.get(HEADER..)
    })
}

/// Tag and whole length of the message at the start of `bytes`, if it is all there.
fn frame_at(bytes: &[u8]) -> Result<Option<(u8, usize)>, Fault> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if !(4..LONGEST).contains(&length) {
        return Err(protocol(format!(
            "message '{}' of {length} bytes: is this a Postgres server?",
            tag.escape_ascii()
        )));
    }
    let whole = length + 1;
    Ok((bytes.len() >= whole).then_some((tag, whole)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_whole_however_the_bytes_arrive() {
        let bytes = b"d\0\0\0\x05ad\0\0\0\x06bcd\0\0\0\x04Z\0\0\0\x05I";
        for cut in 0..bytes.len() {
            let (near, mut far) = tokio::io::duplex(64);
            let mut wire = Wire::new(Box::new(near));
            let (one, two) = bytes.split_at(cut);
            far.write_all(one).await.unwrap();
            if cut > 0 {
                wire.fill().await.unwrap();
            }
            let mut got: Vec<Vec<u8>> = Vec::new();
            let mut take = |wire: &mut Wire| {
                while let Some(run) = wire.run_of(b'd', |_| {}).unwrap() {
                    got.extend(bodies(&run).map(<[u8]>::to_vec));
                }
            };
            take(&mut wire);
            far.write_all(two).await.unwrap();
            wire.fill().await.unwrap();
            take(&mut wire);
            assert_eq!(got, [&b"a"[..], b"bc", b""], "cut at {cut}");
            let last = wire.frame().await.unwrap();
            assert_eq!((last.tag, &last.body[..]), (b'Z', &b"I"[..]));
        }
    }

    #[tokio::test]
    async fn a_stranger_is_told_apart() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"HTTP/1.1 400 Bad Request").await.unwrap();
        let error = Wire::new(Box::new(near)).frame().await.unwrap_err();
        assert!(error.to_string().contains("is this a Postgres server?"), "{error}");
    }
}
