//! Reading the tables: each connection takes the next one, or the next range of one, until there
//! are no more. Rows are marked as Debezium does: the first and the last of all, and of each table.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use mysql_async::prelude::Queryable as _;
use mysql_async::{Row, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wasmgate_connector::SourceStatus;
use wasmgate_model::{Fault, Position};
use wasmgate_replication::{Copying, Notifier, TableName};

use super::{DOING, Events, Planned, Stamp, hand_over, push_row};
use crate::assemble::Assembler;
use crate::connect::Session;
use crate::fault::protocol;
use crate::state::Place;

/// Rows that a connection hands over at a time, and their bytes.
const ROWS: usize = 256;
const BYTES: usize = 1 << 20;

/// Pieces of tables that wait for a connection: number of the table, statement.
type Jobs = Arc<Mutex<VecDeque<(usize, String)>>>;

/// What a connection has to say of a table.
enum Part {
    Rows(usize, Vec<Row>),
    /// Of one of its pieces.
    End(usize),
}

/// A copy of whole tables.
pub(crate) struct Copy<'a> {
    /// Each holds a view of the same point.
    pub sessions: Vec<Session>,
    pub tables: Vec<Planned>,
    pub place: &'a Place,
    pub time_us: i64,
    /// Where rows go, and the state that goes with what is handed over.
    pub out: (&'a mut Assembler, &'a Events, Arc<[u8]>),
    pub status: &'a SourceStatus,
    pub notifier: &'a mut Notifier,
}

/// Which rows of the snapshot a row is.
#[derive(Clone, Copy, Default)]
struct Marks {
    first: bool,
    first_of_table: bool,
    last_of_table: bool,
    last: bool,
}

impl Marks {
    /// The stronger mark wins: Debezium's order.
    fn name(self) -> &'static str {
        match self {
            Self { last: true, .. } => "last",
            Self { first: true, .. } => "first",
            Self { last_of_table: true, .. } => "last_in_data_collection",
            Self { first_of_table: true, .. } => "first_in_data_collection",
            _ => "true",
        }
    }
}

/// A row that waits until it is known whether another follows.
struct Held {
    table: usize,
    row: Row,
    first_of_table: bool,
}

impl Copy<'_> {
    /// Reads the tables; everything but the last delivery is handed over.
    pub(crate) async fn run(self) -> Result<(), Fault> {
        let Self { sessions, tables, place, time_us, out, status, notifier } = self;
        let (out, events, state) = out;
        let names: Vec<TableName> = tables
            .iter()
            .map(|t| TableName { schema: t.table.name.0.clone(), table: t.table.name.1.clone() })
            .collect();
        let mut told = notifier.copying(names.iter());
        told.started(out)?;
        let each = |(i, t): (usize, &Planned)| -> Vec<_> {
            t.pieces.iter().map(|sql| (i, sql.clone())).collect()
        };
        let jobs = tables.iter().enumerate().flat_map(each).collect();
        let jobs: Jobs = Arc::new(Mutex::new(jobs));
        let mut left: Vec<usize> = tables.iter().map(|t| t.pieces.len()).collect();
        let (sender, mut parts) = mpsc::channel(sessions.len().max(1) * 2);
        // Dropping them ends the connections' tasks.
        let mut readers = JoinSet::new();
        for session in sessions {
            readers.spawn(read(session, Arc::clone(&jobs), sender.clone()));
        }
        drop(sender);
        let held = tables.iter().map(|_| None).collect();
        let stamp = Stamp { snapshot: "true", place, time_us };
        let mut rows = Rows { tables: &tables, stamp, held, ended: None, first: true, status, out };
        while let Some(part) = parts.recv().await {
            match part? {
                Part::Rows(table, several) => {
                    told.in_progress(table, rows.out)?;
                    for row in several {
                        rows.row(table, row)?;
                        if rows.out.is_full() {
                            hand_over(rows.out, Arc::clone(&state), events).await?;
                        }
                    }
                }
                Part::End(table) => {
                    let left = left.get_mut(table).ok_or_else(|| protocol("no such table"))?;
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        rows.end(table, &mut told)?;
                    }
                }
            }
        }
        rows.last()?;
        told.completed(out)
    }
}

