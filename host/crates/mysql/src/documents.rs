//! Schemas of records that are no rows of a table, in Debezium's form: begin and end of
//! transactions, changes of schemas, heartbeats.

use std::sync::Arc;

use wasmgate_model::ConnectShape::{Array, Boolean, Int32, Int64, String, Struct};
use wasmgate_model::{ConnectSchema, ConnectShape, DocumentSchemas, Schema};

use crate::said;
use crate::table::document_schema;

const COMMON: &str = "io.debezium.connector.common";
const TABLES: &str = "io.debezium.connector.schema";

/// A schema of documents whose form is known.
pub(crate) fn described(topic: &str, schemas: DocumentSchemas) -> Arc<Schema> {
    let schema = Schema::clone(&document_schema(topic));
    Arc::new(Schema { documents: Some(Arc::new(schemas)), ..schema })
}

fn of(shape: ConnectShape) -> ConnectSchema {
    ConnectSchema::new(shape)
}

fn list(entry: ConnectSchema) -> ConnectSchema {
    of(Array(Box::new(entry)))
}

fn structure(name: &str, fields: Vec<(&str, ConnectSchema)>) -> ConnectSchema {
    let fields = fields.into_iter().map(|(name, schema)| (name.into(), schema)).collect();
    ConnectSchema::named(Struct(fields), name)
}

/// Schemas of begin and end of transactions.
pub(crate) fn boundary_schemas() -> DocumentSchemas {
    let (text, number) = (|| of(String).required(), || of(Int64).required());
    let counted = vec![("data_collection", text()), ("event_count", number())];
    let counted = structure("event.collection", counted).required();
    let value = vec![
        ("status", text()),
        ("id", text()),
        ("event_count", of(Int64)),
        ("data_collections", list(counted)),
        ("ts_ms", number()),
    ];
    let key = structure(&format!("{COMMON}.TransactionMetadataKey"), vec![("id", text())]);
    let value = structure(&format!("{COMMON}.TransactionMetadataValue"), value);
    DocumentSchemas { key: key.required(), value: value.required() }
}

/// Schemas of heartbeats.
pub(crate) fn heartbeat_schemas() -> DocumentSchemas {
    let key = vec![("serverName", of(String).required())];
    let value = vec![("ts_ms", of(Int64).required())];
    DocumentSchemas {
        key: structure(&format!("{COMMON}.ServerNameKey"), key).required(),
        value: structure(&format!("{COMMON}.Heartbeat"), value).required(),
    }
}

/// Schemas of changes of schemas.
pub(crate) fn change_schemas(maria: bool) -> DocumentSchemas {
    let column = structure(
        &format!("{TABLES}.Column"),
        vec![
            ("name", of(String).required()),
            ("jdbcType", of(Int32).required()),
            ("nativeType", of(Int32)),
            ("typeName", of(String).required()),
            ("typeExpression", of(String)),
            ("charsetName", of(String)),
            ("length", of(Int32)),
            ("scale", of(Int32)),
            ("position", of(Int32).required()),
            ("optional", of(Boolean)),
            ("autoIncremented", of(Boolean)),
            ("generated", of(Boolean)),
            ("comment", of(String)),
            ("defaultValueExpression", of(String)),
            ("enumValues", list(of(String).required())),
        ],
    );
    let table = structure(
        &format!("{TABLES}.Table"),
        vec![
            ("defaultCharsetName", of(String)),
            ("primaryKeyColumnNames", list(of(String).required())),
            ("columns", list(column.required()).required()),
            ("comment", of(String)),
        ],
    );
    let change = structure(
        &format!("{TABLES}.Change"),
        vec![("type", of(String).required()), ("id", of(String).required()), ("table", table)],
    );
    let connector = format!("io.debezium.connector.{}", if maria { "mariadb" } else { "mysql" });
    let key = vec![("databaseName", of(String).required())];
    let value = vec![
        ("source", said::source(maria)),
        ("ts_ms", of(Int64).required()),
        ("databaseName", of(String)),
        ("schemaName", of(String)),
        ("ddl", of(String)),
        ("tableChanges", list(change.required()).required()),
    ];
    DocumentSchemas {
        key: structure(&format!("{connector}.SchemaChangeKey"), key).required(),
        value: structure(&format!("{connector}.SchemaChangeValue"), value).required(),
    }
}
