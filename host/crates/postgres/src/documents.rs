//! Records that are no rows of a table, in Debezium's form: begin and end of transactions, logical
//! messages, heartbeats.

use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_codec::json::{write_base64, write_string};
use wasmgate_model::{ConnectSchema, ConnectShape, DocumentSchemas, Schema};

use crate::assemble::now_us;
use crate::rows::Origin;
use crate::source_block::source_schema;
use crate::table::{Naming, document_schema};
use crate::transaction::{Tally, Transaction};

/// The topics of one source.
pub(crate) struct Documents {
    pub(crate) transactions: Arc<Schema>,
    pub(crate) messages: Arc<Schema>,
    database: String,
    prefix: String,
}

impl Documents {
    pub(crate) fn new(naming: &Naming) -> Self {
        let prefix = &naming.topic_prefix;
        Self {
            transactions: described(&format!("{prefix}.transaction"), boundary_schemas()),
            messages: described(&format!("{prefix}.message"), message_schemas()),
            database: naming.database.clone(),
            prefix: prefix.clone(),
        }
    }

    /// Value of a logical message.
    pub(crate) fn message(
        &self,
        prefix: &str,
        content: &[u8],
        origin: &Origin<'_>,
        tied: bool,
    ) -> Vec<u8> {
        let us = origin.time_us;
        let replicated = origin.replicated;
        let source = json!({
            "version": concat!("wasmgate-", env!("CARGO_PKG_VERSION")),
            "connector": "postgresql",
            "name": self.prefix,
            "ts_ms": us.div_euclid(1000),
            "snapshot": origin.snapshot,
            "db": self.database,
            "sequence": String::from_utf8_lossy(origin.sequence),
            "ts_us": us,
            "ts_ns": us.saturating_mul(1000),
            "schema": "",
            "table": "",
            "txId": if tied { Value::from(origin.transaction) } else { Value::Null },
            "lsn": origin.lsn as i64,
            "xmin": Value::Null,
            "origin": replicated.map(|(name, _)| name),
            "origin_lsn": replicated.map(|(_, lsn)| lsn as i64),
        });
        let block = match &origin.block {
            None => Value::Null,
            Some(block) => json!({
                "id": String::from_utf8_lossy(block.id),
                "total_order": block.total_order,
                "data_collection_order": block.data_collection_order,
            }),
        };
        let now = now_us() / 1000;
        let mut out =
            format!("{{\"op\":\"m\",\"ts_ms\":{now},\"source\":{source},\"transaction\":{block},")
                .into_bytes();
        out.extend_from_slice(b"\"message\":{\"prefix\":");
        write_string(prefix, &mut out);
        out.extend_from_slice(b",\"content\":");
        write_base64(content, &mut out);
        out.extend_from_slice(b"}}");
        out
    }
}

const COMMON: &str = "io.debezium.connector.common";
const POSTGRES: &str = "io.debezium.connector.postgresql";

/// A schema of documents whose form is known.
pub(crate) fn described(topic: &str, schemas: DocumentSchemas) -> Arc<Schema> {
    let schema = Schema::clone(&document_schema(topic));
    Arc::new(Schema { documents: Some(Arc::new(schemas)), ..schema })
}

fn of(shape: ConnectShape) -> ConnectSchema {
    ConnectSchema::new(shape)
}

fn structure(name: &str, fields: Vec<(&str, ConnectSchema)>) -> ConnectSchema {
    let fields = fields.into_iter().map(|(name, schema)| (name.into(), schema)).collect();
    ConnectSchema::named(ConnectShape::Struct(fields), name)
}

fn boundary_schemas() -> DocumentSchemas {
    use ConnectShape::{Array, Int64, String};
    let (text, number) = (|| of(String).required(), || of(Int64).required());
    let counted = vec![("data_collection", text()), ("event_count", number())];
    let counted = structure("event.collection", counted).required();
    let value = vec![
        ("status", text()),
        ("id", text()),
        ("event_count", of(Int64)),
        ("data_collections", of(Array(Box::new(counted)))),
        ("ts_ms", number()),
    ];
    let key = structure(&format!("{COMMON}.TransactionMetadataKey"), vec![("id", text())]);
    let value = structure(&format!("{COMMON}.TransactionMetadataValue"), value);
    DocumentSchemas { key: key.required(), value: value.required() }
}

fn message_schemas() -> DocumentSchemas {
    use ConnectShape::{Bytes, Int64, String};
    let block = vec![
        ("id", of(String).required()),
        ("total_order", of(Int64).required()),
        ("data_collection_order", of(Int64).required()),
    ];
    let message = vec![("prefix", of(String)), ("content", of(Bytes))];
    let value = vec![
        ("op", of(String).required()),
        ("ts_ms", of(Int64)),
        ("source", source_schema()),
        ("transaction", structure("event.block", block)),
        ("message", structure(&format!("{POSTGRES}.Message"), message)),
    ];
    let key = structure(&format!("{POSTGRES}.MessageKey"), vec![("prefix", of(String))]);
    let value = structure(&format!("{POSTGRES}.MessageValue"), value);
    DocumentSchemas { key: key.required(), value: value.required() }
}

/// Schemas of heartbeats.
pub(crate) fn heartbeat_schemas() -> DocumentSchemas {
    let key = vec![("serverName", of(ConnectShape::String).required())];
    let value = vec![("ts_ms", of(ConnectShape::Int64).required())];
    DocumentSchemas {
        key: structure(&format!("{COMMON}.ServerNameKey"), key).required(),
        value: structure(&format!("{COMMON}.Heartbeat"), value).required(),
    }
}

/// Key of a logical message.
pub(crate) fn message_key(prefix: &str) -> String {
    json!({ "prefix": prefix }).to_string()
}

/// Debezium's name of an event in a transaction: it differs from event to event.
pub(crate) fn transaction_id(xid: i64, lsn: u64) -> String {
    format!("{xid}:{lsn}")
}

/// Key and value of the record that tells the beginning of a transaction, or with a tally its end.
pub(crate) fn boundary(
    transaction: &Transaction,
    lsn: u64,
    end: Option<&Tally>,
) -> (String, String) {
    let id = transaction_id(transaction.xid, lsn);
    let ms = transaction.commit_us.div_euclid(1000);
    let (status, count, collections) = match end {
        None => ("BEGIN", "null".to_owned(), "null".to_owned()),
        Some(tally) => ("END", tally.total().to_string(), tally.collections()),
    };
    let value = format!(
        "{{\"status\":\"{status}\",\"id\":\"{id}\",\"event_count\":{count},\
         \"data_collections\":{collections},\"ts_ms\":{ms}}}"
    );
    (format!("{{\"id\":\"{id}\"}}"), value)
}
