//! Changes of schemas as records of the topic `<topic_prefix>`, in Debezium's form: the statement,
//! and what the tables are after it.

mod snapshot;
mod tables;

use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_model::{Fault, Position, Schema};

pub(crate) use snapshot::{Beginning, tell_tables};
pub(crate) use tables::{Told, told};

use crate::assemble::{Assembler, now_us};
use crate::documents::{change_schemas, described};
use crate::rows::Origin;
use crate::settings::Settings;

/// The topic.
#[derive(Debug, Clone)]
pub(crate) struct SchemaTopic {
    schema: Arc<Schema>,
    name: String,
    maria: bool,
    /// Comments of tables and columns are told.
    comments: bool,
}

impl SchemaTopic {
    /// `None`: nobody asked for it.
    pub(crate) fn new(settings: &Settings, maria: bool) -> Option<Self> {
        let name = settings.topic_prefix.clone();
        let schema = || described(&name, change_schemas(maria));
        let comments = settings.include_schema_comments;
        let schema = settings.include_schema_changes.then(schema)?;
        Some(Self { schema, name, maria, comments })
    }

    /// Appends one change.
    pub(crate) fn put(
        &self,
        out: &mut Assembler,
        told: &Told,
        origin: &Origin<'_>,
        at: Position,
    ) -> Result<(), Fault> {
        let key = json!({ "databaseName": told.database });
        let value = json!({
            "source": self.source(told, origin),
            "ts_ms": now_us().div_euclid(1000),
            "databaseName": told.database,
            "schemaName": Value::Null,
            "ddl": told.ddl,
            "tableChanges": told.changes,
        });
        let texts = (key.to_string(), value.to_string());
        out.document(&self.schema, (&texts.0, &texts.1), origin.time_us, at)
    }

    fn source(&self, told: &Told, origin: &Origin<'_>) -> Value {
        json!({
            "version": concat!("wasmgate-", env!("CARGO_PKG_VERSION")),
            "connector": if self.maria { "mariadb" } else { "mysql" },
            "name": self.name,
            "ts_ms": origin.time_us.div_euclid(1000),
            "snapshot": origin.snapshot,
            "db": told.database,
            "sequence": Value::Null,
            "ts_us": origin.time_us,
            "ts_ns": origin.time_us.saturating_mul(1000),
            "table": told.tables,
            "server_id": origin.server_id,
            "gtid": origin.gtid,
            "file": origin.file,
            "pos": origin.offset,
            "row": origin.row,
            "thread": Value::Null,
            "query": Value::Null,
        })
    }
}
