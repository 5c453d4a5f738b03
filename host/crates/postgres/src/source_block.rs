//! What every record says beside its row: the envelope's source block, its columns and its schema,
//! and the headers of Debezium's context.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, OnceLock};

use wasmgate_codec::json::write_string;
use wasmgate_model::{Column, ConnectSchema, ConnectShape, Kind, SourcePart};

use crate::assemble::now_us;
use crate::catalog::TableName;

/// Columns of the envelope's source block; numbers of [`wasmgate_model::Rows::source`].
pub(crate) mod source_column {
    pub(crate) const TIME_US: usize = 0;
    pub(crate) const SNAPSHOT: usize = 1;
    pub(crate) const SEQUENCE: usize = 2;
    pub(crate) const TRANSACTION: usize = 3;
    pub(crate) const LSN: usize = 4;
    pub(crate) const ORIGIN: usize = 5;
    pub(crate) const ORIGIN_LSN: usize = 6;
    pub(crate) const BLOCK_ID: usize = 7;
    pub(crate) const BLOCK_ORDER: usize = 8;
    pub(crate) const BLOCK_TABLE_ORDER: usize = 9;
}

/// Empty columns for the source block.
pub(crate) fn source_columns() -> Vec<Column> {
    use Kind::{Integer, Text};
    [Integer, Text, Text, Integer, Integer, Text, Integer, Text, Integer, Integer]
        .map(Column::new)
        .into()
}

/// The source block in Debezium's order, as literal text between the values that differ.
pub(crate) fn source_parts(
    prefix: &str,
    database: &str,
    name: &TableName,
) -> (Vec<SourcePart>, Vec<(Arc<str>, SourcePart)>) {
    use source_column::{LSN, ORIGIN, ORIGIN_LSN, SEQUENCE, SNAPSHOT, TIME_US, TRANSACTION};
    let text = |value: &str| {
        let mut quoted = Vec::new();
        write_string(value, &mut quoted);
        SourcePart::Literal(String::from_utf8_lossy(&quoted).into())
    };
    let members = [
        ("version", text(concat!("wasmgate-", env!("CARGO_PKG_VERSION")))),
        ("connector", text("postgresql")),
        ("name", text(prefix)),
        ("ts_ms", SourcePart::Millis(TIME_US)),
        ("snapshot", SourcePart::Text(SNAPSHOT)),
        ("db", text(database)),
        ("sequence", SourcePart::Text(SEQUENCE)),
        ("ts_us", SourcePart::Int(TIME_US)),
        ("ts_ns", SourcePart::Nanos(TIME_US)),
        ("schema", text(&name.schema)),
        ("table", text(&name.table)),
        ("txId", SourcePart::Int(TRANSACTION)),
        ("lsn", SourcePart::Int(LSN)),
        ("xmin", SourcePart::Literal("null".into())),
        ("origin", SourcePart::Text(ORIGIN)),
        ("origin_lsn", SourcePart::Int(ORIGIN_LSN)),
    ];
    let mut parts = Vec::new();
    let mut literal = String::from("{");
    for (i, (name, part)) in members.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        literal.push_str(&format!("{comma}\"{name}\":"));
        match part {
            SourcePart::Literal(text) => literal.push_str(text),
            value => {
                parts.push(SourcePart::Literal(std::mem::take(&mut literal).into()));
                parts.push(value.clone());
            }
        }
    }
    literal.push('}');
    parts.push(SourcePart::Literal(literal.into()));
    let names = members.into_iter().map(|(name, part)| (name.into(), part)).collect();
    (parts, names)
}

/// The schema of the source block.
pub(crate) fn source_schema() -> ConnectSchema {
    let text = || ConnectSchema::new(ConnectShape::String);
    let number = || ConnectSchema::new(ConnectShape::Int64);
    let snapshot = ConnectSchema {
        default: Some("\"false\"".into()),
        ..ConnectSchema::named(ConnectShape::String, "io.debezium.data.Enum").with(
            "allowed",
            "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental",
        )
    };
    let fields = vec![
        ("version".into(), text().required()),
        ("connector".into(), text().required()),
        ("name".into(), text().required()),
        ("ts_ms".into(), number().required()),
        ("snapshot".into(), snapshot),
        ("db".into(), text().required()),
        ("sequence".into(), text()),
        ("ts_us".into(), number()),
        ("ts_ns".into(), number()),
        ("schema".into(), text().required()),
        ("table".into(), text().required()),
        ("txId".into(), number()),
        ("lsn".into(), number()),
        ("xmin".into(), number()),
        ("origin".into(), text()),
        ("origin_lsn".into(), number()),
    ];
    let name = "io.debezium.connector.postgresql.Source";
    ConnectSchema::named(ConnectShape::Struct(fields), name).required()
}

/// Debezium's context: which connector and which run of it a record comes from.
pub(crate) fn context_headers(prefix: &str) -> Arc<[(Arc<str>, Arc<str>)]> {
    let header = |name: &str, value: &str| -> (Arc<str>, Arc<str>) {
        (format!("__debezium.context.{name}").into(), value.into())
    };
    Arc::from([
        header("connectorLogicalName", prefix),
        header("taskId", "0"),
        header("connectorName", "postgresql"),
        header("runId", run_id()),
    ])
}

/// A UUID (version 7) of this run of the process.
fn run_id() -> &'static str {
    static RUN: OnceLock<String> = OnceLock::new();
    RUN.get_or_init(|| {
        let random = || RandomState::new().build_hasher().finish();
        let (ms, a, b) = (now_us().unsigned_abs() / 1000, random(), random());
        format!(
            "{:08x}-{:04x}-7{:03x}-{:x}{:03x}-{:012x}",
            ms >> 16 & 0xffff_ffff,
            ms & 0xffff,
            a & 0xfff,
            8 | (a >> 12 & 3),
            a >> 16 & 0xfff,
            b & 0xffff_ffff_ffff,
        )
    })
}
