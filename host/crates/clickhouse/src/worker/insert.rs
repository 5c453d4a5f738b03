//! One batch on its way: bound, encoded, noted, sent until it is taken, noted again, and told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wasmgate_connector::RefusedRow;
use wasmgate_model::{DeadLetterCause, Fault, Retry};

use super::ready::{self, Early, Encoder, Ready};
use super::target::Target;
use crate::bind::Binding;
use crate::context::{Context, STRICT_TYPES};
use crate::error::{Act, ServerError};
use crate::lane::{Batch, Range};
use crate::ledger::{Entry, REFUSED_MAX};
use crate::piece::Piece;
use crate::settings::TableSettings;
use crate::shape::Shape;

/// Partition, and the lane's name.
pub(super) type Place = (Arc<str>, Arc<str>);
/// A row that stays out: number of the piece, place in its `sel`, why.
pub(super) type Out = (usize, u32, DeadLetterCause);

/// Rows that the server refuses one by one before it is taken for refusing everything.
const REFUSALS_MAX: usize = 100;

/// What became of one attempt.
enum Sent {
    Taken,
    /// The table is not what it was.
    Changed(ServerError),
    /// A row in it is refused.
    Refused(ServerError),
}

/// A batch that is to be written.
pub(super) struct Work {
    /// Number of its lane.
    pub(super) number: usize,
    pub(super) place: Place,
    pub(super) pieces: Arc<Vec<Piece>>,
    pub(super) shape: Arc<Shape>,
    pub(super) range: Range,
    rows: usize,
}

impl Work {
    pub(super) fn new(number: usize, place: Place, batch: Batch) -> Self {
        let shape = Arc::clone(batch.shape());
        let Batch { range, pieces, rows, .. } = batch;
        Self { number, place, pieces: Arc::new(pieces), shape, range, rows }
    }
}

/// A batch that can be sent, and how it was bound.
pub(super) struct Prepared {
    binding: Arc<Binding>,
    ready: Ready,
}

/// Writes into one table.
pub(super) struct Inserter {
    context: Arc<Context>,
    settings: Arc<TableSettings>,
    target: Target,
}

impl Inserter {
    pub(super) fn new(context: Arc<Context>, settings: Arc<TableSettings>, table: &str) -> Self {
        let target = Target::new(&context.settings.database, table);
        Self { context, settings, target }
    }

    /// What encodes by the bindings known now.
    pub(super) fn encoder(&self) -> Encoder {
        Encoder {
            context: Arc::clone(&self.context),
            settings: Arc::clone(&self.settings),
            bindings: self.target.bindings().to_vec(),
        }
    }

    /// Binds and encodes a batch. What was encoded early counts if the binding is the same still.
    pub(super) async fn prepare(
        &mut self,
        work: &Work,
        early: Option<Early>,
    ) -> Result<Prepared, Fault> {
        let binding = self.bound(&work.shape).await?;
        let ready = match early.filter(|early| Arc::ptr_eq(&early.binding, &binding)) {
            Some(early) => ready::end(early.ready).await?,
            None => self.encoded(&work.pieces, &binding, (work.range, &work.place)).await?,
        };
        Ok(Prepared { binding, ready })
    }

    /// Writes a batch. True: the server asks for fewer and larger inserts.
    pub(super) async fn insert(
        &mut self,
        work: Work,
        mut prepared: Prepared,
    ) -> Result<bool, Fault> {
        let Work { place, pieces, range, rows, .. } = &work;
        let (mut larger, mut changes) = (false, 0);
        loop {
            let Prepared { binding, mut ready } = prepared;
            let mut entry = Entry {
                from: range.from,
                to: range.to,
                rows: u32::try_from(*rows).unwrap_or(u32::MAX),
                version: binding.version,
                taken: false,
                refused: Vec::new(),
            };
            if range.noted && ready.lines > 0 {
                self.context.ledger.note(&place.0, &place.1, entry.clone()).await?;
            }
            let bytes = ready.bytes();
            let out = match self.send(&mut ready, &binding, &mut larger).await? {
                Sent::Taken => ready.refused,
                // A second look: if the table is still in the way, somebody has to act.
                Sent::Changed(error) if changes < 2 => {
                    tracing::warn!(table = self.target.shown(), %error, "looking at the table again");
                    changes += 1;
                    self.target.forget();
                    prepared = self.prepare(&work, None).await?;
                    continue;
                }
                Sent::Changed(error) => return Err(error.fault(self.refuses())),
                Sent::Refused(error) => {
                    self.find(pieces, &binding, ready.refused, (*range, place), error).await?
                }
            };
            if range.noted {
                (entry.taken, entry.refused) = noted(pieces, &out);
                self.context.ledger.note(&place.0, &place.1, entry).await?;
            }
            self.tell(pieces, out, bytes);
            return Ok(larger);
        }
    }

