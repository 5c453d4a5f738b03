//! Connections: options, TLS in the client's five modes, and the settings every session needs.

use std::sync::Arc;

use mysql_async::prelude::Queryable as _;
use mysql_async::{ClientIdentity, Conn, DriverError, Error, OptsBuilder, Row, SslOpts, Value};
use secrecy::ExposeSecret as _;
use wasmgate_model::{Fault, FaultKind};

use crate::fault::Who;
use crate::settings::{Settings, SslMode};

/// Text as UTF-8, times in UTC, modes that change no value, no limit on how long we may be slow.
const SETUP: &str = "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = '', \
     net_write_timeout = 31536000, wait_timeout = 31536000";

/// The protocol's largest packet (the server's `replica_max_allowed_packet` by default).
const PACKET_MAX: usize = 1 << 30;

/// Makes connections.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    settings: Arc<Settings>,
    pub who: Who,
}

impl Connector {
    pub(crate) fn new(settings: &Arc<Settings>) -> Self {
        let who = Who { user: settings.user.clone(), server_id: settings.reader_id() };
        Self { settings: Arc::clone(settings), who }
    }

    /// A connection that is ready for questions.
    pub(crate) async fn connect(&self) -> Result<Session, Fault> {
        let timeout = self.settings.connect_timeout;
        let connected = tokio::time::timeout(timeout, Box::pin(self.try_connect())).await;
        let mut conn = match connected {
            Ok(conn) => conn.map_err(|e| self.who.fault(&self.doing(), e))?,
            Err(_) => {
                let what = format!("{}: no answer within {timeout:?}", self.doing());
                return Err(Fault::new(FaultKind::SourceUnavailable, what));
            }
        };
        let set = conn.query_drop(SETUP).await;
        set.map_err(|e| self.who.fault("cannot set up the session", e))?;
        Ok(Session { conn, who: self.who.clone() })
    }

    fn doing(&self) -> String {
        format!("cannot connect to {}:{}", self.settings.host, self.settings.port)
    }

    async fn try_connect(&self) -> Result<Conn, Error> {
        match Conn::new(self.options(self.settings.ssl_mode)).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer))
                if self.settings.ssl_mode == SslMode::Preferred =>
            {
                Conn::new(self.options(SslMode::Disabled)).await
            }
            other => other,
        }
    }

    fn options(&self, mode: SslMode) -> OptsBuilder {
        let settings = &self.settings;
        let mut options = OptsBuilder::default()
            .ip_or_hostname(settings.host.clone())
            .tcp_port(settings.port)
            .user(Some(settings.user.clone()))
            .pass(settings.password.as_ref().map(|p| p.expose_secret().to_owned()))
            .tcp_keepalive(Some(std::time::Duration::from_secs(30)))
            // A socket of the same machine would be another server's where ports are forwarded.
            .prefer_socket(Some(false))
            .stmt_cache_size(Some(0))
            // A replica takes events beyond the server's own bound for statements.
            .max_allowed_packet(Some(PACKET_MAX));
        if mode != SslMode::Disabled {
            let loose = matches!(mode, SslMode::Preferred | SslMode::Required);
            let mut tls = SslOpts::default()
                .with_danger_accept_invalid_certs(loose)
                .with_danger_skip_domain_validation(mode != SslMode::VerifyIdentity);
            if let Some(path) = settings.ssl_root_cert.as_ref().filter(|_| !loose) {
                tls = tls.with_root_certs(vec![path.clone().into()]);
                tls = tls.with_disable_built_in_roots(true);
            }
            if let Some((certificate, key)) = &settings.ssl_client {
                let identity = ClientIdentity::new(certificate.clone().into(), key.clone().into());
                tls = tls.with_client_identity(Some(identity));
            }
            options = options.ssl_opts(tls);
        }
        options
    }
}

/// A connection for questions.
pub(crate) struct Session {
    pub conn: Conn,
    pub who: Who,
}

/// A row as texts; `None`: null.
pub(crate) type Texts = Vec<Option<String>>;

impl Session {
    /// Asks in the text protocol.
    pub(crate) async fn query(&mut self, doing: &str, sql: &str) -> Result<Vec<Texts>, Fault> {
        let rows: Result<Vec<Row>, Error> = self.conn.query(sql).await;
        let rows = rows.map_err(|e| self.who.fault(doing, e))?;
        Ok(rows.into_iter().map(texts).collect())
    }

    /// The first row, where there is one.
    pub(crate) async fn first(&mut self, doing: &str, sql: &str) -> Result<Option<Texts>, Fault> {
        Ok(self.query(doing, sql).await?.into_iter().next())
    }

    /// A statement without an answer.
    pub(crate) async fn run(&mut self, doing: &str, sql: &str) -> Result<(), Fault> {
        self.conn.query_drop(sql).await.map_err(|e| self.who.fault(doing, e))
    }
}

fn texts(row: Row) -> Texts {
    let text = |value| match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::Int(n) => Some(n.to_string()),
        Value::UInt(n) => Some(n.to_string()),
        other => Some(other.as_sql(true)),
    };
    row.unwrap().into_iter().map(text).collect()
}

/// The text of column `i`; empty when null or out of range.
pub(crate) fn text(row: &Texts, i: usize) -> &str {
    row.get(i).and_then(Option::as_deref).unwrap_or("")
}

/// An SQL identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// An SQL string.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
