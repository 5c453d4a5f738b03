//! A TCP proxy that breaks connections on purpose: delay, a cut after so many bytes, silence
//! (half-open), a drip, resets. What it does can be changed while connections are open. One thread
//! per direction; meant for a handful of connections.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, park_timeout, spawn};
use std::time::{Duration, Instant};

/// How often a thread looks whether something changed.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes moved at once.
const PIECE: usize = 16 << 10;

/// What is done to the bytes of every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Bytes pass.
    Fair,
    /// Each piece waits so long before it goes on, in both directions.
    Slow(Duration),
    /// So many bytes a second go to the client.
    Drip(u32),
    /// Nothing passes and nothing is closed, as behind a firewall that forgot the connection.
    Silent,
    /// New connections are reset once the client has said something.
    Resetting,
}

#[derive(Debug)]
struct Shared {
    target: u16,
    weather: Mutex<Weather>,
    /// Bytes to the client until all connections are cut; negative: no cut is due.
    left: AtomicI64,
    /// Raised to end what is open: connections of an older count are over.
    ended: AtomicU64,
    /// Whether the end is a reset.
    reset: AtomicBool,
    accepted: AtomicU64,
    passed: AtomicU64,
    brought: AtomicU64,
    closing: AtomicBool,
}

/// A running proxy; dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and leads to `target`, a port of the same address.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(target: u16) -> Result<Self, String> {
        let error = |e: std::io::Error| format!("the proxy cannot listen: {e}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(error)?;
        let port = listener.local_addr().map_err(error)?.port();
        let shared = Arc::new(Shared {
            target,
            weather: Mutex::new(Weather::Fair),
            left: AtomicI64::new(-1),
            ended: AtomicU64::new(0),
            reset: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            brought: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        });
        let held = Arc::clone(&shared);
        let accepting = Some(spawn(move || accept(&listener, &held)));
        Ok(Self { shared, port, accepting })
    }

    /// Where to connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections taken so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Bytes that went to clients so far.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }

    /// Bytes that went to servers so far.
    #[must_use]
    pub fn brought(&self) -> u64 {
        self.shared.brought.load(Ordering::Relaxed)
    }

    /// Changes what is done, for open connections too.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Cuts every connection after `bytes` more bytes to clients, once.
    pub fn cut_after(&self, bytes: u32) {
        self.shared.left.store(i64::from(bytes), Ordering::Relaxed);
    }

    /// Whether a cut is still to come.
    #[must_use]
    pub fn cut_is_due(&self) -> bool {
        self.shared.left.load(Ordering::Relaxed) >= 0
    }

    /// Closes every open connection, politely.
    pub fn cut(&self) {
        self.shared.end(false);
    }

    /// Resets every open connection (RST), as soon as its client says something more.
    pub fn reset(&self) {
        self.shared.end(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.end(false);
        // The listener wakes up for a last one.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.accepting.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn end(&self, reset: bool) {
        self.reset.store(reset, Ordering::Relaxed);
        self.ended.store(self.accepted.load(Ordering::Relaxed), Ordering::Release);
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection with this number is over.
    fn is_over(&self, number: u64) -> bool {
        self.ended.load(Ordering::Acquire) >= number
    }

    /// How many of `want` bytes may still go to a client before the cut.
    fn allowance(&self, want: usize) -> usize {
        let left = self.left.load(Ordering::Relaxed);
        if left < 0 {
            return want;
        }
        let pass = want.min(usize::try_from(left).unwrap_or(0));
        let rest = left - i64::try_from(pass).unwrap_or(0);
        if rest > 0 {
            self.left.store(rest, Ordering::Relaxed);
        } else {
            self.left.store(-1, Ordering::Relaxed);
            self.end(false);
        }
        pass
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        if shared.closing.load(Ordering::Relaxed) {
            return;
        }
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let shared = Arc::clone(shared);
        spawn(move || carry(&client, &shared, number));
    }
}

/// One connection, to its end.
fn carry(client: &TcpStream, shared: &Arc<Shared>, number: u64) {
    if shared.weather() == Weather::Resetting {
        return reset(client);
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.target)) else { return };
    for stream in [client, &server] {
        if stream.set_nodelay(true).and(stream.set_read_timeout(Some(LOOK))).is_err() {
            return;
        }
    }
    let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { return };
    let held = Arc::clone(shared);
    let up = spawn(move || pump(&from, &to, &held, number, false));
    pump(&server, client, shared, number, true);
    drop(up.join());
    if shared.is_over(number) && shared.reset.load(Ordering::Relaxed) {
        reset(client);
    }
}

