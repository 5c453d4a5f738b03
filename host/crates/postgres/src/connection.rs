//! What can be said about the connection beyond host, user and password: certificates, methods of
//! authentication, keep-alive, further hosts. Names and meaning are libpq's.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Settings of the connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// PEM file with our certificate, and what leads to its root; needs `ssl_key`.
    pub ssl_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key, readable by its owner alone.
    pub ssl_key: Option<PathBuf>,
    /// Opens an encrypted `ssl_key`.
    pub ssl_key_password: Option<SecretString>,
    /// PEM file with revocation lists; looked at where the server's certificate is verified.
    pub ssl_crl: Option<PathBuf>,
    pub ssl_min_protocol: Protocol,
    pub ssl_negotiation: Negotiation,
    pub channel_binding: ChannelBinding,
    /// Methods that the server may ask for; empty: any that is known.
    pub require_auth: Vec<Method>,
    /// Where a password is looked up when the server asks for one and none is set.
    pub passfile: Option<PathBuf>,
    /// TCP keep-alive; `None`: off.
    pub keepalive: Option<KeepAlive>,
    /// Bytes that the server's system did not acknowledge for so long end the connection.
    pub tcp_user_timeout: Duration,
    /// Tried in order where the first does not answer, or is not as `target` says.
    pub further_hosts: Vec<(String, u16)>,
    pub target: Target,
    /// Run on every connection but that of the stream, once it is open.
    pub initial_statements: Vec<String>,
}

/// A connection that is silent for `idle` is probed every `interval`, `count` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    pub idle: Duration,
    pub interval: Duration,
    pub count: u32,
}

/// Oldest TLS that is spoken; libpq's `ssl_min_protocol_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    #[default]
    Tls12,
    Tls13,
}

/// How TLS begins; libpq's `sslnegotiation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Negotiation {
    /// The server is asked first.
    #[default]
    Postgres,
    /// At once (PostgreSQL 17 and later).
    Direct,
}

/// Whether a login is tied to the TLS connection that it is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelBinding {
    Disable,
    /// Where both sides can.
    #[default]
    Prefer,
    /// Or there is no login.
    Require,
}

/// How a server lets somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without asking for anything.
    None,
    /// Password in plain text.
    Password,
    Md5,
    ScramSha256,
}

impl Method {
    /// As it is written in libpq's `require_auth`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password => "password",
            Self::Md5 => "md5",
            Self::ScramSha256 => "scram-sha-256",
        }
    }
}

/// Which of several hosts is taken; libpq's `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// The first that answers.
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    /// A standby, or, where there is none, any.
    PreferStandby,
}

impl Default for KeepAlive {
    fn default() -> Self {
        let (idle, interval) = (Duration::from_secs(10), Duration::from_secs(5));
        Self { idle, interval, count: 3 }
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            ssl_cert: None,
            ssl_key: None,
            ssl_key_password: None,
            ssl_crl: None,
            ssl_min_protocol: Protocol::default(),
            ssl_negotiation: Negotiation::default(),
            channel_binding: ChannelBinding::default(),
            require_auth: Vec::new(),
            passfile: None,
            keepalive: Some(KeepAlive::default()),
            tcp_user_timeout: Duration::from_secs(30),
            further_hosts: Vec::new(),
            target: Target::default(),
            initial_statements: Vec::new(),
        }
    }
}
