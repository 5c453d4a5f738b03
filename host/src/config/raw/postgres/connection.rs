//! The connection to Postgres beyond host and password, as it is written. The names are libpq's.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::{Secret, Time};

/// The connection beyond host, user and password, in libpq's words.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Connection {
    /// PEM file with our own certificate; needs `ssl_key`. Default `$PGSSLCERT`, else none.
    pub(crate) ssl_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key; only its owner may read it (its group too,
    /// where root owns it). Default `$PGSSLKEY`, else none.
    pub(crate) ssl_key: Option<PathBuf>,
    /// Opens an encrypted `ssl_key` (PKCS #8, PBES2 with AES). Default none. Write `${env:NAME}` or
    /// `${file:PATH}`.
    pub(crate) ssl_key_password: Option<Secret>,
    /// PEM file with revocation lists, one for every authority of the chain; looked at where the
    /// server's certificate is verified. Default `$PGSSLCRL`, else none.
    pub(crate) ssl_crl: Option<PathBuf>,
    /// Oldest TLS that is spoken. Default `TLSv1.2`.
    pub(crate) ssl_min_protocol_version: Protocol,
    /// How TLS begins. Default `postgres`.
    pub(crate) ssl_negotiation: Negotiation,
    /// Whether a login is tied to the TLS connection that it is made on (SCRAM). Default
    /// `$PGCHANNELBINDING`, else `prefer`.
    pub(crate) channel_binding: ChannelBinding,
    /// Methods of authentication that the server may ask for. Default any that is known.
    pub(crate) require_auth: Vec<Method>,
    /// Password file of libpq (`host:port:database:user:password`), looked at when the server asks
    /// for a password and `password` is not set; only its owner may read it. Default
    /// `$PGPASSFILE`, else `~/.pgpass`.
    pub(crate) passfile: Option<PathBuf>,
    /// TCP keep-alive. Default true.
    pub(crate) keepalives: bool,
    /// Silence before the first probe. Default `10s`, from `1s` to `2h`.
    pub(crate) keepalives_idle: Time,
    /// Pause between probes. Default `5s`, from `1s` to `10m`.
    pub(crate) keepalives_interval: Time,
    /// Probes without an answer that end the connection. Default 3, from 1 to 100.
    pub(crate) keepalives_count: u32,
    /// What we sent and nobody acknowledged for so long ends the connection; `0s` leaves it to the
    /// system. Default `30s`, up to `1h`.
    pub(crate) tcp_user_timeout: Time,
    /// Further hosts as `host:port` (port 5432 if not given), tried in order where `host` does not
    /// answer or is not as `target_session_attrs` says. Default none.
    pub(crate) further_hosts: Vec<String>,
    /// Which of the hosts is taken. Default `$PGTARGETSESSIONATTRS`, else `any`.
    pub(crate) target_session_attrs: Target,
    /// SQL to run on every connection but that of the stream, once it is open. Default none.
    pub(crate) initial_statements: Vec<String>,
}

impl Default for Connection {
    fn default() -> Self {
        let seconds = |s| Time(std::time::Duration::from_secs(s));
        Self {
            ssl_cert: None,
            ssl_key: None,
            ssl_key_password: None,
            ssl_crl: None,
            ssl_min_protocol_version: Protocol::default(),
            ssl_negotiation: Negotiation::default(),
            channel_binding: ChannelBinding::default(),
            require_auth: Vec::new(),
            passfile: None,
            keepalives: true,
            keepalives_idle: seconds(10),
            keepalives_interval: seconds(5),
            keepalives_count: 3,
            tcp_user_timeout: seconds(30),
            further_hosts: Vec::new(),
            target_session_attrs: Target::default(),
            initial_statements: Vec::new(),
        }
    }
}

/// Oldest TLS that is spoken.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub(crate) enum Protocol {
    #[default]
    #[serde(rename = "TLSv1.2")]
    Tls12,
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Negotiation {
    /// The server is asked first.
    #[default]
    Postgres,
    /// At once (PostgreSQL 17 and later); needs `sslmode: require` or stronger.
    Direct,
}

/// Whether a login is tied to its TLS connection.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChannelBinding {
    /// Never.
    Disable,
    /// Where both sides can.
    #[default]
    Prefer,
    /// Or there is no login.
    Require,
}

/// How a server lets somebody in.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// Without a password: `trust`, a client certificate.
    None,
    /// The password in plain text.
    Password,
    /// The password hashed with MD5.
    Md5,
    /// SCRAM, which shows the password to nobody.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
}

/// Which of several hosts is taken.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    /// The first that answers.
    #[default]
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that takes none.
    ReadOnly,
    /// One that is no standby.
    Primary,
    /// A standby (logical decoding on one takes PostgreSQL 16).
    Standby,
    /// A standby, else any.
    PreferStandby,
}
