//! Existing rows, read beside the stream: by signal, by command, and for large tables of the first
//! snapshot. After Netflix's DBLog (arXiv 2010.12597): rows are read in chunks by key while the
//! stream goes on, and a chunk is delivered once the stream has told everything that the chunk
//! saw, without the rows that the stream changed meanwhile.
//!
//! What is the same for every database is here: the list ([`Work`]), when a chunk is asked for
//! (`reader`), what the stream changed meanwhile (`window`), what becomes of a chunk (`deliver`),
//! signals (`tasks`), tables that were held back and go on (`resume`). A database reads chunks
//! ([`Reader`]) and says what its stream is and where it stands ([`StreamSide`]): how a place of
//! the log is told, and when it is reached, is its own.

mod deliver;
mod mark;
mod reader;
mod resume;
mod tasks;
mod window;

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wasmgate_connector::{Refusal, SourceCommand, SourceStatus, TableProgress};
use wasmgate_model::{Fault, Position};

pub use self::mark::Mark;
pub use self::reader::{Answer, Chunk, Opened, Reader};
use self::reader::{Ask, run};
pub use self::window::{Key, Tracked, Window, Windows, push_key};
use crate::name::TableName;
use crate::notify::{Notifier, Places};
use crate::signal::{Answers, Signal};
use crate::work::Work;

/// Chunks asked for or read and not delivered, at most: while one waits for the stream, the next
/// is read.
const AHEAD: usize = 2;

/// The stream and what is delivered of it, as a database has them.
pub trait StreamSide {
    /// Rows of a chunk, and what they saw of the stream.
    type Rows: Send;
    /// Places of a key's columns in the rows of the stream.
    type Columns;
    /// What tells whether a change of the stream came after a chunk was read.
    type Sight;
    /// Where notifications are put.
    type Out: Places;
    /// A table as it is at the server.
    type Table: Send;

    /// Where notifications are put.
    fn out(&mut self) -> &mut Self::Out;

    /// How far the records go.
    fn place(&self) -> Position;

    /// Keeps the list for the checkpoint.
    fn store(&mut self, work: &Work);

    /// What the stream looks out for.
    fn windows(&mut self) -> &mut Windows<Self::Columns, Self::Sight>;

    /// A table is going to be read: its changes are of interest from here on.
    fn open(&mut self, window: u64, table: Tracked<Self::Columns>);

    /// A chunk was read and waits for the stream: it is known what it saw.
    fn read(&mut self, chunk: &Chunk<Self::Rows>);

    /// Whether a table is held back.
    fn is_held(&self, name: &TableName) -> bool;

    /// Holds a table back from here on.
    ///
    /// # Errors
    /// Its changes cannot be kept.
    fn hold(&mut self, name: &TableName, reason: String) -> Result<(), Fault>;

    /// Whether the table of a chunk is held back; it is from here on where the chain does not fit
    /// it.
    ///
    /// # Errors
    /// The chain does not answer.
    fn holds(&mut self, chunk: &Chunk<Self::Rows>) -> Result<bool, Fault>;

    /// Whether the stream changed any row of a chunk.
    fn is_any_stale(
        &self,
        chunk: &Chunk<Self::Rows>,
        window: &Window<Self::Columns, Self::Sight>,
    ) -> bool;

