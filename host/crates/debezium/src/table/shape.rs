//! Which tables and columns, and what their records look like.

use super::{Row, Rule, always, ignored, only, required, row};
use crate::columns;
use crate::filters;

const DECIMALS: &[(&str, &str)] =
    &[("precise", "precise"), ("double", "double"), ("string", "string")];

const PRECISIONS: &[(&str, &str)] = &[
    ("adaptive", "adaptive"),
    ("adaptive_time_microseconds", "adaptive_time_microseconds"),
    ("connect", "connect"),
    ("isostring", "isostring"),
    ("microseconds", "microseconds"),
    ("nanoseconds", "nanoseconds"),
];

const BINARY: &[(&str, &str)] = &[
    ("bytes", "bytes"),
    ("base64", "base64"),
    ("base64-url-safe", "base64-url-safe"),
    ("hex", "hex"),
];

const HSTORE: &[(&str, &str)] = &[("json", "json"), ("map", "map")];

const INTERVALS: &[(&str, &str)] = &[("numeric", "numeric"), ("string", "string")];

const ADJUSTMENTS: &[(&str, &str)] =
    &[("none", "none"), ("avro", "avro"), ("avro_unicode", "avro_unicode")];

pub(super) const ROWS: &[Row] = &[
    required(
        "topic.prefix",
        Rule::Text("topic_prefix"),
        "add \"topic.prefix\": the first part of topic names (`database.server.name` of old)",
    ),
    row(
        "table.include.list",
        "",
        Rule::Own(filters::tables),
        "`tables` where all are names, else `filters.tables.include`",
    ),
    row("table.exclude.list", "", Rule::Patterns("filters.tables.exclude"), ""),
    row("schema.include.list", "", Rule::Patterns("filters.schemas.include"), ""),
    row("schema.exclude.list", "", Rule::Patterns("filters.schemas.exclude"), ""),
    ignored("table.ignore.builtin", "true", "the system's tables are never captured"),
    row("column.include.list", "", Rule::Patterns("columns.include"), ""),
    row("column.exclude.list", "", Rule::Patterns("columns.exclude"), ""),
    row("message.key.columns", "", Rule::Own(columns::keys), "`columns.keys`"),
    row("column.mask.*", "", Rule::Own(columns::masked), "`columns.masks`"),
    row("column.truncate.*", "", Rule::Own(columns::masked), "`columns.masks`"),
    row("column.propagate.source.type", "", Rule::Patterns("columns.source_types"), ""),
    row("datatype.propagate.source.type", "", Rule::Patterns("columns.source_datatypes"), ""),
    row("decimal.handling.mode", "precise", Rule::Words("decimals", DECIMALS), ""),
    row("time.precision.mode", "adaptive", Rule::Words("values.time_precision", PRECISIONS), ""),
    row("binary.handling.mode", "bytes", Rule::Words("values.binary", BINARY), ""),
    row("hstore.handling.mode", "json", Rule::Words("values.hstore", HSTORE), ""),
    row("interval.handling.mode", "numeric", Rule::Words("values.intervals", INTERVALS), ""),
    row("money.fraction.digits", "2", Rule::Whole("values.money_digits", 0, 9), ""),
    row("include.unknown.datatypes", "false", Rule::Flag("values.unknown_types"), ""),
    row("tombstones.on.delete", "true", Rule::Flag("tombstones_on_delete"), ""),
    row("skipped.operations", "t", Rule::Own(filters::operations), "`records.skipped_operations`"),
    row("skip.messages.without.change", "false", Rule::Flag("records.skip_unchanged"), ""),
    row(
        "unavailable.value.placeholder",
        "__debezium_unavailable_value",
        Rule::Text("values.unavailable"),
        "",
    ),
    row("provide.transaction.metadata", "false", Rule::Flag("events.transactions"), ""),
    ignored("transaction.metadata.factory", "", "a class of Java"),
    row("topic.delimiter", ".", Rule::Text("records.topic_delimiter"), ""),
    ignored("topic.cache.size", "10000", "names of topics are made once per table"),
    only(
        "topic.naming.strategy",
        &["io.debezium.schema.SchemaTopicNamingStrategy"],
        "a class of Java; the module `route` renames topics",
    ),
    only("topic.heartbeat.prefix", &["__debezium-heartbeat"], "the module `route` renames topics"),
    only("topic.heartbeat.name", &[""], "the module `route` renames topics"),
    only("topic.transaction", &["transaction"], "the module `route` renames topics"),
    row(
        "schema.name.adjustment.mode",
        "none",
        Rule::Words("records.schema_names", ADJUSTMENTS),
        "",
    ),
    row("field.name.adjustment.mode", "none", Rule::Words("records.field_names", ADJUSTMENTS), ""),
    always("extended.headers.enabled", "true", Rule::Flag("records.context_headers"), ""),
    ignored("sourceinfo.struct.maker", "", "a class of Java"),
    ignored("include.schema.changes", "true", "Postgres connectors write no schema changes"),
    ignored("include.schema.comments", "false", "Postgres connectors write no schema changes"),
    only("converters", &[""], "custom converters are classes of Java; write a module"),
    only("post.processors", &[""], "post-processors are classes of Java; write a module"),
];
