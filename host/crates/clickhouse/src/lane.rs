//! Rows of one partition and topic on their way to one table: gathered into batches whose bounds
//! are fixed, in the order of the source.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;
use wasmgate_model::{Op, Position};

use crate::ledger::Entry;
use crate::piece::Piece;
use crate::settings::{BatchSettings, Truncate};
use crate::shape::Shape;

/// Something to do for a table.
#[derive(Debug)]
pub(crate) enum Job {
    Batch(Batch),
    /// `TRUNCATE TABLE`, in its place; the piece holds the one row that says so.
    Truncate(Piece, Range),
}

/// (`from`, `to`] of the partition. Not noted: rows of the range went before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Position,
    pub(crate) to: Position,
    pub(crate) noted: bool,
}

/// Rows that make one insert.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) range: Range,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) rows: usize,
    weight: usize,
    shape: Arc<Shape>,
    /// No row is added any more.
    sealed: bool,
    born: Instant,
    /// Rows that it has to have: it was sent before a crash.
    wanted: Option<usize>,
}

impl Batch {
    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Bytes of its rows.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }
}

/// See the module's text.
pub(crate) struct Lane {
    partition: Arc<str>,
    /// Table and topic: the name its notes go by.
    name: Arc<str>,
    jobs: VecDeque<Job>,
    /// Ranges noted before this start, ascending.
    noted: Vec<Entry>,
    /// Highest position of a row so far.
    last: Option<Position>,
    /// The next insert may begin from then on.
    pub(crate) ready: Instant,
    /// Before everything that happens here: what is due at once is due since then.
    began: Instant,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    New,
    /// Taken before a crash.
    Taken,
    /// Part of the noted range of this number, which was sent before a crash.
    Sent(usize),
    Truncate,
}

impl Lane {
    pub(crate) fn new(partition: Arc<str>, name: Arc<str>, mut noted: Vec<Entry>) -> Self {
        noted.sort_by_key(|entry| entry.to);
        Self {
            partition,
            name,
            jobs: VecDeque::new(),
            noted,
            last: None,
            ready: Instant::now(),
            began: Instant::now(),
        }
    }

    /// Takes rows over. Bytes of those that wait in a batch now.
    pub(crate) fn take(
        &mut self,
        piece: Piece,
        limits: &BatchSettings,
        truncate: Truncate,
    ) -> usize {
        let Some(&first) = piece.rows.first() else { return 0 };
        let first = piece.position(first);
        let behind = self.last.is_some_and(|last| first <= last);
        let last = piece.rows.last().map_or(first, |at| piece.position(*at));
        // Rows that were written before, that a module made of rows that were, or that lie between
        // those of another piece.
        if behind || piece.crossed {
            self.last = self.last.max(Some(last));
            let range = Range { from: first, to: last, noted: false };
            let (truncates, rows): (Vec<u32>, Vec<u32>) =
                piece.rows.iter().partition(|at| is_truncate(&piece, **at));
            for at in truncates {
                self.truncate(piece.with(vec![at]), range, truncate);
            }
            return if rows.is_empty() {
                0
            } else {
                self.add(piece.with(rows), range, None, limits)
            };
        }
        let from = self.last.map_or(piece.delivery.from, |last| last.max(piece.delivery.from));
        self.last = Some(last);
        let (mut begin, mut waiting) = (from, 0);
        for (fate, rows) in self.fates(&piece) {
            let part = piece.with(rows);
            // Not to the end of the delivery: a later batch of it may have rows for this lane, in
            // another shape, and what is noted as taken is never sent again.
            let to = part.rows.last().map_or(begin, |at| part.position(*at));
            let range = Range { from: begin, to, noted: true };
            match fate {
                Fate::New => waiting += self.add(part, range, None, limits),
                Fate::Taken => part.ticket().add(part.rows.len() as u64, 0, Vec::new()),
                Fate::Sent(number) => {
                    let noted = self.noted.get(number);
                    let wanted = noted.map(|entry| entry.rows as usize);
                    let range = noted.map_or(range, |e| Range { from: e.from, to: e.to, ..range });
                    waiting += self.add(part, range, wanted, limits);
                }
                Fate::Truncate => self.truncate(part, range, truncate),
            }
            begin = to;
        }
        waiting
    }

