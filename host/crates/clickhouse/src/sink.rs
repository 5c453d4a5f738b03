//! The sink: rows to the workers of their tables.
//!
//! *Accepted*: a worker holds the rows, in order. *Durable*: the server answered that the insert
//! is done, or the row was refused. A server that is away fails nothing: its worker tries for
//! ever, with the same bytes and token; what the pipeline may have in flight is the back-pressure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wasmgate_connector::{
    Durable, Finding, Sink, SinkConnector, SinkHealth, WriteRequest, Written,
};
use wasmgate_model::{Batch, Fault, FaultKind, Position};

use crate::check;
use crate::client::Hosts;
use crate::context::{Context, STRICT_TYPES, Server};
use crate::ledger::{Ledger, LedgerPlace};
use crate::piece::{Piece, Ticket};
use crate::settings::SinkSettings;
use crate::shape::Shape;
use crate::worker::{Message, Worker};

/// Deliveries held at most: at a thousand changes a second they are small, and a second of them
/// makes one insert.
const IN_FLIGHT: usize = 4096;
/// Bytes of rows gathered over all tables; beyond it everything is written. The pipeline holds 32
/// MiB at most, so this leaves as much to come while inserts are on their way.
const GATHERED_MAX: usize = 12 << 20;
/// Topics remembered at most: a rule may make one per record.
const TOPICS_MAX: usize = 10_000;

/// A configured ClickHouse sink.
pub struct ClickHouseSink {
    settings: Arc<SinkSettings>,
    place: Option<LedgerPlace>,
}

impl ClickHouseSink {
    /// A sink with these settings. Without a place for its notes, what was sent right before a
    /// crash is sent again in other pieces.
    ///
    /// # Errors
    /// See [`SinkSettings::validate`].
    pub fn new(settings: SinkSettings, place: Option<LedgerPlace>) -> Result<Self, Fault> {
        settings.validate()?;
        Ok(Self { settings: Arc::new(settings), place })
    }
}

#[async_trait]
impl SinkConnector for ClickHouseSink {
    fn kind(&self) -> &'static str {
        "clickhouse"
    }

    async fn check(&self) -> Vec<Finding> {
        check::look(&self.settings).await
    }

    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        let hosts = Arc::new(Hosts::new(&self.settings)?);
        let server = connect(&hosts, &self.settings.database).await?;
        let ledger = Ledger::open(self.place.clone()).await?;
        let name = match &self.place {
            Some(place) => format!("{}#{}", place.pipeline, place.number),
            None => String::new(),
        };
        let settings = Arc::clone(&self.settings);
        let context = Arc::new(Context::new(settings, hosts, ledger, server, name));
        Ok(Box::new(Writer {
            context,
            topics: HashMap::new(),
            tables: HashMap::new(),
            shapes: HashMap::new(),
            workers: JoinSet::new(),
        }))
    }
}

/// The server's version, once it is sure that we may in and that the database is there.
pub(crate) async fn connect(hosts: &Hosts, database: &str) -> Result<Server, Fault> {
    let failed = |what: &str| format!("cannot {what} on clickhouse at {}", hosts.address());
    let rows = hosts.rows("SELECT version() AS version").await;
    let rows = rows.map_err(|error| error.fault(failed("log in")))?;
    let version = rows.first().and_then(|row| row.get("version")?.as_str().map(str::to_owned));
    let named = crate::types::quoted(database);
    let sql = format!("SELECT name FROM system.databases WHERE name = {named}");
    let found = hosts.rows(&sql).await.map_err(|error| error.fault(failed("see databases")))?;
    if found.is_empty() {
        let message = format!("database {database} does not exist; create it");
        return Err(Fault::new(FaultKind::SinkRefused, message));
    }
    // Without a right to look, it counts as unknown.
    let sql = format!("SELECT name FROM system.settings WHERE name = '{STRICT_TYPES}'");
    let strict_types = hosts.rows(&sql).await.is_ok_and(|rows| !rows.is_empty());
    Ok(Server { strict_types, ..Server::parse(version.as_deref().unwrap_or("")) })
}

/// An open sink.
struct Writer {
    context: Arc<Context>,
    /// Topic to its table.
    topics: HashMap<String, Arc<str>>,
    tables: HashMap<Arc<str>, Table>,
    /// The last shape of each (schema, topic): most batches have it again.
    shapes: HashMap<(u64, String), Arc<Shape>>,
    /// Aborted when the sink is dropped.
    workers: JoinSet<()>,
}

/// A table's worker, and the topic that came first.
struct Table {
    inbox: mpsc::UnboundedSender<Message>,
    topic: String,
}

/// Rows of one batch for one topic, as places in its `sel`.
type Part = (usize, String, Vec<u32>);

