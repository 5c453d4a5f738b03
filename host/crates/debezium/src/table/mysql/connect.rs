//! The connection to a MySQL or MariaDB server, and its log.

use super::super::{Row, Rule, always, ignored, only, required, row};

const SSL_MODES: &[(&str, &str)] = &[
    ("disabled", "disabled"),
    ("preferred", "preferred"),
    ("required", "required"),
    ("verify_ca", "verify_ca"),
    ("verify_identity", "verify_identity"),
];

/// What is said about Java's stores of certificates.
const STORES: &str = "a store of Java; give PEM files: `wasmgate.source.mysql.ssl_root_cert`, \
                      `….ssl_cert`, `….ssl_key`";

pub(super) const ROWS: &[Row] = &[
    required(
        "database.hostname",
        Rule::Text("host"),
        "add \"database.hostname\": the server's name or address",
    ),
    always("database.port", "3306", Rule::Whole("port", 1, 65_535), ""),
    required("database.user", Rule::Text("user"), "add \"database.user\""),
    row("database.password", "", Rule::Secret("password"), ""),
    row("database.server.id", "", Rule::Whole("server_id", 1, 4_294_967_295), ""),
    ignored("database.server.id.offset", "10000", "the number is as it is given"),
    row("database.ssl.mode", "preferred", Rule::Words("ssl_mode", SSL_MODES), ""),
    only("database.ssl.keystore", &[""], STORES),
    only("database.ssl.keystore.password", &[""], STORES),
    only("database.ssl.truststore", &[""], STORES),
    only("database.ssl.truststore.password", &[""], STORES),
    row("connect.timeout.ms", "30000", Rule::Millis("connect_timeout", 100, 300_000), ""),
    ignored("connect.keep.alive", "true", "the server sends heartbeats, and is asked for them"),
    ignored("connect.keep.alive.interval.ms", "60000", "the server sends heartbeats"),
    ignored("use.nongraceful.disconnect", "false", "the socket is closed"),
    only(
        "database.initial.statements",
        &[""],
        "statements at the start of a session; the session sets what records depend on",
    ),
    ignored("database.query.timeout.ms", "600000", "the server's limits count"),
    ignored("database.connection.timeout.ms", "600000", "connections are not pooled"),
    ignored("connection.validation.timeout.ms", "60000", "connections are not pooled"),
    ignored("database.protocol", "jdbc:mysql", "a setting of the JDBC driver"),
    ignored("database.jdbc.driver", "", "a setting of the JDBC driver"),
    ignored("database.*", "", "a setting of the JDBC driver"),
    ignored("driver.*", "", "a setting of the JDBC driver"),
    ignored("schema.history.internal*", "", "the history of schemas is kept in `data_dir`"),
    ignored("binlog.buffer.size", "0", "transactions are told from their events"),
    ignored("binlog.net.read.timeout", "0", "the server's heartbeats tell that it lives"),
    ignored("binlog.net.write.timeout", "0", "the server's heartbeats tell that it lives"),
    row("gtid.source.includes", "", Rule::Patterns("filters.gtid_sources.include"), ""),
    row("gtid.source.excludes", "", Rule::Patterns("filters.gtid_sources.exclude"), ""),
    only(
        "gtid.source.filter.dml.events",
        &["true"],
        "changes of sources that are filtered out are left out; capture all sources instead",
    ),
    ignored("gtid.ignore.on.recovery", "false", "the place in the log is GTIDs where there are"),
    ignored("slot.name", "", "a property of Postgres connectors"),
    ignored("publication.name", "", "a property of Postgres connectors"),
    ignored("plugin.name", "", "a property of Postgres connectors"),
];
