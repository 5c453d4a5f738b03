//! What waits for its insert into one table: a lane per partition and topic, looked at in turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Message;
use super::insert::Place;
use crate::context::Context;
use crate::lane::{Batch, Job, Lane};
use crate::ledger::BETWEEN;
use crate::piece::Piece;
use crate::settings::Truncate;
use crate::shape::Shape;

pub(super) struct Queue {
    context: Arc<Context>,
    table: String,
    truncate: Truncate,
    lanes: Vec<Lane>,
    /// (partition, topic) to its lane.
    numbers: HashMap<(Arc<str>, Arc<str>), usize>,
    /// The next lane to look at first.
    turn: usize,
    flush: bool,
}

impl Queue {
    pub(super) fn new(context: Arc<Context>, truncate: Truncate, table: &str) -> Self {
        Self {
            context,
            table: table.to_owned(),
            truncate,
            lanes: Vec::new(),
            numbers: HashMap::new(),
            turn: 0,
            flush: false,
        }
    }

    pub(super) fn take(&mut self, message: Message) {
        let piece = match message {
            Message::Flush => {
                self.flush = true;
                return;
            }
            Message::Piece(piece) => piece,
        };
        let key = (Arc::clone(&piece.delivery.partition.0), Arc::clone(&piece.shape.topic));
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => {
                let (partition, topic) = key.clone();
                let name: Arc<str> = format!("{}{BETWEEN}{topic}", self.table).into();
                let noted = self.context.ledger.of(&partition, &name);
                self.lanes.push(Lane::new(partition, name, noted));
                self.numbers.insert(key, self.lanes.len() - 1);
                self.lanes.len() - 1
            }
        };
        let (limits, weight) = (&self.context.settings.batch, piece.weight);
        let Some(lane) = self.lanes.get_mut(number) else { return };
        let waiting = lane.take(piece, limits, self.truncate);
        self.context.gathered.fetch_sub(weight.saturating_sub(waiting), Ordering::Relaxed);
    }

    /// When the next job is to be done.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.flush {
            return Some(Instant::now());
        }
        let limits = &self.context.settings.batch;
        self.lanes.iter().filter_map(|lane| lane.due(limits)).min()
    }

    /// The lane whose job is to be done now.
    fn turn(&self, now: Instant) -> Option<usize> {
        let limits = &self.context.settings.batch;
        let count = self.lanes.len();
        let mut numbers = (0..count).map(|n| (self.turn + n) % count);
        numbers.find(|number| {
            self.lanes.get(*number).is_some_and(|lane| match self.flush {
                true => !lane.is_empty(),
                false => lane.due(limits).is_some_and(|due| due <= now),
            })
        })
    }

    /// The job to be done now; its lane is passed over in the next turn.
    pub(super) fn next(&mut self, now: Instant) -> Option<(usize, Place, Job)> {
        let Some(number) = self.turn(now) else {
            self.flush = false;
            return None;
        };
        let lane = self.lanes.get_mut(number)?;
        let (place, job) = (lane.place(), lane.next()?);
        self.turn = number + 1;
        if let Job::Batch(batch) = &job {
            self.context.gathered.fetch_sub(batch.weight(), Ordering::Relaxed);
        }
        Some((number, place, job))
    }

    /// The batch that [`Self::next`] would give, if no row will be added to it and its shape is one
    /// of those asked for.
    pub(super) fn whole(
        &mut self,
        now: Instant,
        wanted: impl FnOnce(&Arc<Shape>) -> bool,
    ) -> Option<(usize, Place, Batch)> {
        let lane = self.lanes.get(self.turn(now)?)?;
        lane.whole().filter(|batch| wanted(batch.shape()))?;
        match self.next(now)? {
            (number, place, Job::Batch(batch)) => Some((number, place, batch)),
            (_, _, Job::Truncate(..)) => None,
        }
    }

    /// A lane's next insert may begin from then on.
    pub(super) fn is_ready_from(&mut self, number: usize, at: Instant) {
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.ready = at;
        }
    }

    /// Everything that waits.
    pub(super) fn empty(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for lane in &mut self.lanes {
            while let Some(job) = lane.next() {
                match job {
                    Job::Batch(batch) => pieces.extend(batch.pieces),
                    Job::Truncate(piece, _) => pieces.push(piece),
                }
            }
        }
        pieces
    }
}
