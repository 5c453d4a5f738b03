//! A socket that can be left alone. The runtime is woken for every segment that arrives on a
//! socket it knows, also while nobody reads: on a busy stream that costs as much as decoding it.
//! A resting socket is taken from the runtime and read directly; it goes back as soon as a read or
//! a write would have to wait.

use std::io::{self, ErrorKind, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A stream of the runtime's, and the same outside of it.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sized {
    type Outside: Read + Write + Unpin + Send;

    fn leave(self) -> io::Result<Self::Outside>;
    fn enter(outside: Self::Outside) -> io::Result<Self>;
}

impl Socket for TcpStream {
    type Outside = std::net::TcpStream;

    fn leave(self) -> io::Result<Self::Outside> {
        self.into_std()
    }

    fn enter(outside: Self::Outside) -> io::Result<Self> {
        Self::from_std(outside)
    }
}

impl Socket for UnixStream {
    type Outside = std::os::unix::net::UnixStream;

    fn leave(self) -> io::Result<Self::Outside> {
        self.into_std()
    }

    fn enter(outside: Self::Outside) -> io::Result<Self> {
        Self::from_std(outside)
    }
}

enum State<S: Socket> {
    Awake(S),
    Resting(S::Outside),
    /// Lost on the way from one to the other.
    Lost,
}

/// See the module's text.
pub(crate) struct Resting<S: Socket>(State<S>);

impl<S: Socket> Resting<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self(State::Awake(socket))
    }

    /// Takes the socket from the runtime, until it has to wait.
    ///
    /// # Errors
    /// The system refuses; the socket is lost.
    pub(crate) fn rest(&mut self) -> io::Result<()> {
        if let State::Awake(_) = self.0
            && let State::Awake(socket) = std::mem::replace(&mut self.0, State::Lost)
        {
            self.0 = State::Resting(socket.leave()?);
        }
        Ok(())
    }

    /// The runtime's stream.
    fn awake(&mut self) -> io::Result<Pin<&mut S>> {
        if let State::Resting(_) = self.0
            && let State::Resting(outside) = std::mem::replace(&mut self.0, State::Lost)
        {
            self.0 = State::Awake(S::enter(outside)?);
        }
        match &mut self.0 {
            State::Awake(socket) => Ok(Pin::new(socket)),
            State::Resting(_) | State::Lost => Err(ErrorKind::NotConnected.into()),
        }
    }
}

/// What was done without waiting; `None`: it would have to.
fn at_once<T>(mut action: impl FnMut() -> io::Result<T>) -> Option<io::Result<T>> {
    loop {
        match action() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            done => return Some(done),
        }
    }
}

impl<S: Socket> AsyncRead for Resting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let State::Resting(outside) = &mut self.0
            && let Some(read) = at_once(|| outside.read(buffer.initialize_unfilled()))
        {
            return Poll::Ready(read.map(|bytes| buffer.advance(bytes)));
        }
        self.awake()?.poll_read(context, buffer)
    }
}

impl<S: Socket> AsyncWrite for Resting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let State::Resting(outside) = &mut self.0
            && let Some(written) = at_once(|| outside.write(bytes))
        {
            return Poll::Ready(written);
        }
        self.awake()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets keep nothing back.
        match &mut self.0 {
            State::Resting(_) => Poll::Ready(Ok(())),
            _ => self.awake()?.poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.awake()?.poll_shutdown(context)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Resting<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Resting::new(near), listener.accept().await.unwrap().0)
    }

    fn rests(socket: &Resting<TcpStream>) -> bool {
        matches!(socket.0, State::Resting(_))
    }

    #[tokio::test]
    async fn what_is_there_is_read_at_rest_and_what_is_not_is_waited_for() {
        let (mut near, mut far) = pair().await;
        near.rest().unwrap();
        let mut read = [0; 5];
        let (taken, sent) = tokio::join!(near.read_exact(&mut read), far.write_all(b"first"));
        taken.unwrap();
        sent.unwrap();
        assert_eq!((&read, rests(&near)), (b"first", false), "it had to wait");
        far.write_all(b"again").await.unwrap();
        far.flush().await.unwrap();
        near.rest().unwrap();
        near.rest().unwrap();
        // Its segment may be on its way.
        while near.read_exact(&mut read).await.is_ok() && !rests(&near) {
            near.rest().unwrap();
            far.write_all(b"again").await.unwrap();
        }
        assert_eq!((&read, rests(&near)), (b"again", true));
    }

    #[tokio::test]
    async fn more_than_fits_is_written_whole_from_rest() {
        let (mut near, mut far) = pair().await;
        near.rest().unwrap();
        near.write_all(b"ping").await.unwrap();
        near.flush().await.unwrap();
        assert!(rests(&near), "there was room");
        let (much, mut back) = (vec![7; 32 << 20], Vec::new());
        let write = async {
            near.write_all(&much).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let ((), read) = tokio::join!(write, far.read_to_end(&mut back));
        assert_eq!(read.unwrap(), (32 << 20) + 4);
        assert!(back.starts_with(b"ping"));
    }

    #[tokio::test]
    async fn an_end_is_seen_at_rest() {
        let (mut near, far) = pair().await;
        near.rest().unwrap();
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
