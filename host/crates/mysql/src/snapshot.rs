//! The initial snapshot: every table as it was at one point of the log, so that the stream goes on
//! exactly there. No table is locked where the server's transactions have names.
//!
//! Rows are read in the binary protocol: floats keep all their digits, zero dates stay what they
//! are, and text arrives as UTF-8.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Row, Value};
use tokio::sync::mpsc;
use wasmgate_codec::mysqlvalue::{CivilDate, ColumnType, Datum, Failed, push};
use wasmgate_connector::{SourceEvent, SourceStatus};
use wasmgate_model::{Fault, FaultKind, Kind, Logical, Op, Payload, Position};

use crate::assemble::Assembler;
use crate::catalog::Server;
use crate::connect::{Session, quote, text};
use crate::fault::refused;
use crate::gtid::GtidSet;
use crate::history::History;
use crate::prepare::{maria_position, status};
use crate::rows::{Origin, end_row};
use crate::state::{Place, State};
use crate::table::{Naming, Table};

/// What a reader is sent.
pub(crate) type Events = mpsc::Sender<Result<SourceEvent, Fault>>;

const DOING: &str = "cannot read the snapshot";
/// So often a start between two transactions is tried before writers are held up for a moment.
const TRIES: usize = 50;

/// Opens a consistent view on `session`; answers the state that the stream goes on with.
pub(crate) async fn begin(session: &mut Session, server: &Server) -> Result<State, Fault> {
    session.run(DOING, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    let (place, executed) = if server.maria {
        maria(session).await?
    } else if server.gtids {
        between_transactions(session).await?
    } else {
        locked(session).await?
    };
    let server = server.identity.clone();
    Ok(State { snapshot_done: false, server, executed, place, prepared: Vec::new() })
}

const START: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// The transactions before and after the view opened are the same: none came between.
async fn between_transactions(session: &mut Session) -> Result<(Place, GtidSet), Fault> {
    let sql = "SELECT @@GLOBAL.gtid_executed";
    for _ in 0..TRIES {
        let before = session.first(DOING, sql).await?.unwrap_or_default();
        session.run(DOING, START).await?;
        let place = status(session, false).await?;
        let after = session.first(DOING, sql).await?.unwrap_or_default();
        if before == after {
            let set = GtidSet::mysql(text(&after, 0));
            let set = set.ok_or_else(|| refused("the server's gtid_executed cannot be read"))?;
            return Ok((place, set));
        }
        session.run(DOING, "ROLLBACK").await?;
        session.run(DOING, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    }
    let (place, _) = locked(session).await?;
    let row = session.first(DOING, sql).await?.unwrap_or_default();
    // Writers were held up, so the set belongs to the view.
    let set = GtidSet::mysql(text(&row, 0)).unwrap_or(GtidSet::None);
    Ok((place, set))
}

/// MariaDB tells where in its log the view stands.
async fn maria(session: &mut Session) -> Result<(Place, GtidSet), Fault> {
    session.run(DOING, "START TRANSACTION WITH CONSISTENT SNAPSHOT").await?;
    let rows = session.query(DOING, "SHOW STATUS LIKE 'binlog_snapshot_%'").await?;
    let mut place = Place::default();
    for row in &rows {
        match text(row, 0).to_ascii_lowercase().as_str() {
            "binlog_snapshot_file" => place.file = text(row, 1).to_owned(),
            "binlog_snapshot_position" => place.offset = text(row, 1).parse().unwrap_or(0),
            _ => {}
        }
    }
    if place.file.is_empty() {
        return Err(refused("the server does not tell where in its log a view stands"));
    }
    let executed = maria_position(session, &place).await?;
    Ok((place, executed))
}

/// Holds writers up for a moment: where transactions have no names there is no other way.
async fn locked(session: &mut Session) -> Result<(Place, GtidSet), Fault> {
    session.run(LOCKING, "FLUSH TABLES WITH READ LOCK").await?;
    session.run(DOING, START).await?;
    let place = status(session, false).await?;
    session.run(DOING, "UNLOCK TABLES").await?;
    Ok((place, GtidSet::None))
}

const LOCKING: &str = "cannot hold writers up for the moment in which the snapshot begins (it \
     needs the privilege RELOAD; with gtid_mode = ON it needs no lock)";

/// A snapshot that is being read.
pub(crate) struct Snapshot<'a> {
    pub session: &'a mut Session,
    pub naming: &'a mut Naming,
    pub history: &'a History,
    pub out: &'a mut Assembler,
    pub events: &'a Events,
    pub status: &'a SourceStatus,
    pub state: &'a State,
    pub at: Position,
    pub time_us: i64,
}

/// Which rows of the snapshot a row is.
#[derive(Clone, Copy)]
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

impl Snapshot<'_> {
    /// Reads the tables by name; everything but the last delivery is handed over.
    pub(crate) async fn read(mut self) -> Result<(), Fault> {
        // A name that is empty is a database's.
        let tables = self.history.names().filter(|(_, table)| !table.is_empty());
        let names: Vec<_> = tables.cloned().collect();
        let mut first = true;
        // A row waits until it is known whether another follows.
        let mut held: Option<(Table, Row, bool)> = None;
        for name in names {
            let Some(definition) = self.history.get(&name) else { continue };
            self.naming.prepare(self.session, definition).await?;
            let table = self.naming.table(&name, definition, None, None);
            let columns: Vec<String> = definition.columns.iter().map(|c| quote(&c.name)).collect();
            let sql =
                format!("SELECT {} FROM {}.{}", columns.join(", "), quote(&name.0), quote(&name.1));
            let who = self.session.who.clone();
            let failed = |e| who.fault(DOING, e);
            let Self { session, out, events, status, state, at, time_us, .. } = &mut self;
            let mut rows = session.conn.exec_iter(sql, ()).await.map_err(failed)?;
            let mut first_of_table = true;
            while let Some(row) = rows.next().await.map_err(failed)? {
                if let Some((before, row, opens)) =
                    held.replace((table.clone(), row, first_of_table))
                {
                    let marks = Marks {
                        first,
                        first_of_table: opens,
                        last_of_table: first_of_table,
                        last: false,
                    };
                    push_row(&before, row, marks, (out, state), (at, *time_us))?;
                    status.snapshot_rows.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    first = false;
                    if out.is_full() {
                        hand_over(out, state.to_bytes(), events).await?;
                    }
                }
                first_of_table = false;
            }
        }
        if let Some((table, row, first_of_table)) = held {
            let marks = Marks { first, first_of_table, last_of_table: true, last: true };
            push_row(&table, row, marks, (self.out, self.state), (&mut self.at, self.time_us))?;
            self.status.snapshot_rows.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        self.session.run(DOING, "COMMIT").await
    }
}

fn push_row(
    table: &Table,
    row: Row,
    marks: Marks,
    (out, state): (&mut Assembler, &State),
    (at, time_us): (&mut Position, i64),
) -> Result<(), Fault> {
    at.minor += 1;
    let origin = Origin {
        time_us,
        snapshot: marks.name(),
        server_id: 0,
        gtid: None,
        file: &state.place.file,
        offset: state.place.offset,
        row: 0,
        thread: None,
        query: None,
        transaction: None,
    };
    let batch = out.batch(table)?;
    let (mut failed, mut bytes): (Failed, usize) = (None, 0);
    if let Payload::Rows(rows) = &mut batch.payload {
        let values = row.unwrap();
        let mut fields = rows.current.iter_mut();
        for (i, (ty, value)) in table.types.iter().zip(&values).enumerate() {
            let Some(ty) = ty else { continue };
            let Some(column) = fields.next() else { break };
            bytes += if let Value::Bytes(b) = value { b.len() } else { 8 };
            let Some(datum) = datum(value, ty) else {
                column.push_null();
                continue;
            };
            let before = column.len();
            if let Err(error) = push(column, ty, datum) {
                if column.len() == before {
                    column.push_null();
                }
                failed.get_or_insert((i, error));
            }
        }
        table.fill_key(&mut rows.current, |i, ty| datum(values.get(i)?, ty));
        table.mask(&mut rows.current);
    }
    end_row(batch, Op::Snapshot, *at, &origin, failed);
    out.appended(1, bytes, *at);
    Ok(())
}

fn datum<'v>(value: &'v Value, ty: &ColumnType) -> Option<Datum<'v>> {
    const SECOND_US: i64 = 1_000_000;
    Some(match value {
        Value::NULL => return None,
        Value::Bytes(bytes) => ty.snapshot(bytes),
        Value::Int(n) => Datum::Int(*n),
        Value::UInt(n) => Datum::Unsigned(*n),
        Value::Float(f) => Datum::Float(*f),
        Value::Double(f) => Datum::Double(*f),
        Value::Date(year, month, day, h, m, s, us) => {
            let date = CivilDate { year: *year, month: *month, day: *day };
            let seconds = i64::from(*h) * 3600 + i64::from(*m) * 60 + i64::from(*s);
            let of_day = seconds * SECOND_US + i64::from(*us);
            match (&ty.kind, &ty.logical) {
                (Kind::DateDays, _) => Datum::Date(date),
                (_, Logical::TimestampTz { .. }) => {
                    let days = date.days();
                    Datum::Instant(days.map_or(0, |d| d * 86_400 * SECOND_US + of_day))
                }
                _ => Datum::DateTime(date, of_day),
            }
        }
        Value::Time(negative, days, h, m, s, us) => {
            let hours = i64::from(*days) * 24 + i64::from(*h);
            let seconds = hours * 3600 + i64::from(*m) * 60 + i64::from(*s);
            let us = seconds * SECOND_US + i64::from(*us);
            Datum::Time(if *negative { -us } else { us })
        }
    })
}

/// Hands the open delivery over; waits while the consumer is slow.
pub(crate) async fn hand_over(
    out: &mut Assembler,
    state: std::sync::Arc<[u8]>,
    events: &Events,
) -> Result<(), Fault> {
    let sent = events.send(Ok(SourceEvent::Delivery(out.take(state)))).await;
    sent.map_err(|_| Fault::new(FaultKind::Stopped, "the reader is gone"))
}
