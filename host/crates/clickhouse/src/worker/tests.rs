//! What a worker does while an insert travels, against a server that answers when it is told to.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wasmgate_connector::Written;
use wasmgate_connector::fakes::{delivery, number_schema, numbers};
use wasmgate_model::FaultKind;

use super::*;
use crate::client::Hosts;
use crate::context::Server;
use crate::ledger::Ledger;
use crate::piece::Ticket;
use crate::settings::{Compression, Engine, SinkSettings};
use crate::shape::Shape;

/// An insert that waits for its answer: an exception's text, or nothing.
struct Insert {
    body: Vec<u8>,
    answer: oneshot::Sender<&'static str>,
}

impl Insert {
    fn has(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }
}

/// A server with one table of an `id` and a `name`; inserts go to the test.
struct Stub {
    /// The type of `id`.
    ty: Mutex<&'static str>,
    inserts: mpsc::UnboundedSender<Insert>,
}

impl Stub {
    async fn serve(&self, mut stream: TcpStream) {
        while let Some((text, body)) = request(&mut stream).await {
            let (status, answer) = if text.contains("INSERT") {
                let (answer, told) = oneshot::channel();
                drop(self.inserts.send(Insert { body, answer }));
                match told.await.unwrap_or_default() {
                    "" => ("200 OK", String::new()),
                    exception => ("500 Error", exception.to_owned()),
                }
            } else {
                ("200 OK", self.rows(&text))
            };
            let length = answer.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{answer}");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn rows(&self, query: &str) -> String {
        let ty = *self.ty.lock().unwrap_or_else(PoisonError::into_inner);
        if query.contains("system.columns") {
            let column = |(name, ty, key): (&str, &str, u8)| {
                format!(
                    "{{\"name\":\"{name}\",\"type\":\"{ty}\",\"default_kind\":\"\",\
                     \"is_in_sorting_key\":{key}}}\n"
                )
            };
            let columns = [("id", ty, 1), ("name", "Nullable(String)", 0), ("_op", "String", 0)];
            return columns.map(column).concat();
        }
        if query.contains("system.tables") {
            let full = "MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 9";
            return format!("{{\"engine\":\"MergeTree\",\"engine_full\":\"{full}\"}}\n");
        }
        String::new()
    }
}

/// Line, headers and body as text, and the body; `None`: the connection was closed.
async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let body = bytes.get(head.len() + 4..).unwrap_or(&[]);
            let lower = head.to_lowercase();
            let length = lower.split_once("content-length: ").map(|(_, rest)| rest);
            let length = length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
            let is_whole = match length {
                Some(length) => body.len() >= length,
                None => !lower.contains("chunked") || body.ends_with(b"0\r\n\r\n"),
            };
            if is_whole {
                return Some((text, body.to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Bytes that two rows count as.
const WEIGHT: usize = 100;

struct Rig {
    stub: Arc<Stub>,
    inserts: mpsc::UnboundedReceiver<Insert>,
    context: Arc<Context>,
    worker: mpsc::UnboundedSender<Message>,
}

type Answer = oneshot::Receiver<Result<Written, Fault>>;

impl Rig {
    /// A worker whose batches are whole with two rows.
    async fn start() -> Self {
        let (sender, inserts) = mpsc::unbounded_channel();
        let stub = Arc::new(Stub { ty: Mutex::new("Int64"), inserts: sender });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let held = Arc::clone(&stub);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stub = Arc::clone(&held);
                tokio::spawn(async move { stub.serve(stream).await });
            }
        });
        let table =
            TableSettings { evolve: false, engine: Engine::Append, ..TableSettings::default() };
        let mut settings = SinkSettings {
            hosts: vec![url],
            user: None,
            password: None,
            token: None,
            ca_file: None,
            database: "d".to_owned(),
            table: table.clone(),
            tables: Vec::new(),
            batch: Default::default(),
            parallel: 4,
            // Plain: what is asserted is read in the bodies, and this server is local.
            compression: Compression::Auto,
            async_insert: false,
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
        };
        settings.batch.rows = 2;
        let hosts = Arc::new(Hosts::new(&settings).unwrap());
        let ledger = Ledger::open(None).await.unwrap();
        let server = Server::parse("26.7.2.1");
        let settings = Arc::new(settings);
        let context = Arc::new(Context::new(settings, hosts, ledger, server, String::new()));
        let (worker, inbox) = mpsc::unbounded_channel();
        tokio::spawn(Worker::new(Arc::clone(&context), table, "t").run(inbox));
        Self { stub, inserts, context, worker }
    }

    /// Two rows after `from`; what becomes of them.
    fn send(&self, from: u64) -> Answer {
        let batch = numbers(&number_schema(1, "a.b.t"), from..from + 2);
        let shape = Arc::new(Shape::of(&batch, "a.b.t"));
        let (ticket, answer) = Ticket::new(2);
        let delivery = Arc::new(delivery("p", from, vec![batch]));
        let (rows, weight) = (vec![0, 1], WEIGHT);
        self.context.gathered.fetch_add(weight, Ordering::Relaxed);
        let piece = Piece { delivery, batch: 0, rows, shape, weight, crossed: false, ticket };
        drop(self.worker.send(Message::Piece(piece)));
        answer
    }

    /// The next insert that the server has before it.
    async fn insert(&mut self) -> Insert {
        let soon = tokio::time::timeout(Duration::from_secs(30), self.inserts.recv());
        soon.await.unwrap().unwrap()
    }

    /// Waits until no more than these bytes of rows wait: the others are being encoded, or sent.
    async fn waiting(&self, bytes: usize) {
        let begun = async {
            while self.context.gathered.load(Ordering::Relaxed) > bytes {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), begun).await.unwrap();
        assert_eq!(self.context.gathered.load(Ordering::Relaxed), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_batch_is_encoded_while_an_insert_travels_and_sent_after_it() {
    let mut rig = Rig::start().await;
    let first = rig.send(0);
    let sent = rig.insert().await;
    assert!(sent.has("row-0") && sent.has("row-1") && !sent.has("row-2"));
    // It came while the first one travelled.
    let (second, third) = (rig.send(2), rig.send(4));
    // One ahead, no more; and nothing of it is sent.
    rig.waiting(WEIGHT).await;
    assert!(rig.inserts.try_recv().is_err());
    sent.answer.send("").unwrap();
    assert_eq!(first.await.unwrap().unwrap().records, 2);
    for (name, answer) in [("row-2", second), ("row-4", third)] {
        let sent = rig.insert().await;
        assert!(sent.has(name));
        sent.answer.send("").unwrap();
        assert_eq!(answer.await.unwrap().unwrap().records, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_encoded_for_the_table_as_it_was_is_encoded_again() {
    let mut rig = Rig::start().await;
    let (first, second) = (rig.send(0), rig.send(2));
    let sent = rig.insert().await;
    assert!(sent.has("Int64") && !sent.has("Int32"));
    rig.waiting(0).await;
    // Somebody altered the table meanwhile.
    *rig.stub.ty.lock().unwrap() = "Int32";
    sent.answer.send("Code: 53. DB::Exception: Type mismatch (TYPE_MISMATCH)").unwrap();
    for (name, answer) in [("row-0", first), ("row-2", second)] {
        let sent = rig.insert().await;
        assert!(sent.has("Int32") && !sent.has("Int64") && sent.has(name));
        sent.answer.send("").unwrap();
        assert_eq!(answer.await.unwrap().unwrap().records, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_that_of_what_was_encoded_ahead_too() {
    let mut rig = Rig::start().await;
    let (first, second) = (rig.send(0), rig.send(2));
    let sent = rig.insert().await;
    rig.waiting(0).await;
    sent.answer.send("Code: 115. DB::Exception: Unknown setting x").unwrap();
    // The first one's pieces go without a word: whoever asks is told the sink's fault.
    assert!(first.await.is_err());
    let fault = rig.context.fault().unwrap();
    assert!(fault.chain().contains("does not know this setting"), "{}", fault.chain());
    let told = second.await.unwrap().unwrap_err();
    assert_eq!(told.kind, FaultKind::SinkRefused);
    assert!(rig.inserts.try_recv().is_err(), "nothing is sent after a fault");
    assert!(rig.send(4).await.unwrap().is_err());
}