#[async_trait]
impl Sink for Writer {
    async fn write(&mut self, request: WriteRequest) -> Result<Durable, Fault> {
        if let Some(fault) = self.context.fault() {
            return Err(fault);
        }
        let parts = parts(&request);
        if parts.is_empty() {
            return Ok(Box::pin(async { Ok(Written::default()) }));
        }
        let rows = parts.iter().map(|(_, _, rows)| rows.len()).sum();
        let (ticket, resolved) = Ticket::new(rows);
        let crossed = crossed(&request, &parts);
        for (number, topic, rows) in parts {
            let Some(batch) = request.delivery.batches.get(number) else { continue };
            let weight = batch.weight() * rows.len() / batch.len().max(1);
            self.context.gathered.fetch_add(weight, Ordering::Relaxed);
            let piece = Piece {
                delivery: Arc::clone(&request.delivery),
                batch: number,
                rows,
                crossed: crossed.contains(&topic),
                shape: self.shape(batch, &topic),
                weight,
                ticket: Arc::clone(&ticket),
            };
            // A worker that is gone has told its fault.
            drop(self.worker(&topic)?.send(Message::Piece(piece)));
        }
        if self.context.gathered.load(Ordering::Relaxed) > GATHERED_MAX {
            self.flush().await;
        }
        let context = Arc::clone(&self.context);
        Ok(Box::pin(async move {
            resolved.await.unwrap_or_else(|_| {
                let gone = || Fault::new(FaultKind::Stopped, "the sink was closed");
                Err(context.fault().unwrap_or_else(gone))
            })
        }))
    }

    async fn flush(&mut self) {
        for table in self.tables.values() {
            drop(table.inbox.send(Message::Flush));
        }
    }

    fn in_flight(&self) -> usize {
        IN_FLIGHT
    }

    fn health(&self) -> Arc<SinkHealth> {
        Arc::clone(&self.context.health)
    }

    async fn close(&mut self) {
        // Everything was answered; a worker that is left has nothing to do.
        self.tables.clear();
        self.workers.shutdown().await;
    }
}

impl Writer {
    /// The worker of a topic's table.
    ///
    /// # Errors
    /// Another topic goes to the same table, and nobody said that they are to be one.
    fn worker(&mut self, topic: &str) -> Result<&mpsc::UnboundedSender<Message>, Fault> {
        let settings = &self.context.settings;
        if self.topics.len() >= TOPICS_MAX && !self.topics.contains_key(topic) {
            self.topics.clear();
        }
        let known = self.topics.get(topic).map(Arc::clone);
        let table = known.unwrap_or_else(|| {
            let table: Arc<str> = settings.for_topic(topic).table(topic).into();
            self.topics.insert(topic.to_owned(), Arc::clone(&table));
            table
        });
        let (workers, context) = (&mut self.workers, &self.context);
        let own = settings.for_topic(topic);
        let found = self.tables.entry(Arc::clone(&table)).or_insert_with(|| {
            let (sender, inbox) = mpsc::unbounded_channel();
            workers.spawn(Worker::new(Arc::clone(context), own.clone(), &table).run(inbox));
            Table { inbox: sender, topic: topic.to_owned() }
        });
        // A name without a place for the topic is meant for several.
        if found.topic != topic && own.name.contains('{') {
            return Err(Fault::new(
                FaultKind::SinkRefused,
                format!(
                    "topics {} and {topic} both go to table {table}, and rows of one would replace \
                     rows of the other; set `table.name` to `{{schema}}_{{table}}`, or name the \
                     table under `tables` if they belong together",
                    found.topic
                ),
            ));
        }
        Ok(&found.inbox)
    }

    fn shape(&mut self, batch: &Batch, topic: &str) -> Arc<Shape> {
        let shape = Shape::of(batch, topic);
        if self.shapes.len() >= TOPICS_MAX {
            self.shapes.clear();
        }
        let key = (batch.schema.id, topic.to_owned());
        let kept = self.shapes.entry(key).or_insert_with(|| Arc::new(shape.clone()));
        if **kept != shape {
            *kept = Arc::new(shape);
        }
        Arc::clone(kept)
    }
}

/// The rows of a request by batch and topic.
fn parts(request: &WriteRequest) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut first = 0;
    request.for_each(|number, batch, at| {
        if parts.last().is_some_and(|(last, _, _)| *last != number) {
            first = parts.len();
        }
        let topic = batch.topic(at);
        let own = parts.get_mut(first..).unwrap_or(&mut []);
        match own.iter_mut().find(|(n, name, _)| *n == number && name == topic) {
            Some((_, _, rows)) => rows.push(at as u32),
            None => parts.push((number, topic.to_owned(), vec![at as u32])),
        }
    });
    parts
}

/// Topics whose rows come in several parts that are not one after the other: of two schemas that
/// take turns, or of two tables that a module leads into one topic.
fn crossed(request: &WriteRequest, parts: &[Part]) -> HashSet<String> {
    let mut crossed = HashSet::new();
    let mut reached: HashMap<&str, Position> = HashMap::new();
    for (number, topic, rows) in parts {
        let Some(batch) = request.delivery.batches.get(*number) else { continue };
        let position = |at: Option<&u32>| {
            let row = *batch.sel.get(*at? as usize)?;
            batch.positions.get(row as usize).copied()
        };
        let (first, last) = (position(rows.first()), position(rows.last()));
        let (Some(first), Some(last)) = (first, last) else { continue };
        let before = reached.insert(topic, last);
        if before.is_some_and(|before| first <= before) {
            crossed.insert(topic.clone());
            reached.insert(topic, last.max(before.unwrap_or_default()));
        }
    }
    crossed
}
