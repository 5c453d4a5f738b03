//! The connection to the database.

use super::{Row, Rule, always, ignored, lacking, only, required, row};

/// libpq's modes.
const SSL_MODES: &[(&str, &str)] = &[
    ("disable", "disable"),
    ("allow", "allow"),
    ("prefer", "prefer"),
    ("require", "require"),
    ("verify-ca", "verify-ca"),
    ("verify-full", "verify-full"),
];

pub(super) const ROWS: &[Row] = &[
    required(
        "database.hostname",
        Rule::Text("host"),
        "add \"database.hostname\": the server's name or address",
    ),
    always("database.port", "5432", Rule::Whole("port", 1, 65_535), ""),
    required("database.user", Rule::Text("user"), "add \"database.user\""),
    row("database.password", "", Rule::Secret("password"), ""),
    required(
        "database.dbname",
        Rule::Text("database"),
        "add \"database.dbname\": the name of the database",
    ),
    always("database.sslmode", "prefer", Rule::Words("sslmode", SSL_MODES), ""),
    row("database.sslrootcert", "", Rule::Text("ssl_root_cert"), ""),
    row("database.sslcert", "", Rule::Text("connection.ssl_cert"), "a PEM file"),
    row(
        "database.sslkey",
        "",
        Rule::Text("connection.ssl_key"),
        "a PEM file; of a DER file of Java's driver `openssl pkey -inform DER` makes one",
    ),
    row("database.sslpassword", "", Rule::Secret("connection.ssl_key_password"), ""),
    lacking(
        "database.sslfactory",
        "",
        "a class of Java: give certificates with `database.sslrootcert`, `database.sslcert` and \
         `database.sslkey`",
    ),
    only(
        "database.initial.statements",
        &[""],
        "statements at the start of a session; put settings at the role instead: \
         `ALTER ROLE … SET …`",
    ),
    row("database.tcpKeepAlive", "true", Rule::Flag("connection.keepalives"), ""),
    ignored("database.query.timeout.ms", "600000", "the server's `statement_timeout` counts"),
    ignored("database.connection.timeout.ms", "600000", "connections are not pooled"),
    ignored("connection.validation.timeout.ms", "60000", "connections are not pooled"),
    ignored("database.server.id", "", "a property of MySQL connectors"),
    ignored("database.include.list", "", "a property of MySQL connectors"),
    ignored("schema.history.internal*", "", "Postgres streams its schemas: no history is kept"),
    ignored("database.*", "", "a setting of the JDBC driver"),
    ignored("driver.*", "", "a setting of the JDBC driver"),
];
