//! Notifications: what snapshots are doing, as records of a topic and lines of the log, in
//! Debezium's form: key `{"id"}`, value `{"id","type","aggregate_type","additional_data",
//! "timestamp"}`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use wasmgate_connector::random_id;
use wasmgate_model::{Fault, FaultKind, Schema};

use crate::name::TableName;

/// Where records can be put that belong to no transaction.
pub trait Places {
    /// Whether that can be done now: no transaction is open.
    fn is_free(&self) -> bool;

    /// Adds a JSON document; only where [`Places::is_free`].
    ///
    /// # Errors
    /// The chain does not take it.
    fn add_document(&mut self, schema: &Arc<Schema>, key: &[u8], value: &[u8])
    -> Result<(), Fault>;
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Where notifications go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notifications {
    /// A topic of its own, by its whole name. `None`: no records.
    pub topic: Option<String>,
    /// Lines of the log.
    pub log: bool,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A copy of whole tables.
    Initial,
    /// One beside the stream.
    Incremental,
}

impl About {
    fn name(self) -> &'static str {
        match self {
            Self::Initial => "Initial Snapshot",
            Self::Incremental => "Incremental Snapshot",
        }
    }
}

/// Further data of a notification, in order.
pub type Data<'a> = &'a [(&'a str, &'a str)];

/// Sends notifications.
#[derive(Debug)]
pub struct Notifier {
    topic: Option<Arc<Schema>>,
    log: bool,
    /// The connector's name in them.
    name: String,
    /// Records that wait until no transaction is open: key, value.
    waiting: Vec<(String, String)>,
}

impl Notifier {
    /// `name` is the connector's in them; `schema` makes one for the documents of a topic.
    pub fn new(to: &Notifications, name: &str, schema: impl Fn(&str) -> Arc<Schema>) -> Self {
        Self {
            topic: to.topic.as_deref().map(schema),
            log: to.log,
            name: name.to_owned(),
            waiting: Vec::new(),
        }
    }

    /// Tells something. `id`: of the signal that it goes back to; `None`: a random one.
    ///
    /// # Errors
    /// The chain does not take the record.
    pub fn tell(
        &mut self,
        (about, id, kind): (About, Option<&str>, &str),
        data: Data<'_>,
        out: &mut impl Places,
    ) -> Result<(), Fault> {
        if self.log {
            let fields: Vec<String> = data.iter().map(|(name, v)| format!("{name}={v}")).collect();
            let (about, id) = (about.name(), id.unwrap_or_default());
            tracing::info!(kind, about, id, data = fields.join(" "), "notification");
        }
        if self.topic.is_none() {
            return Ok(());
        }
        let id = match id {
            Some(id) => id.to_owned(),
            None => random_id().map_err(no_numbers)?,
        };
        let mut more = Map::new();
        more.insert("connector_name".into(), self.name.as_str().into());
        for (name, value) in data {
            more.insert((*name).to_owned(), (*value).into());
        }
        let value = json!({
            "id": id,
            "type": kind,
            "aggregate_type": about.name(),
            "additional_data": Value::Object(more),
            "timestamp": now_ms(),
        });
        self.waiting.push((json!({ "id": id }).to_string(), value.to_string()));
        self.flush(out)
    }

    /// Whether records wait until no transaction is open.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Puts what waits where no transaction is open.
    ///
    /// # Errors
    /// The chain does not take the record.
    pub fn flush(&mut self, out: &mut impl Places) -> Result<(), Fault> {
        let Some(schema) = self.topic.as_ref().filter(|_| out.is_free()) else { return Ok(()) };
        for (key, value) in self.waiting.drain(..) {
            out.add_document(schema, key.as_bytes(), value.as_bytes())?;
        }
        Ok(())
    }

    /// Tells about a copy of whole tables.
    pub fn copying<'n, 't>(
        &'n mut self,
        tables: impl Iterator<Item = &'t TableName>,
    ) -> Copying<'n> {
        let tables: Vec<String> = tables.map(ToString::to_string).collect();
        let begun = vec![false; tables.len()];
        Copying { all: tables.join(","), tables, begun, notifier: self }
    }
}

/// No random identifier can be made.
#[must_use]
pub fn no_numbers(error: std::io::Error) -> Fault {
    Fault::new(FaultKind::Internal, "the system gives no random numbers").because(error)
}

/// The notifications of one copy of whole tables.
#[derive(Debug)]
pub struct Copying<'n> {
    notifier: &'n mut Notifier,
    tables: Vec<String>,
    all: String,
    begun: Vec<bool>,
}

impl Copying<'_> {
    fn tell(&mut self, kind: &str, data: Data<'_>, out: &mut impl Places) -> Result<(), Fault> {
        self.notifier.tell((About::Initial, None, kind), data, out)
    }

    /// The copy begins.
    ///
    /// # Errors
    /// The chain does not take the record.
    pub fn started(&mut self, out: &mut impl Places) -> Result<(), Fault> {
        self.tell("STARTED", &[], out)
    }

    /// Rows of a table come; told once.
    ///
    /// # Errors
    /// The chain does not take the record.
    pub fn in_progress(&mut self, table: usize, out: &mut impl Places) -> Result<(), Fault> {
        let Some(begun) = self.begun.get_mut(table).filter(|begun| !**begun) else { return Ok(()) };
        *begun = true;
        let (all, name) = (self.all.clone(), self.table(table));
        let data =
            [("current_collection_in_progress", name.as_str()), ("data_collections", all.as_str())];
        self.tell("IN_PROGRESS", &data, out)
    }

    /// A table gives no more rows.
    ///
    /// # Errors
    /// The chain does not take the record.
    pub fn scanned(&mut self, table: usize, rows: u64, out: &mut impl Places) -> Result<(), Fault> {
        let (all, name, rows) = (self.all.clone(), self.table(table), rows.to_string());
        let data = [
            ("scanned_collection", name.as_str()),
            ("total_rows_scanned", rows.as_str()),
            ("status", "SUCCEEDED"),
            ("data_collections", all.as_str()),
        ];
        self.tell("TABLE_SCAN_COMPLETED", &data, out)
    }

    /// The copy is done.
    ///
    /// # Errors
    /// The chain does not take the record.
    pub fn completed(&mut self, out: &mut impl Places) -> Result<(), Fault> {
        self.tell("COMPLETED", &[], out)
    }

    fn table(&self, number: usize) -> String {
        self.tables.get(number).cloned().unwrap_or_default()
    }
}
