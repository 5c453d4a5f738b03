//! Existing rows, read beside the stream: by signal, by command, and for large tables of the first
//! snapshot. After Netflix's DBLog (arXiv 2010.12597): rows are read in chunks by key while the
//! stream goes on, and a chunk is delivered once the stream has told everything that the chunk
//! saw, without the rows that the stream changed meanwhile.
//!
//! `chunk` reads, `window` remembers what the stream changed meanwhile, [`Work`] is what the
//! checkpoint keeps, `tasks` follows signals. Chunks stand between transactions (see `state`), each
//! in deliveries of its own, so that a row never comes after a later change of it.

mod blocking;
pub(crate) mod chunk;
mod deliver;
mod key;
mod marks;
mod resume;
mod tasks;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wasmgate_connector::{SourceCommand, SourceStatus, TableProgress};
use wasmgate_model::Fault;
use wasmgate_replication::{Answers, Notifier, Places as _, Work};

use self::blocking::Blocking;
use self::chunk::{Answer, Ask, Chunk, Worker};
pub(crate) use self::marks::quoted;
pub(crate) use self::window::Watch;
use crate::assemble::Assembler;
use crate::catalog::Server;
use crate::connect::Connector;
use crate::settings::Settings;
use crate::snapshot::{Events, hand_over};
use crate::state::Place;
use crate::stream::Stream;
use crate::table::Naming;

/// Chunks asked for or read and not delivered, at most: while one waits for the stream, the next
/// is read.
const AHEAD: usize = 2;

/// Something that happened beside the stream.
pub(crate) enum Event {
    Answer(Answer),
    Command(SourceCommand),
    /// Nobody can send commands any more.
    Alone,
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
    server: Arc<Server>,
    status: Arc<SourceStatus>,
    pub(crate) notifier: Notifier,
    work: Work,
    commands: Option<mpsc::Receiver<SourceCommand>>,
    /// Commands and answers that came inside a transaction.
    waiting: VecDeque<Event>,
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
    /// What the stream waits for.
    blocking: Option<Box<Blocking>>,
    connector: Connector,
    /// The state is another than the last one handed over.
    news: bool,
}

/// What [`Beside`] is made of.
pub(crate) struct Parts {
    pub settings: Arc<Settings>,
    pub server: Arc<Server>,
    pub naming: Naming,
    pub connector: Connector,
    pub status: Arc<SourceStatus>,
    pub notifier: Notifier,
    pub work: Work,
    pub commands: mpsc::Receiver<SourceCommand>,
    pub taken: Answers,
}

impl Beside {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { settings, server, naming, connector, .. } = parts;
        let (asks, questions) = mpsc::channel(AHEAD + 4);
        let (answer, answers) = mpsc::channel(1);
        let (own, other) = (Arc::clone(&settings), connector.clone());
        let worker = Worker::new(own, Arc::clone(&server), naming, other);
        let mut tasks = JoinSet::new();
        tasks.spawn(worker.run(questions, answer));
        Self {
            settings,
            server,
            status: parts.status,
            notifier: parts.notifier,
            work: parts.work,
            commands: Some(parts.commands),
            waiting: VecDeque::new(),
            taken: parts.taken,
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
            connector,
            news: false,
        }
    }

    /// What happens next. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        let command = async {
            match &mut self.commands {
                Some(commands) => commands.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = command => match command {
                Some(command) => Event::Command(command),
                None => {
                    self.commands = None;
                    Event::Alone
                }
            },
            Some(answer) = self.answers.recv() => Event::Answer(answer),
        }
    }

    /// The place in the log that has to come before anything is delivered.
    fn waits_for(&self) -> Option<&Place> {
        self.ready.front().map(|chunk| &chunk.high)
    }

    fn is_reached(&self, stream: &Stream) -> bool {
        if let Some(blocking) = &self.blocking {
            return blocking.is_reached(stream);
        }
        self.waits_for().is_some_and(|high| high <= stream.read_to())
    }

    /// Whether [`Beside::step`] has something to do where no transaction is open.
    pub(crate) fn is_due(&self, stream: &Stream, out: &Assembler) -> bool {
        let reached = self.is_reached(stream);
        reached
            || !self.waiting.is_empty()
            || !stream.watch.signals.is_empty()
            || self.notifier.waits()
            || out.resumes(stream.read_to())
    }

    /// Takes what happened.
    pub(crate) async fn take(
        &mut self,
        event: Event,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        self.waiting.push_back(event);
        self.step(stream, out, events).await
    }

    /// Does what can be done; where a transaction is open nothing can.
    pub(crate) async fn step(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        out.in_transaction = stream.in_transaction();
        if !out.is_free() {
            return Ok(());
        }
        self.notifier.flush(out)?;
        for [id, kind, data] in std::mem::take(&mut stream.watch.signals) {
            self.signal(&id, &kind, &data, stream, out).await?;
        }
        while let Some(event) = self.waiting.pop_front() {
            match event {
                Event::Command(command) => self.command(command, stream, out).await?,
                Event::Answer(Answer::Failed(fault)) => return Err(fault),
                Event::Answer(answer) => self.answered(answer, stream, out)?,
                Event::Alone => {}
            }
        }
        while self.is_reached(stream) {
            if self.blocking.is_some() {
                let copied = Box::pin(self.copy_blocking(stream, out, events)).await;
                self.unless_refused(copied, stream, out)?;
            } else {
                self.deliver(stream, out, events).await?;
            }
        }
        self.release(stream, out).await?;
        self.go_on(stream, out).await?;
        self.ask_more(stream)?;
        self.show();
        if self.news && !out.has_rows() {
            let state = stream.state(out);
            hand_over(out, state, events).await?;
            self.news = false;
        }
        Ok(())
    }

    /// Tells people what is going on.
    fn show(&self) {
        let busy = !self.work.paused && !self.work.queue.is_empty() || self.marking;
        self.status.phase(if busy { "incremental snapshot" } else { "streaming" });
    }

    /// Puts what the checkpoint has to keep into the state.
    fn store(&mut self, stream: &mut Stream) {
        stream.work = self.work.stored();
        self.news = true;
    }
}
