//! Which tables of MySQL and MariaDB, and what their records look like.

use super::super::{Row, Rule, ignored, only, prefers, required, row};
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
    row(
        "database.include.list",
        "",
        Rule::Own(filters::databases),
        "`databases`: names; patterns are refused",
    ),
    only("database.exclude.list", &[""], "databases are chosen by `database.include.list`"),
    row(
        "table.include.list",
        "",
        Rule::Own(filters::named_tables),
        "`tables`: names; patterns are refused",
    ),
    only("table.exclude.list", &[""], "tables are chosen by `table.include.list`"),
    ignored("table.ignore.builtin", "true", "the system's tables are never captured"),
    only("column.include.list", &[""], "every column is captured"),
    only("column.exclude.list", &[""], "every column is captured"),
    only("column.mask.*", &[""], "columns are written as they are; mask in a module"),
    only("column.truncate.*", &[""], "columns are written as they are; cut in a module"),
    only("message.key.columns", &[""], "keys are those of the tables"),
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
    prefers(
        "include.schema.changes",
        &["false"],
        "records of schema changes are not written; those of tables are the same",
    ),
    ignored("include.schema.comments", "false", "counts in records of schema changes"),
    prefers("extended.headers.enabled", &["false"], "headers of the context are not written"),
    only("topic.delimiter", &["."], "parts of topics are parted by dots"),
    ignored("topic.cache.size", "10000", "names of topics are made once per table"),
    only(
        "topic.naming.strategy",
        &["io.debezium.schema.DefaultTopicNamingStrategy"],
        "a class of Java; the module `route` renames topics",
    ),
    ignored("topic.heartbeat.*", "", "no heartbeat records"),
    only("topic.transaction", &["transaction"], "the module `route` renames topics"),
    only("schema.name.adjustment.mode", &["none"], "names are those of the tables"),
    only("field.name.adjustment.mode", &["none"], "names of fields are those of the columns"),
    ignored("sourceinfo.struct.maker", "", "a class of Java"),
    only(
        "inconsistent.schema.handling.mode",
        &["fail"],
        "a table that does not fit its schema stops the pipeline; no record is dropped",
    ),
    ignored("ddl.parser.type", "default", "schemas come with the log, or from the catalog"),
    ignored("resolve.create.table.like.schema", "false", "schemas come from the catalog"),
    only("converters", &[""], "custom converters are classes of Java; write a module"),
    only("post.processors", &[""], "post-processors are classes of Java; write a module"),
];
