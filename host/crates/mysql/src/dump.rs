//! The server's log as a stream of events: where it starts, and the first event, which tells
//! whether the server still has that place.

use std::time::Duration;

use futures_util::StreamExt as _;
use mysql_async::{BinlogStream, BinlogStreamRequest};
use mysql_common::binlog::events::Event;
use wasmgate_model::{Fault, FaultKind};

use crate::connect::{Connector, literal};
use crate::event::kind;
use crate::fault::{Who, protocol};
use crate::gtid::GtidSet;
use crate::state::{Place, State};
use crate::stream::Raw;

/// The server speaks at least so often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A server that is silent for so many heartbeats is gone.
const SILENCE: u32 = 4;

const DOING: &str = "cannot read the server's log";

/// The stream of events.
pub(crate) struct Dump {
    stream: BinlogStream,
    /// The first event, until it is taken.
    first: Option<Event>,
    who: Who,
}

impl Dump {
    /// Asks for the log after a state.
    ///
    /// # Errors
    /// [`FaultKind::SourceLost`]: the server has not that place any more.
    pub(crate) async fn start(connector: &Connector, state: &State) -> Result<Self, Fault> {
        let request = BinlogStreamRequest::new(connector.who.server_id);
        let mut dump = Self::after(connector, state, request).await?;
        dump.first = Some(dump.next().await?);
        Ok(dump)
    }

    /// The log after a state, up to its end. It has no number among the replicas, so it throws no
    /// reader out.
    pub(crate) async fn up_to_end(connector: &Connector, state: &State) -> Result<Self, Fault> {
        let request = BinlogStreamRequest::new(0).with_non_blocking();
        Self::after(connector, state, request).await
    }

    async fn after(
        connector: &Connector,
        state: &State,
        request: BinlogStreamRequest<'_>,
    ) -> Result<Self, Fault> {
        let mut session = connector.connect().await?;
        let period = HEARTBEAT.as_nanos();
        let set =
            format!("SET @master_heartbeat_period = {period}, @source_heartbeat_period = {period}");
        session.run(DOING, &set).await?;
        let who = connector.who.clone();
        let from = state.prepared.iter().min_by_key(|p| &p.place);
        let place = from.map_or(&state.place, |p| &p.place);
        let request = match &state.executed {
            GtidSet::MySql(_) => {
                let sids = state.executed.sids();
                let sids = sids.ok_or_else(|| protocol("a set of transactions with a bad tag"))?;
                request.with_gtid().with_gtid_set(sids)
            }
            GtidSet::MariaDb(_) => {
                let before = from.map_or(&state.executed, |p| &p.before);
                let set = format!(
                    "SET @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 1, \
                     @slave_connect_state = {}",
                    literal(&before.to_string())
                );
                session.run(DOING, &set).await?;
                request
            }
            GtidSet::None => {
                let offset = asked(place);
                if offset != place.offset {
                    let (file, offset) = (&place.file, place.offset);
                    tracing::warn!(
                        file,
                        offset,
                        "the place is beyond 4 GiB of its file, which cannot be asked for: the \
                         file is read from its beginning up to it; with gtid_mode = ON it is not"
                    );
                }
                request.with_filename(place.file.as_bytes()).with_pos(offset)
            }
        };
        let stream = session.conn.get_binlog_stream(request).await;
        Ok(Self { stream: stream.map_err(|e| who.fault(DOING, e))?, first: None, who })
    }

    /// Reads one file of the log and those after it, up to their end. It has no number among the
    /// replicas, so it throws no reader out.
    pub(crate) async fn file(
        connector: &Connector,
        file: &str,
        maria: bool,
    ) -> Result<Self, Fault> {
        let mut session = connector.connect().await?;
        if maria {
            session.run(DOING, "SET @mariadb_slave_capability = 4").await?;
        }
        let request = BinlogStreamRequest::new(0).with_non_blocking();
        let request = request.with_filename(file.as_bytes());
        let who = connector.who.clone();
        let stream = session.conn.get_binlog_stream(request).await;
        Ok(Self { stream: stream.map_err(|e| who.fault(DOING, e))?, first: None, who })
    }

    /// The next event of a log that is read up to its end.
    pub(crate) async fn next_or_end(&mut self) -> Result<Option<Event>, Fault> {
        match tokio::time::timeout(HEARTBEAT * SILENCE, self.stream.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(event))) => Ok(Some(event)),
            Ok(Some(Err(error))) => Err(self.who.fault(DOING, error)),
            Err(_) => Err(gone("the server is silent")),
        }
    }

    /// The next event. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Event, Fault> {
        if let Some(event) = self.first.take() {
            return Ok(event);
        }
        match tokio::time::timeout(HEARTBEAT * SILENCE, self.stream.next()).await {
            Ok(Some(Ok(event))) => Ok(event),
            Ok(Some(Err(error))) => Err(self.who.fault(DOING, error)),
            Ok(None) => Err(gone("the server ended the stream of its log")),
            Err(_) => Err(gone("the server is silent")),
        }
    }
}

/// From where in a file the log can be asked for: COM_BINLOG_DUMP, which servers without GTIDs
/// take alone, has 32 bits for the place. A place beyond them is reached from the file's beginning;
/// cut to 32 bits it would be another one.
pub(crate) fn asked(place: &Place) -> u64 {
    if u32::try_from(place.offset).is_ok() { place.offset } else { FIRST }
}

/// Where the events of a file begin.
const FIRST: u64 = 4;

fn gone(what: &str) -> Fault {
    Fault::new(FaultKind::SourceUnavailable, what)
}

/// An event for the decoder.
pub(crate) fn raw(event: &Event) -> Raw<'_> {
    let header = event.header();
    Raw {
        kind: header.event_type_raw(),
        server_id: header.server_id(),
        timestamp: header.timestamp(),
        size: header.event_size(),
        end: header.log_pos(),
        body: without_checksum(event),
    }
}

/// MariaDB ends its first rotation with a checksum before it has told that it does, so that the
/// library leaves it there. It is one if it is right.
fn without_checksum(event: &Event) -> &[u8] {
    let (header, data) = (event.header(), event.data());
    let Some((body, sum)) = data.split_last_chunk::<4>() else { return data };
    if header.event_type_raw() != kind::ROTATE {
        return data;
    }
    let mut crc = flate2::Crc::new();
    crc.update(&header.timestamp().to_le_bytes());
    crc.update(&[header.event_type_raw()]);
    crc.update(&header.server_id().to_le_bytes());
    crc.update(&header.event_size().to_le_bytes());
    crc.update(&header.log_pos().to_le_bytes());
    crc.update(&header.flags_raw().to_le_bytes());
    crc.update(body);
    if crc.sum() == u32::from_le_bytes(*sum) { body } else { data }
}
