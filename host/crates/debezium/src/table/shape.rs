//! Which tables and columns, and what their records look like.

use super::{Row, Rule, ignored, only, required, row};
use crate::columns;
use crate::filters;

const DECIMALS: &[(&str, &str)] =
    &[("precise", "precise"), ("double", "double"), ("string", "string")];

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
        "`tables`: names; patterns are refused",
    ),
    only("table.exclude.list", &[""], "tables cannot be left out by pattern"),
    only("schema.include.list", &[""], "tables cannot be chosen by their schema"),
    only("schema.exclude.list", &[""], "tables cannot be left out by their schema"),
    ignored("table.ignore.builtin", "true", "the system's tables are never captured"),
    only("column.include.list", &[""], "every column is captured"),
    only("column.exclude.list", &[""], "every column is captured"),
    only("message.key.columns", &[""], "keys are those of the tables"),
    row("column.mask.*", "", Rule::Own(columns::refused), "refused: write a module"),
    row("column.truncate.*", "", Rule::Own(columns::refused), "refused: write a module"),
    ignored("column.propagate.source.type", "", "parameters of schemas, which JSON leaves out"),
    ignored("datatype.propagate.source.type", "", "parameters of schemas, which JSON leaves out"),
    row("decimal.handling.mode", "precise", Rule::Words("decimals", DECIMALS), ""),
    only("time.precision.mode", &["adaptive"], "no other precision in this version"),
    only("binary.handling.mode", &["bytes"], "no other form in this version"),
    only("hstore.handling.mode", &["json"], "no other form in this version"),
    only("interval.handling.mode", &["numeric"], "no other form in this version"),
    only("money.fraction.digits", &["2"], "two digits"),
    only("include.unknown.datatypes", &["false"], "columns of other types are left out"),
    row("tombstones.on.delete", "true", Rule::Flag("tombstones_on_delete"), ""),
    row(
        "skipped.operations",
        "t",
        Rule::Own(filters::operations),
        "`skip_truncate`: `t` or `none`; others are refused",
    ),
    only("skip.messages.without.change", &["false"], "every change gives a record"),
    only(
        "unavailable.value.placeholder",
        &["__debezium_unavailable_value"],
        "no other placeholder in this version",
    ),
    only("provide.transaction.metadata", &["false"], "not supported by this version"),
    ignored("transaction.metadata.factory", "", "a class of Java"),
    only("topic.delimiter", &["."], "parts of topics are parted by dots"),
    ignored("topic.cache.size", "10000", "names of topics are made once per table"),
    only(
        "topic.naming.strategy",
        &["io.debezium.schema.SchemaTopicNamingStrategy"],
        "a class of Java; the module `route` renames topics",
    ),
    ignored("topic.heartbeat.prefix", "__debezium-heartbeat", "no heartbeat records"),
    ignored("topic.heartbeat.name", "", "no heartbeat records"),
    ignored("topic.transaction", "transaction", "no transaction records"),
    only("schema.name.adjustment.mode", &["none", "avro", "avro_unicode"], "unknown mode"),
    only("field.name.adjustment.mode", &["none"], "names of fields are those of the columns"),
    only("extended.headers.enabled", &["true", "false"], "expected true or false"),
    ignored("sourceinfo.struct.maker", "", "a class of Java"),
    ignored("include.schema.changes", "true", "Postgres connectors write no schema changes"),
    ignored("include.schema.comments", "false", "Postgres connectors write no schema changes"),
    only("converters", &[""], "custom converters are classes of Java; write a module"),
    only("post.processors", &[""], "post-processors are classes of Java; write a module"),
];