    /// Rows of a piece that share a fate, in order.
    fn fates(&self, piece: &Piece) -> Vec<(Fate, Vec<u32>)> {
        let truncates = piece.batch().is_some_and(|b| b.ops.contains(&Op::Truncate));
        if self.noted.is_empty() && !truncates {
            return vec![(Fate::New, piece.rows.clone())];
        }
        let mut parts: Vec<(Fate, Vec<u32>)> = Vec::new();
        for &at in &piece.rows {
            let position = piece.position(at);
            let noted = self.noted.iter().position(|entry| entry.holds(position));
            let fate = match noted.and_then(|n| Some((n, self.noted.get(n)?))) {
                Some((_, entry)) if entry.taken && entry.refused.contains(&position) => Fate::New,
                Some((_, entry)) if entry.taken => Fate::Taken,
                _ if is_truncate(piece, at) => Fate::Truncate,
                Some((number, _)) => Fate::Sent(number),
                None => Fate::New,
            };
            match parts.last_mut() {
                Some((last, rows)) if *last == fate && fate != Fate::Truncate => rows.push(at),
                _ => parts.push((fate, vec![at])),
            }
        }
        parts
    }

    /// Bytes that were added.
    fn add(
        &mut self,
        piece: Piece,
        range: Range,
        wanted: Option<usize>,
        limits: &BatchSettings,
    ) -> usize {
        let weight = piece.weight;
        let fits = |open: &Batch| {
            !open.sealed
                && open.wanted == wanted
                && open.range.noted == range.noted
                && (wanted.is_none() || open.range == range)
                && (Arc::ptr_eq(&open.shape, &piece.shape) || open.shape == piece.shape)
        };
        if let Some(Job::Batch(open)) = self.jobs.back_mut() {
            if fits(open) {
                open.range.to = open.range.to.max(range.to);
                open.rows += piece.rows.len();
                open.weight += piece.weight;
                open.pieces.push(piece);
                open.seal(limits);
                return weight;
            }
            open.sealed = true;
        }
        let mut batch = Batch {
            range,
            rows: piece.rows.len(),
            weight: piece.weight,
            shape: Arc::clone(&piece.shape),
            pieces: vec![piece],
            sealed: false,
            born: Instant::now(),
            wanted,
        };
        batch.seal(limits);
        self.jobs.push_back(Job::Batch(batch));
        weight
    }

    fn truncate(&mut self, piece: Piece, range: Range, policy: Truncate) {
        match policy {
            Truncate::Ignore => piece.ticket().add(1, 0, Vec::new()),
            Truncate::Refuse => {
                let message = "the source's table was truncated; `truncate: apply` does the same \
                               here, `ignore` nothing";
                let cause = wasmgate_model::DeadLetterCause {
                    stage: "sink".into(),
                    code: "truncate-refused".into(),
                    message: message.to_owned(),
                    module: None,
                };
                let (batch, index) = (piece.batch, piece.rows.first().copied().unwrap_or(0));
                let row = wasmgate_connector::RefusedRow { batch, index, cause };
                piece.ticket().add(0, 0, vec![row]);
            }
            Truncate::Apply => {
                if let Some(Job::Batch(open)) = self.jobs.back_mut() {
                    open.sealed = true;
                }
                self.jobs.push_back(Job::Truncate(piece, range));
            }
        }
    }

    /// When the first job is to be done.
    pub(crate) fn due(&self, limits: &BatchSettings) -> Option<Instant> {
        Some(match self.jobs.front()? {
            Job::Truncate(..) => self.began,
            Job::Batch(batch) if batch.sealed || self.jobs.len() > 1 => self.began,
            // The rest of what was sent before the crash is on its way.
            Job::Batch(batch) if batch.wanted.is_some() => batch.born + limits.interval * 10,
            Job::Batch(_) => self.ready,
        })
    }

    /// The first job, if it is a batch to which no row will be added.
    pub(crate) fn whole(&self) -> Option<&Batch> {
        match self.jobs.front()? {
            Job::Batch(batch) => (batch.sealed || self.jobs.len() > 1).then_some(batch),
            Job::Truncate(..) => None,
        }
    }

    /// Partition and name.
    pub(crate) fn place(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.partition), Arc::clone(&self.name))
    }

    pub(crate) fn next(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

impl Batch {
    fn seal(&mut self, limits: &BatchSettings) {
        self.sealed = match self.wanted {
            Some(wanted) => self.rows >= wanted,
            None => self.rows >= limits.rows || self.weight >= limits.bytes,
        };
    }
}

fn is_truncate(piece: &Piece, at: u32) -> bool {
    let batch = piece.batch();
    let row = batch.and_then(|b| b.sel.get(at as usize)).copied().unwrap_or(0);
    batch.and_then(|b| b.ops.get(row as usize)) == Some(&Op::Truncate)
}