    fn refuses(&self) -> String {
        format!("table {} does not take what it is sent", self.target.shown())
    }

    /// The binding, however long the server is away.
    async fn bound(&mut self, shape: &Arc<Shape>) -> Result<Arc<Binding>, Fault> {
        let mut attempt = 0;
        loop {
            match self.target.binding(shape, &self.context, &self.settings).await {
                Ok(binding) => {
                    if self.context.health.well() {
                        tracing::info!(table = self.target.shown(), "the server answers again");
                    }
                    return Ok(binding);
                }
                Err(fault) if fault.retry() == Retry::Timed => {
                    attempt += 1;
                    self.wait(attempt, &fault.chain()).await;
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn wait(&self, attempt: u32, reason: &str) {
        let context = &self.context;
        if context.health.trouble(reason) {
            tracing::warn!(table = self.target.shown(), reason, "an insert is tried again");
        }
        context.health.counts.retries.fetch_add(1, Ordering::Relaxed);
        let seed = self.target.name.len() as u64 ^ std::ptr::from_ref(self) as usize as u64;
        tokio::time::sleep(Context::pause(attempt, seed)).await;
    }

    async fn encoded(
        &self,
        pieces: &Arc<Vec<Piece>>,
        binding: &Arc<Binding>,
        bounds: (Range, &Place),
    ) -> Result<Ready, Fault> {
        let (context, settings) = (Arc::clone(&self.context), Arc::clone(&self.settings));
        ready::end(ready::begin(context, settings, Arc::clone(pieces), binding, bounds)).await
    }

    /// Sends the same bytes until the server took or refused them.
    async fn send(
        &self,
        ready: &mut Ready,
        binding: &Binding,
        larger: &mut bool,
    ) -> Result<Sent, Fault> {
        if ready.lines == 0 {
            return Ok(Sent::Taken);
        }
        let settings = self.insert_settings(&ready.token);
        let context = &self.context;
        let mut attempt = 0;
        loop {
            let body = match ready.body.take() {
                Some(body) => body,
                None => ready::again(context, &ready.block).await?,
            };
            let slot = context.slots.acquire().await;
            let sent = context.hosts.insert(&binding.sql, &settings, body).await;
            drop(slot);
            let error = match sent {
                Ok(()) => {
                    if context.health.well() {
                        tracing::info!(table = self.target.shown(), "inserts are taken again");
                    }
                    let counts = &context.health.counts;
                    counts.writes.fetch_add(1, Ordering::Relaxed);
                    counts.rows.fetch_add(u64::from(ready.lines), Ordering::Relaxed);
                    counts.bytes.fetch_add(ready.bytes(), Ordering::Relaxed);
                    return Ok(Sent::Taken);
                }
                Err(error) => error,
            };
            match error.act() {
                act @ (Act::Retry | Act::RetryLarger) => {
                    *larger |= act == Act::RetryLarger;
                    attempt += 1;
                    let fault = error.fault(format!("cannot write to {}", self.target.shown()));
                    self.wait(attempt, &fault.chain()).await;
                }
                Act::Refresh => return Ok(Sent::Changed(error)),
                Act::FindRow => return Ok(Sent::Refused(error)),
                Act::Halt => return Err(error.fault(self.refuses())),
            }
        }
    }

    fn insert_settings(&self, token: &str) -> Vec<(String, String)> {
        let own = self.settings.settings.iter();
        let mut settings: Vec<_> = own.map(|(k, v)| (k.clone(), v.clone())).collect();
        // Servers before 23 do not know some of these and refuse what they do not know.
        if !self.context.server.is_at_least(23, 0) {
            return settings;
        }
        let mut set = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
        set("insert_deduplication_token", token);
        set("wait_end_of_query", "1");
        set("input_format_null_as_default", "1");
        if self.context.server.strict_types {
            // A type altered by hand is told (53), not converted: that would wrap numbers.
            set(STRICT_TYPES, "0");
        }
        let asynchronous = self.context.settings.async_insert;
        set("async_insert", if asynchronous { "1" } else { "0" });
        if asynchronous {
            set("wait_for_async_insert", "1");
            let seconds = self.context.settings.timeout.saturating_sub(Duration::from_secs(1));
            set("wait_for_async_insert_timeout", &seconds.as_secs().max(1).to_string());
        }
        settings
    }

    /// Finds the rows that the server refuses by halving, in order; the others are written.
    async fn find(
        &self,
        pieces: &Arc<Vec<Piece>>,
        binding: &Arc<Binding>,
        mut out: Vec<Out>,
        (range, place): (Range, &Place),
        error: ServerError,
    ) -> Result<Vec<Out>, Fault> {
        let all = rows(pieces, &out);
        let mut halves = vec![(all, Some(error))];
        let mut taken = 0;
        while let Some((rows, known)) = halves.pop() {
            let error = match known {
                Some(error) => error,
                None => {
                    let mut rest = self.only(pieces, binding, &rows, (range, place)).await?;
                    match self.send(&mut rest, binding, &mut false).await? {
                        Sent::Taken => {
                            taken += rows.len();
                            continue;
                        }
                        Sent::Changed(error) => return Err(error.fault(self.refuses())),
                        Sent::Refused(error) => error,
                    }
                }
            };
            if let [(piece, at)] = *rows.as_slice() {
                out.push((piece, at, refused_by(binding, &error)));
                if taken == 0 && out.len() > REFUSALS_MAX {
                    return Err(error.fault(self.refuses() + ", whatever the row"));
                }
                continue;
            }
            let (first, second) = rows.split_at(rows.len() / 2);
            halves.push((second.to_vec(), None));
            halves.push((first.to_vec(), None));
        }
        out.sort_by_key(|(piece, at, _)| (*piece, *at));
        Ok(out)
    }

    /// A block of these rows alone.
    async fn only(
        &self,
        pieces: &Arc<Vec<Piece>>,
        binding: &Arc<Binding>,
        wanted: &[(usize, u32)],
        bounds: (Range, &Place),
    ) -> Result<Ready, Fault> {
        let part = pieces.iter().enumerate().map(|(number, piece)| {
            let rows = wanted.iter().filter(|(n, _)| *n == number).map(|(_, at)| *at);
            piece.with(rows.collect())
        });
        self.encoded(&Arc::new(part.collect()), binding, bounds).await
    }

    /// Every piece learns what became of its rows.
    fn tell(&self, pieces: &[Piece], out: Vec<Out>, bytes: u64) {
        let rows: usize = pieces.iter().map(|piece| piece.rows.len()).sum();
        let mut out = out.into_iter().peekable();
        for (number, piece) in pieces.iter().enumerate() {
            let mut refused = Vec::new();
            while let Some((_, index, cause)) = out.next_if(|(piece, _, _)| *piece == number) {
                refused.push(RefusedRow { batch: piece.batch, index, cause });
            }
            let written = (piece.rows.len() - refused.len().min(piece.rows.len())) as u64;
            let share = bytes * piece.rows.len() as u64 / rows.max(1) as u64;
            piece.ticket().add(written, share, refused);
        }
    }

    /// Empties the table, in its place among the changes.
    pub(super) async fn truncate(
        &mut self,
        piece: Piece,
        range: Range,
        place: Place,
    ) -> Result<(), Fault> {
        let sql = format!("TRUNCATE TABLE {}", self.target.path());
        let mut attempt = 0;
        while let Err(error) = self.context.hosts.execute(&sql).await {
            if !matches!(error.act(), Act::Retry | Act::RetryLarger) {
                let what = format!("cannot truncate table {}", self.target.shown());
                return Err(error.fault(what));
            }
            attempt += 1;
            self.wait(attempt, &error.to_string()).await;
        }
        self.context.health.well();
        let Range { from, to, noted } = range;
        if noted {
            let (version, refused) = ([0; 16], Vec::new());
            let entry = Entry { from, to, rows: 1, version, taken: true, refused };
            self.context.ledger.note(&place.0, &place.1, entry).await?;
        }
        piece.ticket().add(1, 0, Vec::new());
        Ok(())
    }
}

/// Whether the range counts as taken, and which rows were not in it.
fn noted(pieces: &[Piece], out: &[Out]) -> (bool, Vec<wasmgate_model::Position>) {
    let place = |(piece, at, _): &Out| pieces.get(*piece).map(|piece| piece.position(*at));
    (out.len() <= REFUSED_MAX, out.iter().take(REFUSED_MAX).filter_map(place).collect())
}

/// Every row that is not out.
fn rows(pieces: &[Piece], out: &[Out]) -> Vec<(usize, u32)> {
    let refused = |number, at| out.iter().any(|(piece, row, _)| (*piece, *row) == (number, at));
    let all = pieces.iter().enumerate();
    all.flat_map(|(number, piece)| piece.rows.iter().map(move |at| (number, *at)))
        .filter(|(number, at)| !refused(*number, *at))
        .collect()
}

fn refused_by(binding: &Binding, error: &ServerError) -> DeadLetterCause {
    DeadLetterCause {
        stage: "sink".into(),
        code: format!("server-{}", error.code.unwrap_or(0)).into(),
        message: format!("table {} refuses the row: {}", binding.table, error.name()),
        module: None,
    }
}
