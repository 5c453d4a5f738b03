//! An open connection: simple queries, COPY out, and the switch to a replication stream.
//! The simple protocol answers in text, in the same form as pgoutput does.

use bytes::Bytes;
use postgres_protocol::message::frontend;
use tokio::time::{Instant, sleep_until};
use wasmgate_model::{Fault, FaultKind};

use crate::fault::{ServerError, Who, protocol};
use crate::gathering::Gathering;
use crate::wire::{Frame, Wire};

/// A row of text values.
pub(crate) type Row = Vec<Option<String>>;

/// A connection between commands.
pub(crate) struct Session {
    wire: Wire,
    who: Who,
    /// Of a COPY.
    gathering: Gathering,
}

impl Session {
    pub(crate) fn new(wire: Wire, who: Who) -> Self {
        Self { wire, who, gathering: Gathering::new(Instant::now()) }
    }

    /// Waits until the server takes commands.
    pub(crate) async fn started(&mut self) -> Result<(), Fault> {
        self.until_ready("cannot log in").await.map(|_| ())
    }

    fn ask(&mut self, sql: &str) -> Result<(), Fault> {
        frontend::query(sql, &mut self.wire.output).map_err(|e| {
            Fault::new(FaultKind::Config, "a configured name holds a zero byte").because(e)
        })
    }

    /// Runs statements; the rows of all of them. `doing` says what for, in errors.
    pub(crate) async fn query(&mut self, doing: &str, sql: &str) -> Result<Vec<Row>, Fault> {
        self.ask(sql)?;
        self.wire.send().await?;
        self.until_ready(doing).await
    }

    /// Reads the answer up to ReadyForQuery; the rows, or the first error.
    async fn until_ready(&mut self, doing: &str) -> Result<Vec<Row>, Fault> {
        let mut rows = Vec::new();
        let mut failed = None;
        loop {
            let Frame { tag, body } = self.wire.frame().await?;
            match tag {
                b'D' => rows.push(data_row(&body).ok_or_else(|| protocol("a cut row"))?),
                b'E' => {
                    let error = ServerError::parse(&body);
                    if error.fatal {
                        return Err(self.who.fault(doing, error));
                    }
                    failed.get_or_insert(error);
                }
                b'Z' => break,
                _ => {}
            }
        }
        match failed {
            Some(error) => Err(self.who.fault(doing, error)),
            None => Ok(rows),
        }
    }

    /// Starts a COPY to us; [`Session::copied`] takes its lines.
    pub(crate) async fn copy_out(&mut self, doing: &str, sql: &str) -> Result<(), Fault> {
        self.ask(sql)?;
        self.wire.send().await?;
        loop {
            let Frame { tag, body } = self.wire.frame().await?;
            match tag {
                b'H' => return Ok(()),
                b'E' => return Err(self.who.fault(doing, ServerError::parse(&body))),
                b'Z' => return Err(protocol("no COPY answer")),
                _ => {}
            }
        }
    }

    /// The next lines of a COPY, framed as they came ([`crate::wire::bodies`]); `None` when it is
    /// over.
    pub(crate) async fn copied_run(&mut self, doing: &str) -> Result<Option<Bytes>, Fault> {
        loop {
            if let Some(run) = self.wire.run_of(b'd', |_| {})? {
                return Ok(Some(run));
            }
            match self.wire.buffered()? {
                None => self.fill_gathered().await?,
                Some(Frame { tag: b'E', body }) => {
                    return Err(self.who.fault(doing, ServerError::parse(&body)));
                }
                Some(Frame { tag: b'Z', .. }) => return Ok(None),
                Some(_) => {}
            }
        }
    }

    /// The server sends a COPY in small pieces: a busy one is left to fill the socket.
    async fn fill_gathered(&mut self) -> Result<(), Fault> {
        if let Some(until) = self.gathering.until() {
            sleep_until(until).await;
            self.gathering.over(Instant::now());
        }
        let bytes = self.wire.fill().await?;
        self.gathering.read(Instant::now(), bytes);
        if self.gathering.until().is_some() {
            self.wire.rest()?;
        }
        Ok(())
    }

    /// Starts a replication stream: from here on the wire carries CopyData both ways.
    pub(crate) async fn replicate(mut self, command: &str) -> Result<Wire, Fault> {
        let doing = "cannot start the replication stream";
        self.ask(command)?;
        self.wire.send().await?;
        loop {
            let Frame { tag, body } = self.wire.frame().await?;
            match tag {
                // CopyBothResponse
                b'W' => return Ok(self.wire),
                b'E' => return Err(self.who.fault(doing, ServerError::parse(&body))),
                b'Z' => return Err(protocol("no stream was started")),
                _ => {}
            }
        }
    }
}

/// DataRow: a count, then length (-1: null) and bytes each.
fn data_row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Vec::with_capacity(usize::from(u16::from_be_bytes(*count)));
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        row.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (value, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(String::from_utf8_lossy(value).into_owned())
            }
            Err(_) => None,
        });
    }
    Some(row)
}

/// Column `i` of a row as text; nulls are empty.
pub(crate) fn text(row: &Row, i: usize) -> &str {
    row.get(i).and_then(Option::as_deref).unwrap_or("")
}

/// Column `i` of a row as a number, 0 where it is none.
pub(crate) fn number<T: std::str::FromStr + Default>(row: &Row, i: usize) -> T {
    text(row, i).parse().unwrap_or_default()
}
