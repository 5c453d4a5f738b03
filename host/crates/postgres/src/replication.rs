//! The socket task: takes the stream off the server and answers it, whatever the consumer does.
//! It only frames; decoding is `stream`'s. While the consumer is slow it stops reading, and goes
//! on telling the server that we are alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use postgres_protocol::message::frontend;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use wasmgate_model::{Fault, FaultKind};

use crate::assemble::now_us;
use crate::fault::{STREAM, ServerError, Who, protocol};
use crate::gathering::Gathering;
use crate::wire::Wire;

/// Microseconds between 1970-01-01 and 2000-01-01.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;
/// A server that says nothing for so long, although it was asked, is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a settled position is told, at most.
const TICK: Duration = Duration::from_secs(1);

/// A run of CopyData messages, or why there will be no more.
pub(crate) type Chunk = Result<Bytes, Fault>;

/// What is settled and may be told to the server.
#[derive(Debug)]
pub(crate) struct Confirmed {
    settled: AtomicU64,
    /// Nothing behind this place may be told.
    held: AtomicU64,
    ask: Notify,
    assigned: Notify,
}

impl Default for Confirmed {
    fn default() -> Self {
        Self {
            settled: AtomicU64::new(0),
            held: AtomicU64::new(u64::MAX),
            ask: Notify::new(),
            assigned: Notify::new(),
        }
    }
}

impl Confirmed {
    /// Moves forward only.
    pub(crate) fn advance(&self, lsn: u64) {
        self.settled.fetch_max(lsn, Ordering::AcqRel);
    }

    /// An assignment is on disk.
    pub(crate) fn assigned(&self) {
        self.assigned.notify_one();
    }

    /// Waits until the assignment that was sent is on disk.
    pub(crate) async fn until_assigned(&self) {
        self.assigned.notified().await;
    }

    /// The server is asked how far it is.
    pub(crate) fn ask(&self) {
        self.ask.notify_one();
    }

    /// What lies behind `lsn` is needed again after a restart, whatever is settled.
    pub(crate) fn hold(&self, lsn: Option<u64>) {
        self.held.store(lsn.unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(crate) fn get(&self) -> u64 {
        self.settled.load(Ordering::Acquire).min(self.held.load(Ordering::Acquire))
    }
}

/// How the socket task is told to end: it confirms, says goodbye and answers.
pub(crate) type Closing = mpsc::Receiver<oneshot::Sender<()>>;

/// How often the server hears of us.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// At the latest.
    pub status: Duration,
    /// How often it is asked to answer.
    pub ask: Duration,
}

/// The socket task.
pub(crate) struct Receiver {
    pub wire: Wire,
    pub who: Who,
    pub chunks: mpsc::Sender<Chunk>,
    pub confirmed: Arc<Confirmed>,
    pub closing: Closing,
    pub pace: Pace,
    /// End of what was received.
    received: u64,
    told: u64,
    told_at: Instant,
    asked_at: Instant,
    heard_at: Instant,
}

impl Receiver {
    pub(crate) fn new(
        wire: Wire,
        who: Who,
        chunks: mpsc::Sender<Chunk>,
        confirmed: Arc<Confirmed>,
        closing: Closing,
        pace: Pace,
    ) -> Self {
        let now = Instant::now();
        Self {
            received: confirmed.get(),
            wire,
            who,
            chunks,
            confirmed,
            closing,
            pace,
            told: 0,
            told_at: now,
            asked_at: now,
            heard_at: now,
        }
    }

    /// Runs until the server, the consumer or the acker ends it.
    pub(crate) async fn run(mut self) {
        if let Err(fault) = self.receive().await {
            // A consumer that is gone needs no reason.
            drop(self.chunks.send(Err(fault)).await);
        }
    }

    async fn receive(&mut self) -> Result<(), Fault> {
        let mut tick = interval(TICK.min(self.pace.status));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let chunks = self.chunks.clone();
        let confirmed = Arc::clone(&self.confirmed);
        let mut pending: Option<Bytes> = None;
        let (mut reader, mut acker) = (true, true);
        let mut gathering = Gathering::new(Instant::now());
        while reader || acker {
            if reader && pending.is_none() {
                pending = self.next_run().await?;
            }
            tokio::select! {
                permit = chunks.reserve(), if reader && pending.is_some() => {
                    if let (Ok(permit), Some(run)) = (permit, pending.take()) {
                        permit.send(Ok(run));
                    }
                }
                filled = self.wire.fill(),
                    if reader && pending.is_none() && gathering.until().is_none() =>
                {
                    self.heard_at = Instant::now();
                    gathering.read(self.heard_at, filled?);
                    if gathering.until().is_some() {
                        self.wire.rest()?;
                    }
                }
                () = sleep_until(gathering.until().unwrap_or(self.heard_at)),
                    if gathering.until().is_some() => gathering.over(Instant::now()),
                _ = tick.tick() => {
                    if pending.is_some() || !reader {
                        self.heard_at = Instant::now();
                    }
                    self.on_tick().await?;
                }
                () = confirmed.ask.notified() => self.tell(true).await?,
                done = self.closing.recv(), if acker => match done {
                    Some(done) => return self.goodbye(done).await,
                    None => acker = false,
                },
                // The acker may still have something to tell.
                () = chunks.closed(), if reader => {
                    reader = false;
                    pending = None;
                }
            }
        }
        Ok(())
    }