/// Closing with bytes unread is what makes the system answer with a reset.
fn reset(client: &TcpStream) {
    let waited = client.set_read_timeout(Some(Duration::from_secs(10)));
    if waited.is_ok() {
        drop(client.peek(&mut [0]));
    }
}

/// Moves bytes one way until an end closes or the connection is over.
fn pump(from: &TcpStream, to: &TcpStream, shared: &Shared, number: u64, to_client: bool) {
    let (mut from, mut to) = (from, to);
    let mut piece = vec![0; PIECE];
    loop {
        if shared.is_over(number) {
            break;
        }
        let room = match shared.weather() {
            Weather::Silent => {
                park_timeout(LOOK);
                continue;
            }
            Weather::Drip(rate) if to_client => (rate / 50).max(1) as usize,
            _ => PIECE,
        };
        // A look first: what arrives after the end has to stay unread for a reset.
        match from.peek(&mut [0]) {
            Ok(_) if shared.is_over(number) => break,
            Ok(_) => {}
            Err(e) if is_pause(&e) => continue,
            Err(_) => break,
        }
        let read = match piece.get_mut(..room.min(PIECE)).map(|space| from.read(space)) {
            Some(Ok(bytes)) if bytes > 0 => bytes,
            _ => break,
        };
        // It may have changed while nothing came.
        while shared.weather() == Weather::Silent && !shared.is_over(number) {
            park_timeout(LOOK);
        }
        match shared.weather() {
            Weather::Slow(delay) => pause(delay),
            Weather::Drip(_) if to_client => pause(Duration::from_millis(20)),
            _ => {}
        }
        let pass = if to_client { shared.allowance(read) } else { read };
        if piece.get(..pass).is_none_or(|bytes| to.write_all(bytes).is_err()) {
            break;
        }
        let count = if to_client { &shared.passed } else { &shared.brought };
        count.fetch_add(pass as u64, Ordering::Relaxed);
    }
    let is_reset = shared.is_over(number) && shared.reset.load(Ordering::Relaxed);
    // A reset has to find the client's next bytes unread, and no polite goodbye before it.
    if !(is_reset && to_client) {
        drop(to.shutdown(Shutdown::Write));
    }
}

fn is_pause(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn pause(length: Duration) {
    let until = Instant::now() + length;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A server that says back what it hears.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                spawn(move || std::io::copy(&mut &stream, &mut &stream).ok());
            }
        });
        port
    }

    fn dial(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn says_back(mut stream: &TcpStream, text: &[u8]) -> bool {
        let mut back = vec![0; text.len()];
        stream.write_all(text).is_ok() && stream.read_exact(&mut back).is_ok() && back == text
    }

    #[test]
    fn passes_slows_cuts_and_resets() {
        let proxy = Proxy::start(echo()).unwrap();
        let stream = dial(&proxy);
        assert!(says_back(&stream, b"hello"));
        // Counted right after they were written.
        while proxy.passed() < 5 {
            std::thread::yield_now();
        }
        assert_eq!((proxy.accepted(), proxy.brought(), proxy.passed()), (1, 5, 5));
        proxy.set(Weather::Slow(Duration::from_millis(40)));
        let since = Instant::now();
        assert!(says_back(&stream, b"slow"));
        assert!(since.elapsed() >= Duration::from_millis(80));
        proxy.set(Weather::Fair);
        proxy.cut_after(3);
        (&stream).write_all(b"abcdef").unwrap();
        let mut got = Vec::new();
        (&stream).read_to_end(&mut got).unwrap();
        assert_eq!(got, b"abc");
        assert!(!proxy.cut_is_due());

        let mut stream = dial(&proxy);
        assert!(says_back(&stream, b"again"));
        proxy.reset();
        // The first word after it is answered with a reset.
        let kind = loop {
            let failed = stream.write_all(b"x").and_then(|()| stream.read(&mut [0]));
            match failed {
                Err(e) => break e.kind(),
                Ok(bytes) => assert_eq!(bytes, 1, "a polite end"),
            }
        };
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
        assert!(matches!(kind, ConnectionReset | BrokenPipe), "{kind:?}");
        proxy.set(Weather::Resetting);
        assert!(!says_back(&dial(&proxy), b"nothing"));
    }

    #[test]
    fn silence_closes_nothing_and_ends() {
        let proxy = Proxy::start(echo()).unwrap();
        let stream = dial(&proxy);
        assert!(says_back(&stream, b"hello"));
        proxy.set(Weather::Silent);
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        (&stream).write_all(b"lost?").unwrap();
        let error = (&stream).read(&mut [0]).unwrap_err();
        assert!(is_pause(&error), "{error}");
        proxy.set(Weather::Drip(1000));
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut back = [0; 5];
        (&stream).read_exact(&mut back).unwrap();
        assert_eq!(&back, b"lost?");
    }
}