    /// Delivers the rows of a chunk that the stream did not change. True: its table is held back
    /// now.
    ///
    /// # Errors
    /// Rows cannot be delivered.
    fn deliver(
        &mut self,
        chunk: Chunk<Self::Rows>,
        window: Window<Self::Columns, Self::Sight>,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// The tables that are captured.
    ///
    /// # Errors
    /// The server does not tell.
    fn captured(&mut self) -> impl Future<Output = Result<Vec<TableName>, Fault>> + Send;

    /// Why what a signal asks for is not done here.
    fn refusal(&self, signal: &Signal) -> Option<Refusal>;

    /// A table that is held back, as it is now; or why it cannot go on. `discard`: what is kept of
    /// it is given up.
    ///
    /// # Errors
    /// The server does not tell.
    fn fit(
        &mut self,
        name: &TableName,
        discard: bool,
    ) -> impl Future<Output = Result<Result<Self::Table, String>, Fault>> + Send;

    /// Says that a table goes on where the log ends now: it may hold changes of the table as it
    /// was.
    ///
    /// # Errors
    /// The server does not tell where that is.
    fn goes_on(
        &mut self,
        name: &TableName,
        discard: bool,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Tables that the stream has come far enough for, and whether what is kept of them is given
    /// up.
    fn due(&self) -> Vec<(TableName, bool)>;

    /// Lets a table go on that is read anew after this.
    ///
    /// # Errors
    /// What was held back cannot be made good.
    fn release(
        &mut self,
        name: &TableName,
        table: Self::Table,
        discard: bool,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Says that a table stays held back, and why.
    fn stays(&mut self, name: &TableName, why: &str);

    /// Gives up the snapshot that the stream waits for; answers whether there was one.
    fn give_up(&mut self) -> bool {
        false
    }
}

/// Something that happened beside the stream.
pub enum Event<R> {
    Answer(Answer<R>),
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

/// What is read beside the stream. `R`: rows of a chunk.
pub struct Incremental<R> {
    status: Arc<SourceStatus>,
    pub notifier: Notifier,
    pub work: Work,
    commands: Option<mpsc::Receiver<SourceCommand>>,
    /// Commands that wait for their place in the checkpoint.
    taken: Answers,
    asks: mpsc::Sender<Ask>,
    answers: mpsc::Receiver<Answer<R>>,
    /// Ends with this.
    _reader: JoinSet<()>,
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
    ready: VecDeque<Chunk<R>>,
}

/// What [`Incremental`] is made of.
pub struct Parts {
    pub status: Arc<SourceStatus>,
    pub notifier: Notifier,
    pub work: Work,
    pub commands: mpsc::Receiver<SourceCommand>,
    pub taken: Answers,
}

impl<R: Send + 'static> Incremental<R> {
    /// Goes on with the work; `reader` runs in a task of its own.
    pub fn new(parts: Parts, reader: impl Reader<Rows = R> + 'static) -> Self {
        let Parts { status, notifier, work, commands, taken } = parts;
        let (asks, questions) = mpsc::channel(AHEAD + 4);
        let (answer, answers) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(run(reader, questions, answer));
        Self {
            status,
            notifier,
            work,
            commands: Some(commands),
            taken,
            asks,
            answers,
            _reader: tasks,
            reading: None,
            opening: false,
            marking: false,
            asked: 0,
            forgotten: 0,
            windows: 0,
            ready: VecDeque::new(),
        }
    }

    /// What happens next. Cancel safe.
    pub async fn next(&mut self) -> Event<R> {
        let command = async {
            match &mut self.commands {
                Some(commands) => commands.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            command = command => match command {
                Some(command) => Event::Command(command),
                // The next call looks at the others alone.
                None => {
                    self.commands = None;
                    Event::Alone
                }
            },
            Some(answer) = self.answers.recv() => Event::Answer(answer),
        }
    }

    /// Takes what happened; what it makes possible is left to be done.
    ///
    /// # Errors
    /// The reading connection is of no use any more, or a notification cannot be put.
    pub async fn take(
        &mut self,
        event: Event<R>,
        side: &mut impl StreamSide<Rows = R>,
    ) -> Result<(), Fault> {
        match event {
            Event::Command(command) => self.command(command, side).await,
            Event::Answer(answer) => self.answered(answer, side),
            Event::Alone => Ok(()),
        }
    }

    /// The rows of the chunk that is delivered next.
    #[must_use]
    pub fn waiting(&self) -> Option<&R> {
        self.ready.front().map(|chunk| &chunk.rows)
    }

    /// Whether nothing is being read and nothing keeps the next from being begun.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.work.paused && !self.opening && self.reading.is_none() && self.asked == 0
    }

    /// A number for a window.
    pub fn next_window(&mut self) -> u64 {
        self.windows += 1;
        self.windows
    }

    /// Tells people what is going on.
    pub fn show(&self) {
        let busy = !self.work.paused && !self.work.queue.is_empty() || self.marking;
        self.status.phase(if busy { "incremental snapshot" } else { "streaming" });
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