    /// The whole messages that arrived. A question of the server is answered at once.
    async fn next_run(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let run = self.take_run().await?;
            if run.is_some() {
                return Ok(run);
            }
            match self.wire.buffered()? {
                None => return Ok(None),
                Some(frame) if frame.tag == b'E' => {
                    let error = ServerError::parse(&frame.body);
                    return Err(self.who.fault(STREAM, error));
                }
                // CopyDone, CommandComplete: the server shuts down
                Some(frame) if matches!(frame.tag, b'c' | b'C' | b'Z') => {
                    return Err(Fault::new(
                        FaultKind::SourceUnavailable,
                        "the server ended the stream: it is shutting down",
                    ));
                }
                // notices and parameter changes
                Some(frame) if matches!(frame.tag, b'N' | b'S') => {}
                Some(frame) => {
                    return Err(protocol(format!("message {:#x} in the stream", frame.tag)));
                }
            }
        }
    }

    async fn take_run(&mut self) -> Result<Option<Bytes>, Fault> {
        let mut received = self.received;
        let mut asked = false;
        let run = self.wire.run_of(b'd', |body| match body.split_first() {
            // XLogData: start, end, clock, then the plugin's message
            Some((b'w', rest)) => received = received.max(number(rest, 0)),
            // keepalive: end of the log as far as it was sent, clock, whether to answer
            Some((b'k', rest)) => {
                received = received.max(number(rest, 0));
                asked |= rest.get(16) == Some(&1);
            }
            _ => {}
        })?;
        self.received = received;
        if asked {
            self.tell(false).await?;
        }
        Ok(run)
    }

    async fn on_tick(&mut self) -> Result<(), Fault> {
        if self.heard_at.elapsed() > SILENCE.max(self.pace.ask * 3) {
            return Err(Fault::new(
                FaultKind::SourceUnavailable,
                format!("the server is silent since {:?}", self.heard_at.elapsed()),
            ));
        }
        let ask = self.asked_at.elapsed() >= self.pace.ask;
        let late = self.told_at.elapsed() >= self.pace.status;
        if ask || late || self.confirmed.get() > self.told {
            self.tell(ask).await?;
        }
        Ok(())
    }

    /// StandbyStatusUpdate: written, flushed, applied, clock, whether we want an answer.
    async fn tell(&mut self, ask: bool) -> Result<(), Fault> {
        let settled = self.confirmed.get();
        let mut body = Vec::with_capacity(34);
        body.put_u8(b'r');
        body.put_u64(self.received.max(settled));
        body.put_u64(settled);
        body.put_u64(settled);
        body.put_i64(now_us() - POSTGRES_EPOCH_US);
        body.put_u8(u8::from(ask));
        let message = frontend::CopyData::new(&body[..]);
        let message = message.map_err(|e| protocol("a status update is too long").because(e))?;
        message.write(&mut self.wire.output);
        self.told = settled;
        self.told_at = Instant::now();
        if ask {
            self.asked_at = self.told_at;
        }
        self.wire.send().await
    }

    /// Tells the last settled position and ends the connection, so that the slot is free when
    /// `done` is answered.
    async fn goodbye(&mut self, done: oneshot::Sender<()>) -> Result<(), Fault> {
        self.tell(false).await?;
        frontend::copy_done(&mut self.wire.output);
        frontend::terminate(&mut self.wire.output);
        self.wire.send().await?;
        // The server reads both and hangs up; what it still sends is not wanted.
        let hang_up = async {
            while self.wire.fill().await.is_ok() {
                self.wire.discard();
            }
        };
        drop(tokio::time::timeout(Duration::from_secs(2), hang_up).await);
        if done.send(()).is_err() {
            tracing::debug!("nobody waited for the end of the stream");
        }
        Ok(())
    }
}

/// A big-endian number at a place of a message; 0 where it is cut.
pub(crate) fn number(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..).and_then(<[u8]>::first_chunk);
    eight.map_or(0, |b| u64::from_be_bytes(*b))
}
