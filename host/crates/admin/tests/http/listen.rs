//! The listener on a real socket: slow clients, many clients, the end.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use wasmgate_admin::{ListenLimits, UploadLimits};

use crate::fake::{Fake, Place, limits, place};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interface on a port of its own; stopped when dropped.
pub(crate) struct Server {
    pub(crate) place: Place,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(limits: UploadLimits) -> Self {
        Self::listening(limits, ListenLimits { head: PATIENCE, ..ListenLimits::default() })
    }

    fn listening(uploads: UploadLimits, limits: ListenLimits) -> Self {
        let place = place(Fake::default(), &[], uploads);
        let router = place.router.clone();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stopped = async { drop(stopped.await) };
                wasmgate_admin::serve(listener, router, limits, stopped).await;
            });
        });
        Self { place, address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new() }
    }

    /// One request on a connection of its own, and the whole answer.
    pub(crate) fn exchange(&self, line: &str, body: &str) -> String {
        let mut client = self.connect();
        client.head(line, &format!("Connection: close\r\nContent-Length: {}", body.len()));
        client.stream.write_all(body.as_bytes()).unwrap();
        client.answer()
    }

    /// Files that uploads are written to at the moment, by what /proc calls them.
    fn received(&self) -> Vec<String> {
        let dir = self.place.dir.path().to_str().unwrap().to_owned();
        let files = fs::read_dir("/proc/self/fd").unwrap();
        let links = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        let links = links.filter_map(|link| link.to_str().map(str::to_owned));
        links.filter(|link| link.starts_with(&dir)).collect()
    }

    /// Names in the directory of uploads.
    fn named(&self) -> usize {
        fs::read_dir(self.place.dir.path()).unwrap().count()
    }

    pub(crate) fn something_is_received(&self) {
        // It is made with a name, which it loses before anything is written to it.
        let nameless = |link: &String| link.ends_with(" (deleted)");
        until("an upload is received", || self.received().iter().any(nameless));
        assert_eq!(self.named(), 0, "it has no name");
    }

    pub(crate) fn nothing_is_received(&self) {
        // The file of an upload that was given up at once may only be made now.
        until("nothing is left", || self.received().is_empty() && self.named() == 0);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn head(&mut self, line: &str, headers: &str) {
        write!(self.stream, "{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n").unwrap();
    }

    /// Whether the server has begun to answer, or closed.
    pub(crate) fn answered(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut bytes = [0; 4096];
        let read = self.stream.read(&mut bytes);
        self.stream.set_nonblocking(false).unwrap();
        match read {
            Ok(read) => {
                self.read.extend(&bytes[..read]);
                true
            }
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// The head of the answer and as much of its body as it announces, or all there is.
    pub(crate) fn answer(&mut self) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.read).into_owned();
            let length = text.split("content-length: ").nth(1).and_then(|t| t.split_once('\r'));
            let length = length.map(|(length, _)| length.parse::<usize>().unwrap());
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
            if length.is_some_and(|length| body >= Some(length)) {
                return text;
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return text,
                Ok(read) => self.read.extend(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return text,
                Err(error) => panic!("{error} after {text:?}"),
            }
        }
    }
}

/// Looks again and again until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_head_that_never_ends_is_given_up() {
    // Time enough for a head that does end, also on a busy machine.
    let head = Duration::from_secs(1);
    let server = Server::listening(limits(), ListenLimits { head, ..ListenLimits::default() });
    let begun = [("GET /healthz HTTP/1.1\r\nHost: lo", "half a head"), ("", "nothing")];
    let clients = begun.map(|(begin, what)| {
        let mut client = server.connect();
        client.stream.write_all(begin.as_bytes()).unwrap();
        (client, what)
    });
    for (mut client, what) in clients {
        let mut rest = String::new();
        client.stream.read_to_string(&mut rest).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    assert!(server.exchange("GET /healthz", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn no_more_connections_than_there_may_be() {
    let limits = ListenLimits { head: PATIENCE, connections: 1 };
    let server = Server::listening(crate::fake::limits(), limits);
    // One that only waits would give its seat up after a while.
    let mut first = server.connect();
    first.head("PUT /api/v1/modules/rule", "Content-Length: 2");
    first.stream.write_all(b"w").unwrap();
    server.something_is_received();
    let mut second = server.connect();
    second.head("GET /healthz", "Connection: close");
    second.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut byte = [0];
    let early = second.stream.read(&mut byte).map_err(|error| error.kind());
    assert!(matches!(early, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{early:?}");
    first.stream.write_all(b"1").unwrap();
    assert!(first.answer().starts_with("HTTP/1.1 201 "));
    drop(first);
    second.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(second.answer().starts_with("HTTP/1.1 200 "));
}

#[test]
fn at_the_end_what_runs_is_finished_and_what_idles_is_closed() {
    let mut server = Server::start(limits());
    let mut idle = server.connect();
    idle.head("GET /healthz", "");
    assert!(idle.answer().starts_with("HTTP/1.1 200 "));
    let mut busy = server.connect();
    busy.head("PUT /api/v1/modules/rule", "Content-Length: 2");
    busy.stream.write_all(b"w").unwrap();
    server.something_is_received();
    drop(server.stop.take());
    let mut rest = Vec::new();
    idle.stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    busy.stream.write_all(b"1").unwrap();
    assert!(busy.answer().starts_with("HTTP/1.1 201 "));
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let limits = ListenLimits { head: PATIENCE, connections: 4 };
    let server = Server::listening(crate::fake::limits(), limits);
    let mut busy = server.connect();
    busy.head("PUT /api/v1/modules/rule", "Content-Length: 2");
    busy.stream.write_all(b"w").unwrap();
    server.something_is_received();
    let mut silent = Vec::new();
    for _ in 0..8 {
        let mut client = server.connect();
        client.stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: lo").unwrap();
        silent.push(client);
    }
    // Their heads may take a minute; each of the others is answered long before.
    assert!(server.exchange("GET /healthz", "").starts_with("HTTP/1.1 200 "));
    // What has a request is not closed for others.
    busy.stream.write_all(b"1").unwrap();
    assert!(busy.answer().starts_with("HTTP/1.1 201 "));
}