/// Rows on their way into deliveries.
struct Rows<'a> {
    tables: &'a [Planned],
    stamp: Stamp<'a>,
    /// The last row of each table that came.
    held: Vec<Option<Held>>,
    /// The last row of a table that ended; it may be the last of all.
    ended: Option<Held>,
    /// None was delivered yet.
    first: bool,
    status: &'a SourceStatus,
    out: &'a mut Assembler,
}

impl Rows<'_> {
    fn row(&mut self, table: usize, row: Row) -> Result<(), Fault> {
        self.ended_goes(false)?;
        let is_new = self.is_new(table);
        let Some(place) = self.held.get_mut(table) else { return Ok(()) };
        let before = place.take();
        *place = Some(Held { table, row, first_of_table: before.is_none() && is_new });
        match before {
            Some(before) => self.push(before, Marks::default()),
            None => Ok(()),
        }
    }

    fn is_new(&self, table: usize) -> bool {
        self.tables.get(table).is_some_and(|t| t.progress.rows.load(Ordering::Relaxed) == 0)
    }

    /// A table has no more rows.
    fn end(&mut self, table: usize, told: &mut Copying<'_>) -> Result<(), Fault> {
        let own = self.held.get_mut(table).and_then(Option::take);
        let waits = u64::from(own.is_some());
        // A table without rows changes nothing about which row is the last.
        if own.is_some() {
            self.ended_goes(false)?;
            self.ended = own;
        }
        let Some(planned) = self.tables.get(table) else { return Ok(()) };
        let rows = planned.progress.rows.load(Ordering::Relaxed) + waits;
        planned.progress.done.store(true, Ordering::Relaxed);
        if self.held.iter().any(Option::is_some) {
            self.ended_goes(false)?;
        }
        told.scanned(table, rows, self.out)
    }

    fn last(&mut self) -> Result<(), Fault> {
        self.ended_goes(true)
    }

    fn ended_goes(&mut self, last: bool) -> Result<(), Fault> {
        match self.ended.take() {
            Some(held) => self.push(held, Marks { last_of_table: true, last, ..Marks::default() }),
            None => Ok(()),
        }
    }

    fn push(&mut self, held: Held, marks: Marks) -> Result<(), Fault> {
        let Held { table, row, first_of_table } = held;
        let Some(planned) = self.tables.get(table) else { return Ok(()) };
        let first = std::mem::take(&mut self.first);
        // Numbers beyond belong to a transaction.
        if !self.out.has_room() {
            let next = self.out.place().major + 1;
            self.out.reached(Position::new(next, 0));
        }
        let snapshot = Marks { first, first_of_table, ..marks }.name();
        push_row(&planned.table, &row.unwrap(), &Stamp { snapshot, ..self.stamp }, self.out)?;
        planned.progress.rows.fetch_add(1, Ordering::Relaxed);
        self.status.snapshot_rows.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Reads pieces until there are no more, or nobody listens.
async fn read(mut session: Session, jobs: Jobs, parts: mpsc::Sender<Result<Part, Fault>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((table, sql)) = job else { break };
        if let Err(fault) = read_piece(&mut session, table, &sql, &parts).await {
            drop(parts.send(Err(fault)).await);
            return;
        }
    }
    if let Err(fault) = session.run(DOING, "COMMIT").await {
        drop(parts.send(Err(fault)).await);
    }
}

async fn read_piece(
    session: &mut Session,
    table: usize,
    sql: &str,
    parts: &mpsc::Sender<Result<Part, Fault>>,
) -> Result<(), Fault> {
    let who = session.who.clone();
    let failed = |e| who.fault(DOING, e);
    let stopped = |_| Fault::new(wasmgate_model::FaultKind::Stopped, "nobody reads the snapshot");
    let mut found = session.conn.exec_iter(sql, ()).await.map_err(failed)?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next().await.map_err(failed)? {
        bytes += weight(&row);
        rows.push(row);
        if rows.len() >= ROWS || bytes >= BYTES {
            let full = std::mem::take(&mut rows);
            parts.send(Ok(Part::Rows(table, full))).await.map_err(stopped)?;
            bytes = 0;
        }
    }
    if !rows.is_empty() {
        parts.send(Ok(Part::Rows(table, rows))).await.map_err(stopped)?;
    }
    parts.send(Ok(Part::End(table))).await.map_err(stopped)
}

fn weight(row: &Row) -> usize {
    let of = |i| match row.as_ref(i) {
        Some(Value::Bytes(bytes)) => bytes.len(),
        _ => 8,
    };
    (0..row.len()).map(of).sum()
}
