//! A table of numbered rows that is read while its stream changes it; no server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};
use wasmgate_connector::{SourceCommand, SourceStatus};
use wasmgate_model::{FaultKind, Schema};

mod asked;

use super::*;
use crate::notify::Notifications;
use crate::signal::Kind;
use crate::work::{Item, TableItem};

/// Rows of the table by key.
type Rows = Arc<Mutex<BTreeMap<u8, &'static str>>>;

const CHUNK: usize = 2;

fn name() -> TableName {
    TableName { schema: "s".into(), table: "t".into() }
}

fn key(n: u8) -> Key {
    let mut key = Vec::new();
    push_key(&mut key, n.to_string().as_bytes());
    key.into()
}

/// Reads the table.
struct Table(Rows);

impl Reader for Table {
    type Rows = Vec<(u8, &'static str)>;

    async fn open(
        &mut self,
        item: TableItem,
        _: Option<String>,
    ) -> Result<Answer<Self::Rows>, Fault> {
        if item.table != "t" {
            return Ok(Answer::NotRead("UNKNOWN_SCHEMA", "the table is not there".into()));
        }
        let rows = self.0.lock().unwrap();
        let max = item.max.or_else(|| rows.keys().next_back().map(|n| vec![n.to_string()]));
        Ok(Answer::Table(Opened { key: vec!["id".into()], max, estimate: -1 }))
    }

    async fn chunk(
        &mut self,
        window: u64,
        from: Option<Vec<String>>,
    ) -> Result<Answer<Self::Rows>, Fault> {
        let from = from.map_or(0, |from| from[0].parse::<u8>().unwrap() + 1);
        let table = self.0.lock().unwrap();
        let rows: Vec<_> = table.range(from..).take(CHUNK).map(|(n, v)| (*n, *v)).collect();
        let last = rows.last().map(|(n, _)| vec![n.to_string()]);
        let (count, end) = (rows.len() as u64, rows.len() < CHUNK);
        Ok(Answer::Chunk(Chunk { window, count, last, end, rows }))
    }

    async fn marks(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    fn reset(&mut self) {}
}

/// Where records go.
#[derive(Default)]
struct Told {
    rows: Vec<(u8, &'static str)>,
    /// Kinds of notifications, with what they say of a scan.
    kinds: Vec<String>,
}

impl Places for Told {
    fn is_free(&self) -> bool {
        true
    }

    fn add_document(&mut self, _: &Arc<Schema>, _: &[u8], value: &[u8]) -> Result<(), Fault> {
        let value: serde_json::Value = serde_json::from_slice(value).unwrap();
        let status = value["additional_data"]["status"].as_str().unwrap_or_default();
        self.kinds.push(format!("{} {status}", value["type"].as_str().unwrap()));
        Ok(())
    }
}

/// The stream's side.
#[derive(Default)]
struct Side {
    windows: Windows<(), ()>,
    out: Told,
    stored: Option<serde_json::Value>,
    held: Vec<String>,
    due: Vec<(TableName, bool)>,
    /// Rows of its next chunk that the chain takes before the table is held back.
    takes: Option<usize>,
    /// A snapshot that the stream waits for is under way.
    blocks: bool,
}

impl Side {
    /// The stream tells a change.
    fn change(&mut self, n: u8, value: &'static str) {
        self.out.rows.push((n, value));
        for window in self.windows.iter_mut() {
            if let Some((table, _)) = window.table(&name()) {
                window.change(table, key(n));
            }
        }
    }
}

impl StreamSide for Side {
    type Rows = Vec<(u8, &'static str)>;
    type Columns = ();
    type Sight = ();
    type Out = Told;
    type Table = ();

    fn out(&mut self) -> &mut Told {
        &mut self.out
    }

    fn place(&self) -> Position {
        Position::default()
    }

    fn store(&mut self, work: &Work) {
        self.stored = work.stored();
    }

    fn windows(&mut self) -> &mut Windows<(), ()> {
        &mut self.windows
    }

    fn open(&mut self, window: u64, table: Tracked<()>) {
        self.windows.open(window, vec![table], ());
    }

    fn read(&mut self, _: &Chunk<Self::Rows>) {}

    fn is_held(&self, name: &TableName) -> bool {
        self.held.contains(&name.to_string())
    }

    fn hold(&mut self, name: &TableName, reason: String) -> Result<(), Fault> {
        self.held.push(name.to_string());
        self.out.kinds.push(reason);
        Ok(())
    }

    fn holds(&mut self, _: &Chunk<Self::Rows>) -> Result<bool, Fault> {
        Ok(!self.held.is_empty())
    }

    fn is_any_stale(&self, chunk: &Chunk<Self::Rows>, window: &Window<(), ()>) -> bool {
        chunk.rows.iter().any(|(n, _)| window.is_stale(0, Some(&key(*n))))
    }

    async fn deliver(
        &mut self,
        chunk: Chunk<Self::Rows>,
        window: Window<(), ()>,
    ) -> Result<bool, Fault> {
        let fresh = |(n, _): &(u8, &str)| !window.is_stale(0, Some(&key(*n)));
        let takes = self.takes.take();
        let rows = chunk.rows.into_iter().filter(fresh).take(takes.unwrap_or(usize::MAX));
        self.out.rows.extend(rows);
        Ok(takes.is_some())
    }

    async fn captured(&mut self) -> Result<Vec<TableName>, Fault> {
        Ok(vec![name(), TableName { schema: "s".into(), table: "gone".into() }])
    }

    fn refusal(&self, signal: &Signal) -> Option<Refusal> {
        let blocks = matches!(signal, Signal::Execute(execute) if execute.kind == Kind::Blocking);
        blocks.then(|| Refusal::Invalid("nothing blocks here".into()))
    }

    async fn fit(
        &mut self,
        name: &TableName,
        discard: bool,
    ) -> Result<Result<Self::Table, String>, Fault> {
        let fits = name.table != "bad" && !discard;
        Ok(if fits { Ok(()) } else { Err("it does not fit".into()) })
    }

    async fn goes_on(&mut self, name: &TableName, discard: bool) -> Result<(), Fault> {
        self.due.push((name.clone(), discard));
        Ok(())
    }

    fn due(&self) -> Vec<(TableName, bool)> {
        self.due.clone()
    }

    async fn release(&mut self, name: &TableName, (): (), _: bool) -> Result<(), Fault> {
        self.held.retain(|held| *held != name.to_string());
        self.due.clear();
        Ok(())
    }

    fn stays(&mut self, _: &TableName, why: &str) {
        self.due.clear();
        self.out.kinds.push(why.to_owned());
    }

    fn give_up(&mut self) -> bool {
        std::mem::take(&mut self.blocks)
    }
}

/// All of it.
struct Bench {
    beside: Incremental<Vec<(u8, &'static str)>>,
    side: Side,
    table: Rows,
    commands: mpsc::Sender<SourceCommand>,
    taken: Answers,
}

impl Bench {
    fn new(rows: &[u8], work: Work) -> Self {
        let table = Rows::default();
        table.lock().unwrap().extend(rows.iter().map(|n| (*n, "old")));
        let to = Notifications { topic: Some("told".into()), log: false };
        let schema = |topic: &str| Arc::new(Schema::open(1, topic.into(), false));
        let notifier = Notifier::new(&to, "c", schema);
        let (commands, received) = mpsc::channel(8);
        let taken = Answers::default();
        let status = Arc::<SourceStatus>::default();
        let parts = Parts { status, notifier, work, commands: received, taken: taken.clone() };
        let beside = Incremental::new(parts, Table(Arc::clone(&table)));
        Self { beside, side: Side::default(), table, commands, taken }
    }

    async fn signal(&mut self, kind: &str, data: &str) {
        self.beside.signal(["id", kind, data], &mut self.side).await.unwrap();
        self.go();
    }

    fn go(&mut self) {
        self.beside.go_on(&mut self.side).unwrap();
        self.beside.ask_more(&mut self.side).unwrap();
    }

    /// Takes the next thing that happens.
    async fn take(&mut self) {
        let event = self.beside.next().await;
        self.beside.take(event, &mut self.side).await.unwrap();
        self.go();
    }

    /// Takes what happens until a chunk waits.
    async fn chunk(&mut self) {
        while self.beside.waiting().is_none() {
            self.take().await;
        }
    }

    async fn deliver(&mut self) -> bool {
        let delivered = self.beside.deliver(&mut self.side).await.unwrap();
        self.go();
        delivered
    }

    /// Reads all that is asked for.
    async fn finish(&mut self) {
        while !self.beside.work.queue.is_empty() {
            match self.beside.waiting() {
                Some(_) => drop(self.deliver().await),
                None => self.take().await,
            }
        }
    }

    async fn command(&mut self, kind: &str, data: &str) -> oneshot::Receiver<Result<(), Refusal>> {
        let (answer, answered) = oneshot::channel();
        let (id, kind, data) = ("c".into(), kind.into(), data.into());
        self.commands.send(SourceCommand { id, kind, data, answer }).await.unwrap();
        self.take().await;
        answered
    }
}

const ASKED: &str = r#"{"data-collections":["s.t"]}"#;

#[tokio::test]
async fn rows_that_the_stream_changed_meanwhile_are_left_out() {
    let mut bench = Bench::new(&[1, 2, 3, 4, 5], Work::default());
    bench.signal("execute-snapshot", ASKED).await;
    bench.chunk().await;
    bench.side.change(2, "new");
    // What comes of the second chunk before the first is delivered counts for the second, too.
    while bench.beside.ready.len() < AHEAD {
        bench.take().await;
    }
    bench.side.change(3, "new");
    assert!(bench.deliver().await);
    bench.finish().await;
    let want = [(2, "new"), (3, "new"), (1, "old"), (4, "old"), (5, "old")];
    assert_eq!(bench.side.out.rows, want);
    let want = ["STARTED ", "IN_PROGRESS ", "IN_PROGRESS ", "IN_PROGRESS "];
    let end = ["TABLE_SCAN_COMPLETED SUCCEEDED", "COMPLETED "];
    assert_eq!(bench.side.out.kinds, [&want[..], &end].concat());
}

#[tokio::test]
async fn a_restart_goes_on_behind_the_last_chunk() {
    let mut bench = Bench::new(&[1, 2, 3], Work::default());
    bench.signal("execute-snapshot", ASKED).await;
    bench.chunk().await;
    bench.deliver().await;
    let work = Work::parse(bench.side.stored.as_ref()).unwrap();
    assert_eq!(work.queue[0].tables[0].last, Some(vec!["2".into()]));
    let mut bench = Bench::new(&[1, 2, 3], work);
    bench.go();
    bench.finish().await;
    assert_eq!(bench.side.out.rows, [(3, "old")]);
    assert!(bench.side.out.kinds.iter().all(|kind| kind != "STARTED "), "it was told");
}

#[tokio::test]
async fn a_chunk_by_a_surrogate_key_is_read_again_where_the_stream_changed_it() {
    let mut bench = Bench::new(&[1], Work::default());
    let data = r#"{"data-collections":["s.t"],"surrogate-key":"v"}"#;
    bench.signal("execute-snapshot", data).await;
    bench.chunk().await;
    bench.table.lock().unwrap().insert(1, "new");
    bench.side.change(1, "new");
    assert!(!bench.deliver().await);
    bench.finish().await;
    assert_eq!(bench.side.out.rows, [(1, "new"), (1, "new")]);
}

#[tokio::test]
async fn work_is_paused_and_stopped() {
    let mut bench = Bench::new(&[1, 2, 3], Work::default());
    bench.signal("execute-snapshot", ASKED).await;
    bench.signal("pause-snapshot", "").await;
    bench.take().await;
    assert!(bench.beside.reading.is_some() && bench.beside.asked == 0, "nothing more is asked");
    bench.signal("resume-snapshot", "").await;
    bench.chunk().await;
    bench.signal("stop-snapshot", r#"{"data-collections":["s.other"]}"#).await;
    assert!(bench.beside.waiting().is_some(), "another table is stopped");
    bench.signal("stop-snapshot", "").await;
    assert!(!bench.deliver().await);
    assert_eq!((bench.side.stored.take(), bench.side.windows.is_empty()), (None, true));
    assert_eq!(bench.side.out.kinds, ["STARTED ", "PAUSED ", "RESUMED ", "ABORTED "]);
    assert_eq!(bench.side.out.rows, []);
}

#[tokio::test]
async fn a_table_that_goes_on_is_held_back_again_where_it_cannot_be_read() {
    let gone = TableName { table: "gone".into(), ..name() };
    let item = Item::of("id", vec![TableItem::of(&gone)]);
    for (resumes, held) in [(false, &[][..]), (true, &["s.gone".to_owned()])] {
        let queue = vec![Item { resumes, ..item.clone() }];
        let mut bench = Bench::new(&[], Work { queue, ..Work::default() });
        bench.go();
        bench.finish().await;
        assert_eq!(bench.side.held, held);
        let kinds = bench.side.out.kinds.join("; ");
        assert!(kinds.contains("TABLE_SCAN_COMPLETED UNKNOWN_SCHEMA"), "{kinds}");
    }
}

#[tokio::test]
async fn commands_are_answered_once_they_are_stored_and_refused_at_once() {
    let mut bench = Bench::new(&[], Work::default());
    let mut taken = bench.command("execute-snapshot", ASKED).await;
    assert!(taken.try_recv().is_err(), "it is not stored yet");
    bench.taken.stored(Work::parse(bench.side.stored.as_ref()).unwrap().commands);
    assert_eq!(taken.try_recv(), Ok(Ok(())));
    let blocking = r#"{"data-collections":["s.t"],"type":"blocking"}"#;
    for (kind, data, part) in [
        ("snapshot-window-open", "", "only for the signal table"),
        ("execute-snapshot", blocking, "nothing blocks here"),
        ("resume-table", r#"{"table":"s.t"}"#, "not quarantined"),
        ("bogus", "", "not known"),
    ] {
        let refused = bench.command(kind, data).await.try_recv().unwrap().unwrap_err();
        assert!(refused.to_string().contains(part), "{kind}: {refused}");
    }
}

#[tokio::test]
async fn a_snapshot_that_blocks_and_is_refused_is_given_up() {
    let item = Item { blocking: true, ..Item::of("id", vec![TableItem::of(&name())]) };
    let work = Work { queue: vec![item.clone()], ..Work::default() };
    let mut bench = Bench::new(&[1], work);
    assert!(bench.beside.is_blocking_next());
    bench.beside.unless_refused(Ok(()), &mut bench.side).unwrap();
    let down = Err(Fault::new(FaultKind::SourceUnavailable, "the server is gone"));
    bench.beside.unless_refused(down, &mut bench.side).unwrap_err();
    assert_eq!(bench.beside.work.queue, [item]);
    let refused = Err(Fault::new(FaultKind::SourceRefused, "no SQL"));
    bench.beside.unless_refused(refused, &mut bench.side).unwrap();
    assert_eq!((bench.beside.work.queue.len(), bench.beside.is_blocking_next()), (0, false));
    assert_eq!(bench.side.out.kinds, ["ABORTED "]);
}

#[tokio::test]
async fn a_table_that_was_held_back_goes_on_with_its_rows_where_it_fits() {
    let mut bench = Bench::new(&[1, 2], Work::default());
    bench.side.held.push("s.t".into());
    let no = bench.command("resume-table", r#"{"table":"s.t","kept":"dead_letter"}"#).await;
    let refused = no.await.unwrap().unwrap_err().to_string();
    assert!(refused.contains("stays quarantined: it does not fit"), "{refused}");
    drop(bench.command("resume-table", r#"{"table":"s.t"}"#).await);
    bench.beside.release(&mut bench.side).await.unwrap();
    assert!(bench.side.held.is_empty() && bench.beside.work.queue[0].resumes);
    let stored = Work::parse(bench.side.stored.as_ref()).unwrap();
    assert_eq!(stored.queue, bench.beside.work.queue, "a restart reads it, too");
    bench.go();
    bench.finish().await;
    assert_eq!(bench.side.out.rows, [(1, "old"), (2, "old")]);
    // It was altered between the word and its place in the log.
    bench.side.due.push((TableName { table: "bad".into(), ..name() }, false));
    bench.beside.release(&mut bench.side).await.unwrap();
    assert!(bench.beside.work.queue.is_empty());
    assert_eq!(bench.side.out.kinds.last().map(String::as_str), Some("it does not fit"));
}
