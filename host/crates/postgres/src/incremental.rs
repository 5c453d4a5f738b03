//! Existing rows, read beside the stream: by signal, by command, and for large tables of the first
//! snapshot. After Netflix's DBLog (arXiv 2010.12597): rows are read in chunks by key while the
//! stream goes on, and a chunk is delivered once the stream has told everything that the chunk
//! saw, without the rows that the stream changed since.
//!
//! `chunk` reads, `window` remembers what the stream changed meanwhile, [`Work`] is what the
//! checkpoint keeps, `tasks` follows signals. Chunks stand between transactions (see `assemble`).

mod blocking;
mod chunk;
mod deliver;
pub(crate) mod marks;
mod replay;
mod resume;
mod tasks;
mod visible;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use wasmgate_connector::{SourceCommand, SourceStatus, TableProgress};
use wasmgate_model::Fault;
use wasmgate_replication::{Answers, Notifier, Places as _};
pub(crate) use wasmgate_replication::{Item, TableItem, Work};

use self::blocking::Blocking;
use self::chunk::{Answer, Ask, Chunk, Worker};
pub(crate) use self::chunk::{key_of, places};
pub(crate) use self::window::{Key, Touched, Watch};
use crate::assemble::Assembler;
use crate::connect::Connector;
use crate::replication::Confirmed;
use crate::settings::Settings;
use crate::snapshot::Events;
use crate::stream::Stream;
use crate::table::Naming;

/// Chunks asked for or read and not delivered, at most: while one waits for the stream, the next
/// is read.
const AHEAD: usize = 2;
/// After so long without the place that a chunk waits for the server is asked how far it is.
const NUDGE: Duration = Duration::from_millis(50);

/// Something that happened beside the stream.
pub(crate) enum Event {
    Answer(Answer),
    Command(SourceCommand),
    /// A chunk waits for its place in the log for some time.
    Late,
}

/// The table that is being read.
struct Reading {
    key: Vec<String>,
    max: Vec<String>,
    /// Where the next chunk begins.
    from: Option<Vec<String>>,
    /// The last chunk was asked for and read.
    end: bool,
    progress: Arc<TableProgress>,
}

/// Everything that goes on beside the stream.
pub(crate) struct Beside {
    settings: Arc<Settings>,
    naming: Naming,
    connector: Connector,
    status: Arc<SourceStatus>,
    confirmed: Arc<Confirmed>,
    pub(crate) notifier: Notifier,
    work: Work,
    commands: Option<mpsc::Receiver<SourceCommand>>,
    /// Commands that wait for their place in the checkpoint.
    taken: Answers,
    asks: mpsc::Sender<Ask>,
    answers: mpsc::Receiver<Answer>,
    /// Ends with this.
    _worker: JoinSet<()>,
    reading: Option<Reading>,
    /// A table was asked for and is not found yet.
    opening: bool,
    /// Marks around nothing were asked for and are not made yet.
    marking: bool,
    /// Answers that are still to come. Nothing is begun before the last one of what was.
    asked: usize,
    /// Windows up to this number are of no interest any more.
    forgotten: u64,
    windows: u64,
    /// Chunks that wait for the stream.
    ready: VecDeque<Box<Chunk>>,
    blocking: Option<Box<Blocking>>,
    /// A table that was held back waits for its place in the log.
    resuming: bool,
    late_at: Instant,
}

/// What [`Beside`] is made of.
pub(crate) struct Parts {
    pub settings: Arc<Settings>,
    pub naming: Naming,
    pub connector: Connector,
    pub status: Arc<SourceStatus>,
    pub confirmed: Arc<Confirmed>,
    pub notifier: Notifier,
    pub work: Work,
    pub commands: mpsc::Receiver<SourceCommand>,
    pub taken: Answers,
}

impl Beside {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            settings,
            naming,
            connector,
            status,
            confirmed,
            notifier,
            work,
            commands,
            taken,
        } = parts;
        let (asks, questions) = mpsc::channel(AHEAD + 4);
        let (answer, answers) = mpsc::channel(1);
        let worker = Worker::new(
            Arc::clone(&settings),
            naming.clone(),
            connector.clone(),
            Arc::clone(&status),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(worker.run(questions, answer));
        Self {
            settings,
            naming,
            connector,
            status,
            confirmed,
            notifier,
            work,
            commands: Some(commands),
            taken,
            asks,
            answers,
            _worker: tasks,
            reading: None,
            opening: false,
            marking: false,
            asked: 0,
            forgotten: 0,
            windows: 0,
            ready: VecDeque::new(),
            blocking: None,
            resuming: false,
            late_at: Instant::now(),
        }
    }

    /// What happens next. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        let waits = self.resuming || self.waits_for().is_some();
        let command = async {
            match &mut self.commands {
                Some(commands) => commands.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = command => match command {
                Some(command) => Event::Command(command),
                // Nobody sends any more; the next call looks at the others alone.
                None => {
                    self.commands = None;
                    Event::Late
                }
            },
            Some(answer) = self.answers.recv() => Event::Answer(answer),
            () = sleep_until(self.late_at), if waits => Event::Late,
        }
    }

    /// The place in the log that has to come before anything is delivered.
    fn waits_for(&self) -> Option<u64> {
        let blocking = self.blocking.as_ref().map(|b| b.high);
        blocking.or_else(|| self.ready.front().map(|chunk| chunk.high))
    }

    /// Whether [`Beside::step`] has something to do where no transaction is open.
    pub(crate) fn is_due(&self, stream: &Stream, out: &Assembler) -> bool {
        let reached = self.waits_for().is_some_and(|high| high <= out.place().major);
        reached || out.resumes() || !stream.watch.signals.is_empty() || self.notifier.waits()
    }

    /// Takes what happened.
    pub(crate) async fn take(
        &mut self,
        event: Event,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        match event {
            Event::Command(command) => self.command(command, stream, out).await?,
            Event::Late => {
                self.late_at = Instant::now() + NUDGE;
                if self.resuming || self.waits_for().is_some() {
                    self.confirmed.ask();
                }
            }
            Event::Answer(Answer::Failed(fault)) => return Err(fault),
            Event::Answer(answer) => self.answered(answer, stream, out)?,
        }
        self.step(stream, out, events).await
    }

    /// Does what can be done; where a transaction is open nothing can.
    pub(crate) async fn step(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        if stream.in_transaction() || !out.is_free() {
            return Ok(());
        }
        self.notifier.flush(out)?;
        for [id, kind, data] in std::mem::take(&mut stream.watch.signals) {
            self.signal(&id, &kind, &data, stream, out).await?;
        }
        while self.waits_for().is_some_and(|high| high <= out.place().major) {
            if self.blocking.is_some() {
                let copied = Box::pin(self.copy_blocking(stream, out, events)).await;
                self.unless_refused(copied, out)?;
            } else {
                self.deliver(stream, out, events).await?;
            }
        }
        self.release(stream, out, events).await?;
        self.go_on(stream, out).await?;
        self.show();
        if out.has_news() && !out.has_rows() {
            crate::snapshot::hand_over(out, events).await?;
        }
        Ok(())
    }

    /// Tells people what is going on.
    fn show(&self) {
        let busy = !self.work.paused && !self.work.queue.is_empty() || self.marking;
        self.status.phase(if busy { "incremental snapshot" } else { "streaming" });
    }

    /// Puts what the checkpoint has to keep into the state.
    fn store(&self, out: &mut Assembler) {
        out.state().work = self.work.stored();
    }
}
