//! Which tables of MySQL and MariaDB, and what their records look like.

use super::super::{Row, Rule, always, ignored, only, prefers, required, row};
use crate::columns;
use crate::filters;

const DECIMALS: &[(&str, &str)] =
    &[("precise", "precise"), ("double", "double"), ("string", "string")];

const TIMES: &[(&str, &str)] = &[
    ("adaptive_time_microseconds", "adaptive_time_microseconds"),
    ("connect", "connect"),
    ("isostring", "isostring"),
    ("microseconds", "microseconds"),
    ("nanoseconds", "nanoseconds"),
];

const BINARIES: &[(&str, &str)] = &[
    ("bytes", "base64"),
    ("base64", "base64"),
    ("base64-url-safe", "base64_url_safe"),
    ("hex", "hex"),
];

const UNSIGNED: &[(&str, &str)] = &[("long", "long"), ("precise", "precise")];

pub(super) const ROWS: &[Row] = &[
    required(
        "topic.prefix",
        Rule::Text("topic_prefix"),
        "add \"topic.prefix\": the first part of topic names (`database.server.name` of old)",
    ),
    row("database.include.list", "", Rule::Patterns("filters.databases.include"), ""),
    row("database.exclude.list", "", Rule::Patterns("filters.databases.exclude"), ""),
    row("table.include.list", "", Rule::Patterns("filters.tables.include"), ""),
    row("table.exclude.list", "", Rule::Patterns("filters.tables.exclude"), ""),
    ignored("table.ignore.builtin", "true", "the system's tables are never captured"),
    row("column.include.list", "", Rule::Patterns("columns.filter.include"), ""),
    row("column.exclude.list", "", Rule::Patterns("columns.filter.exclude"), ""),
    row("column.mask.*", "", Rule::Own(columns::masked), "`columns.masks`"),
    row("column.truncate.*", "", Rule::Own(columns::masked), "`columns.masks`"),
    row("message.key.columns", "", Rule::Own(columns::keys), "`columns.keys`"),
    prefers("column.propagate.source.type", &[""], "parameters of schemas are left out"),
    prefers("datatype.propagate.source.type", &[""], "parameters of schemas are left out"),
    row("decimal.handling.mode", "precise", Rule::Words("decimals", DECIMALS), ""),
    row("time.precision.mode", "adaptive_time_microseconds", Rule::Words("times", TIMES), ""),
    row("binary.handling.mode", "bytes", Rule::Words("binaries", BINARIES), ""),
    row("bigint.unsigned.handling.mode", "long", Rule::Words("bigint_unsigned", UNSIGNED), ""),
    row("enable.time.adjuster", "true", Rule::Flag("adjust_years"), ""),
    row("tombstones.on.delete", "true", Rule::Flag("tombstones_on_delete"), ""),
    row(
        "skipped.operations",
        "t",
        Rule::Own(filters::truncates),
        "`skip_truncate`: `t` or `none`; others are refused",
    ),
    only("skip.messages.without.change", &["false"], "every change gives a record"),
    row("provide.transaction.metadata", "false", Rule::Flag("transaction_blocks"), ""),
    ignored("transaction.metadata.factory", "", "a class of Java"),
    row("include.query", "false", Rule::Flag("include_query"), ""),
    always(
        "include.schema.changes",
        "true",
        Rule::Flag("events.include_schema_changes"),
        "records on the topic that `topic.prefix` names",
    ),
    row(
        "include.schema.comments",
        "false",
        Rule::Flag("events.include_schema_comments"),
        "in records of schema changes",
    ),
    prefers("extended.headers.enabled", &["false"], "headers of the context are not written"),
    only("topic.delimiter", &["."], "parts of topics are parted by dots"),
    ignored("topic.cache.size", "10000", "names of topics are made once per table"),
    only(
        "topic.naming.strategy",
        &["io.debezium.schema.DefaultTopicNamingStrategy"],
        "a class of Java; the module `route` renames topics",
    ),
    row(
        "topic.heartbeat.prefix",
        "__debezium-heartbeat",
        Rule::Text("events.heartbeat_topic_prefix"),
        "",
    ),
    only("topic.heartbeat.name", &[""], "the module `route` renames topics"),
    only("topic.transaction", &["transaction"], "the module `route` renames topics"),
    only("schema.name.adjustment.mode", &["none"], "names are those of the tables"),
    only("field.name.adjustment.mode", &["none"], "names of fields are those of the columns"),
    ignored("sourceinfo.struct.maker", "", "a class of Java"),
    only(
        "inconsistent.schema.handling.mode",
        &["fail", "warn"],
        "a table that does not fit its schema stops the pipeline; no record is dropped",
    ),
    ignored("ddl.parser.type", "default", "schemas come with the log, or from the catalog"),
    ignored("resolve.create.table.like.schema", "false", "schemas come from the catalog"),
    only("converters", &[""], "custom converters are classes of Java; write a module"),
    only("post.processors", &[""], "post-processors are classes of Java; write a module"),
];
