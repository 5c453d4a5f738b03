//! Existing rows, read beside the stream; how, and what is the same for every database, stands in
//! `wasmgate_replication::incremental`.
//!
//! `chunk` reads, `marks` says from where in the log on the stream has told what a chunk saw,
//! `window` remembers what the stream changed meanwhile, `side` is where they meet the stream.
//! Chunks stand between transactions (see `assemble`). `blocking` is the snapshot that the stream
//! waits for, `resume` and `replay` let tables go on that were held back.

mod blocking;
mod chunk;
pub(crate) mod marks;
mod replay;
mod resume;
mod side;
mod visible;
mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use wasmgate_connector::{SourceCommand, SourceStatus};
use wasmgate_model::Fault;
pub(crate) use wasmgate_replication::incremental::Key;
use wasmgate_replication::incremental::{self, Incremental};
use wasmgate_replication::{Answers, Notifier, Places as _};
pub(crate) use wasmgate_replication::{Item, TableItem, Work};

use self::chunk::{Rows, Worker};
pub(crate) use self::chunk::{key_of, places};
use self::side::{Own, Side};
pub(crate) use self::window::{Touched, Watch};
use crate::assemble::Assembler;
use crate::connect::Connector;
use crate::replication::Confirmed;
use crate::settings::Settings;
use crate::snapshot::Events;
use crate::stream::Stream;
use crate::table::Naming;

/// After so long without the place that a chunk waits for the server is asked how far it is.
const NUDGE: Duration = Duration::from_millis(50);

/// Something that happened beside the stream.
pub(crate) enum Event {
    Of(incremental::Event<Rows>),
    /// A chunk waits for its place in the log for some time.
    Late,
}

/// Everything that goes on beside the stream.
pub(crate) struct Beside {
    own: Own,
    status: Arc<SourceStatus>,
    chunks: Incremental<Rows>,
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
        let worker = Worker::new(
            Arc::clone(&settings),
            naming.clone(),
            connector.clone(),
            Arc::clone(&status),
        );
        let parts =
            incremental::Parts { status: Arc::clone(&status), notifier, work, commands, taken };
        let (blocking, resuming, late_at) = (None, false, Instant::now());
        Self {
            own: Own { settings, naming, connector, confirmed, blocking, resuming, late_at },
            status,
            chunks: Incremental::new(parts, worker),
        }
    }

    /// What happens next. Cancel safe.
    pub(crate) async fn next(&mut self) -> Event {
        let waits = self.is_waiting();
        tokio::select! {
            event = self.chunks.next() => Event::Of(event),
            () = sleep_until(self.own.late_at), if waits => Event::Late,
        }
    }

    /// The place in the log that has to come before anything is delivered.
    fn waits_for(&self) -> Option<u64> {
        let blocking = self.own.blocking.as_ref().map(|b| b.high);
        blocking.or_else(|| self.chunks.waiting().map(|rows| rows.high))
    }

    fn is_waiting(&self) -> bool {
        self.own.resuming || self.waits_for().is_some()
    }

    fn is_reached(&self, out: &Assembler) -> bool {
        self.waits_for().is_some_and(|high| high <= out.place().major)
    }

    /// Whether [`Beside::step`] has something to do where no transaction is open.
    pub(crate) fn is_due(&self, stream: &Stream, out: &Assembler) -> bool {
        self.is_reached(out)
            || out.resumes()
            || !stream.watch.signals.is_empty()
            || self.chunks.notifier.waits()
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
            Event::Late => {
                self.own.late_at = Instant::now() + NUDGE;
                if self.is_waiting() {
                    self.own.confirmed.ask();
                }
            }
            Event::Of(event) => {
                let side = &mut Side { own: &mut self.own, stream, out, events };
                self.chunks.take(event, side).await?;
                self.chunks.ask_more(side)?;
            }
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
        self.chunks.notifier.flush(out)?;
        for signal in std::mem::take(&mut stream.watch.signals) {
            let side = &mut Side { own: &mut self.own, stream, out, events };
            self.chunks.signal(signal.each_ref().map(String::as_str), side).await?;
            self.chunks.ask_more(side)?;
        }
        while self.is_reached(out) {
            if self.own.blocking.is_some() {
                let copied = Box::pin(self.copy_blocking(stream, out, events)).await;
                let side = &mut Side { own: &mut self.own, stream, out, events };
                self.chunks.unless_refused(copied, side)?;
            } else {
                let side = &mut Side { own: &mut self.own, stream, out, events };
                self.chunks.deliver(side).await?;
                self.chunks.ask_more(side)?;
            }
        }
        self.chunks.release(&mut Side { own: &mut self.own, stream, out, events }).await?;
        self.own.resuming = out.held().iter().any(|held| held.resume_at.is_some());
        self.go_on(stream, out, events).await?;
        self.chunks.show();
        if out.has_news() && !out.has_rows() {
            crate::snapshot::hand_over(out, events).await?;
        }
        Ok(())
    }

    /// Begins what is next.
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
}
