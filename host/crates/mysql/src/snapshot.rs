//! Snapshots of whole tables, the first one and blocking ones: every table as it was at one point
//! of the log, so that the stream goes on exactly there. No table is locked where the server's
//! transactions have names.
//!
//! `view` opens views of that point on all connections, `plan` says what is read, `ranges` cuts
//! large tables for several connections, `copy` reads.
//! Rows are read in the binary protocol: floats keep all their digits, zero dates stay what they
//! are, and text arrives as UTF-8.

mod copy;
mod plan;
mod ranges;
mod view;

use mysql_async::Value;
use tokio::sync::mpsc;
use wasmgate_codec::mysqlvalue::{CivilDate, ColumnType, Datum, Failed, push};
use wasmgate_connector::SourceEvent;
use wasmgate_model::{Fault, FaultKind, Kind, Logical, Op, Payload, Position};

pub(crate) use self::copy::Copy;
pub(crate) use self::plan::{Planned, Planner, plan, size};
pub(crate) use self::view::{begin, view_place};
use crate::assemble::Assembler;
use crate::rows::{Origin, end_row};
use crate::state::Place;
use crate::table::Table;

/// What a reader is sent.
pub(crate) type Events = mpsc::Sender<Result<SourceEvent, Fault>>;

const DOING: &str = "cannot read the snapshot";

/// What the source block says of rows that were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp<'a> {
    /// `first`, `true`, `last`, `incremental`, ...
    pub snapshot: &'a str,
    pub place: &'a Place,
    pub time_us: i64,
}

/// Appends a row that was read, behind everything so far.
pub(crate) fn push_row(
    table: &Table,
    values: &[Value],
    stamp: &Stamp<'_>,
    out: &mut Assembler,
) -> Result<(), Fault> {
    let Position { major, minor } = out.place();
    let at = Position::new(major, minor + 1);
    let origin = Origin {
        time_us: stamp.time_us,
        snapshot: stamp.snapshot,
        server_id: 0,
        gtid: None,
        file: &stamp.place.file,
        offset: stamp.place.offset,
        row: 0,
        thread: None,
        query: None,
        transaction: None,
    };
    let batch = out.batch(table)?;
    let (mut failed, mut bytes): (Failed, usize) = (None, 0);
    if let Payload::Rows(rows) = &mut batch.payload {
        let mut fields = rows.current.iter_mut();
        for (i, (ty, value)) in table.types.iter().zip(values).enumerate() {
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
    end_row(batch, Op::Snapshot, at, &origin, failed);
    out.appended(1, bytes, at);
    Ok(())
}

/// A value of the binary protocol as the decoder has it.
pub(crate) fn datum<'v>(value: &'v Value, ty: &ColumnType) -> Option<Datum<'v>> {
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
