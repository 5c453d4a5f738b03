//! Existing rows, read beside the stream; how, and what is the same for every database, stands in
//! `wasmgate_replication::incremental`.
//!
//! `chunk` reads by `key`, `marks` are rows of the signal table around it, `window` remembers what
//! the stream changed meanwhile, `side` is where they meet the stream. Chunks stand between
//! transactions (see `state`), each in deliveries of its own, so that a row never comes after a
//! later change of it. `blocking` is the snapshot that the stream waits for, `resume` lets tables
//! go on that were held back.

mod blocking;
pub(crate) mod chunk;
mod key;
mod marks;
mod resume;
mod side;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use wasmgate_connector::{SourceCommand, SourceStatus};
use wasmgate_model::Fault;
use wasmgate_replication::incremental::{self, Incremental};
use wasmgate_replication::{Answers, Notifier, Places as _, Work};

use self::chunk::{Rows, Worker};
pub(crate) use self::marks::quoted;
use self::side::{Own, Side};
pub(crate) use self::window::Watch;
use crate::assemble::Assembler;
use crate::catalog::Server;
use crate::connect::Connector;
use crate::settings::Settings;
use crate::snapshot::Events;
use crate::stream::Stream;
use crate::table::Naming;

/// Something that happened beside the stream.
pub(crate) type Event = incremental::Event<Rows>;

/// Everything that goes on beside the stream.
pub(crate) struct Beside {
    own: Own,
    chunks: Incremental<Rows>,
    /// Commands and answers that came inside a transaction.
    waiting: VecDeque<Event>,
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
        let (own, other) = (Arc::clone(&settings), connector.clone());
        let worker = Worker::new(own, Arc::clone(&server), naming, other);
        let Parts { status, notifier, work, commands, taken, .. } = parts;
        let parts =
            incremental::Parts { status: Arc::clone(&status), notifier, work, commands, taken };
        Self {
            own: Own {
                settings,
                server,
                connector,
                status: Arc::clone(&status),
                blocking: None,
                news: false,
            },
            chunks: Incremental::new(parts, worker),
            waiting: VecDeque::new(),
        }
    }

    /// What happens next. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        self.chunks.next().await
    }

    fn is_reached(&self, stream: &Stream) -> bool {
        if let Some(blocking) = &self.own.blocking {
            return blocking.is_reached(stream);
        }
        self.chunks.waiting().is_some_and(|rows| rows.high <= *stream.read_to())
    }

    /// Whether [`Beside::step`] has something to do where no transaction is open.
    pub(crate) fn is_due(&self, stream: &Stream, out: &Assembler) -> bool {
        self.is_reached(stream)
            || !self.waiting.is_empty()
            || !stream.watch.signals.is_empty()
            || self.chunks.notifier.waits()
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
        self.chunks.notifier.flush(out)?;
        let signals = std::mem::take(&mut stream.watch.signals);
        let mut side = Side { own: &mut self.own, stream, out, events };
        for signal in signals {
            self.chunks.signal(signal.each_ref().map(String::as_str), &mut side).await?;
        }
        while let Some(event) = self.waiting.pop_front() {
            self.chunks.take(event, &mut side).await?;
        }
        while self.is_reached(stream) {
            if self.own.blocking.is_some() {
                let copied = Box::pin(self.copy_blocking(stream, out, events)).await;
                let side = &mut Side { own: &mut self.own, stream, out, events };
                self.chunks.unless_refused(copied, side)?;
            } else {
                self.deliver(stream, out, events).await?;
            }
        }
        let mut side = Side { own: &mut self.own, stream, out, events };
        self.chunks.release(&mut side).await?;
        self.go_on(stream, out, events).await?;
        let mut side = Side { own: &mut self.own, stream, out, events };
        self.chunks.ask_more(&mut side)?;
        self.chunks.show();
        if side.own.news && !side.out.has_rows() {
            side.hand_over().await?;
            side.own.news = false;
        }
        Ok(())
    }

    /// Begins what is next. No transaction is open.
    async fn go_on(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        if self.own.blocking.is_some() {
            return Ok(());
        }
        if self.chunks.is_blocking_next() {
            let begun = Box::pin(self.begin_blocking(stream)).await;
            let side = &mut Side { own: &mut self.own, stream, out, events };
            return self.chunks.unless_refused(begun, side);
        }
        self.chunks.go_on(&mut Side { own: &mut self.own, stream, out, events })
    }

    /// Delivers the next chunk: the stream has told all that it saw.
    async fn deliver(
        &mut self,
        stream: &mut Stream,
        out: &mut Assembler,
        events: &Events,
    ) -> Result<(), Fault> {
        let mut side = Side { own: &mut self.own, stream, out, events };
        if self.chunks.deliver(&mut side).await? {
            side.hand_over().await?;
            side.own.news = false;
            self.chunks.ask_more(&mut side)?;
        }
        Ok(())
    }
}
