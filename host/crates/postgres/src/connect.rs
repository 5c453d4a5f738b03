//! Opening a connection: which host, with or without TLS, start-up, login. The catalog, the
//! snapshot and the stream all come through here, so they share TLS, channel binding and session
//! settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use postgres_protocol::message::frontend;
use wasmgate_model::{Fault, FaultKind, Retry};

use crate::auth::Login;
use crate::connection::Target;
use crate::fault::{Who, protocol};
use crate::session::{Session, text};
use crate::settings::{Settings, SslMode};
use crate::tls::Tls;
use crate::transport::{self, Encryption, Host, Opened};

/// pgoutput's text follows the session's settings; these win over those of role and database.
const SESSION: &str = "-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres \
     -c bytea_output=hex -c extra_float_digits=3 -c lc_monetary=C -c statement_timeout=0 \
     -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 \
     -c default_transaction_read_only=off";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// SQL.
    Query,
    /// Replication commands and SQL.
    Replication,
}

/// Why a connection did not come about; what may be tried next depends on it.
pub(crate) enum Failed {
    /// The server answered with an error before the login was through: SQLSTATE, fault.
    Answered(String, Fault),
    /// No TLS could be agreed on.
    Tls(Fault),
    /// Anything else: trying with other encryption is of no use.
    Other(Fault),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

/// Opens connections for one source.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    settings: Arc<Settings>,
    tls: Option<Tls>,
    pub(crate) who: Who,
    /// That TLS was wanted and is not had is said once.
    said: Arc<AtomicBool>,
}

impl Connector {
    /// Reads the certificates that the settings name.
    pub(crate) fn new(settings: &Arc<Settings>) -> Result<Self, Fault> {
        let who = Who {
            user: settings.user.clone(),
            database: settings.database.clone(),
            slot: settings.slot.clone(),
        };
        let said = Arc::default();
        Ok(Self { tls: Tls::new(settings)?, settings: Arc::clone(settings), who, said })
    }

    /// A connection that is ready for its first command: to the first host that answers and is as
    /// it should be.
    pub(crate) async fn connect(&self, purpose: Purpose) -> Result<Session, Fault> {
        match self.first_of_hosts(purpose, self.settings.connection.target).await {
            Err(fault)
                if self.settings.connection.target == Target::PreferStandby
                    && fault.retry() == Retry::Timed =>
            {
                self.first_of_hosts(purpose, Target::Any).await
            }
            done => done,
        }
    }

    async fn first_of_hosts(&self, purpose: Purpose, target: Target) -> Result<Session, Fault> {
        let first = Host { name: &self.settings.host, port: self.settings.port };
        let further = self.settings.connection.further_hosts.iter();
        let further = further.map(|(name, port)| Host { name, port: *port });
        let mut failed: Option<Fault> = None;
        for host in std::iter::once(first).chain(further) {
            let fault = match self.to(&host, purpose, target).await {
                Ok(session) => return Ok(session),
                // One that answers and refuses is the right one, as for libpq.
                Err(fault) if fault.retry() != Retry::Timed => return Err(fault),
                Err(fault) => fault,
            };
            failed = Some(match failed {
                None => fault,
                Some(first) => {
                    let both = format!("{}; {}", first.chain(), fault.chain());
                    Fault::new(FaultKind::SourceUnavailable, both)
                }
            });
        }
        Err(failed.unwrap_or_else(|| Fault::new(FaultKind::Config, "`host` is empty")))
    }

    async fn to(
        &self,
        host: &Host<'_>,
        purpose: Purpose,
        target: Target,
    ) -> Result<Session, Fault> {
        let limit = self.settings.connect_timeout;
        let opening = async {
            let mut session = self.by_mode(host, purpose).await?;
            suits(&mut session, host, target).await?;
            Ok(session)
        };
        match tokio::time::timeout(limit, Box::pin(opening)).await {
            Ok(result) => result,
            Err(_) => Err(Fault::new(
                FaultKind::SourceUnavailable,
                format!("no answer from {host} within {limit:?}; check `host` and `port`"),
            )),
        }
    }

    /// `allow` and `prefer` are the only modes with a second try, and as with libpq it follows
    /// whatever kept the server from letting us in the first way.
    async fn by_mode(&self, host: &Host<'_>, purpose: Purpose) -> Result<Session, Fault> {
        let tls = || self.tls.as_ref().map_or(Encryption::Plain, Encryption::Tls);
        let (first, second) = match self.settings.sslmode {
            _ if host.is_socket() => (Encryption::Plain, None),
            SslMode::Disable => (Encryption::Plain, None),
            SslMode::Allow => (Encryption::Plain, Some(tls())),
            SslMode::Prefer => (tls(), Some(Encryption::Plain)),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (tls(), None),
        };
        let (code, fault) = match (self.attempt(host, purpose, first).await, second) {
            (Ok(session), _) => return Ok(session),
            (Err(Failed::Other(fault)), _) => return Err(fault),
            (Err(Failed::Answered(_, fault) | Failed::Tls(fault)), None) => return Err(fault),
            (Err(Failed::Answered(code, fault)), Some(_)) => (code, fault),
            (Err(Failed::Tls(fault)), Some(_)) => (String::new(), fault),
        };
        let Some(second) = second else { return Err(fault) };
        if matches!(second, Encryption::Plain) && !self.said.swap(true, Ordering::Relaxed) {
            let reason = fault.chain();
            tracing::warn!(reason, "no TLS: tried in plain text, as `sslmode: prefer` says");
        }
        match self.attempt(host, purpose, second).await {
            Ok(session) => Ok(session),
            Err(Failed::Other(other)) => Err(other),
            // "no entry in pg_hba.conf" tells less than what the other way met.
            Err(Failed::Answered(second, _)) if second == "28000" && code != "28000" => Err(fault),
            Err(Failed::Answered(_, other)) => Err(other),
            Err(Failed::Tls(_)) => Err(fault),
        }
    }

    async fn attempt(
        &self,
        host: &Host<'_>,
        purpose: Purpose,
        encryption: Encryption<'_>,
    ) -> Result<Session, Failed> {
        let Opened { mut wire, peer } =
            transport::open(host, &self.settings, encryption, &self.said).await?;
        let replication = (purpose == Purpose::Replication).then_some(("replication", "database"));
        let parameters = [
            ("user", self.settings.user.as_str()),
            ("database", self.settings.database.as_str()),
            ("application_name", "wasmgate"),
            ("client_encoding", "UTF8"),
            ("options", SESSION),
        ];
        frontend::startup_message(parameters.into_iter().chain(replication), &mut wire.output)
            .map_err(|e| {
                Fault::new(FaultKind::Config, "`user` or `database` is not valid").because(e)
            })?;
        wire.send().await?;
        Login::new(&self.settings, &self.who, host, peer).run(&mut wire).await?;
        let mut session = Session::new(wire, self.who.clone());
        session.started().await?;
        if purpose == Purpose::Query {
            for (i, sql) in self.settings.connection.initial_statements.iter().enumerate() {
                let doing = format!("cannot run `connection.initial_statements[{i}]`");
                session.query(&doing, sql).await?;
            }
        }
        Ok(session)
    }
}

/// Whether a server is of the kind that is wanted.
async fn suits(session: &mut Session, host: &Host<'_>, target: Target) -> Result<(), Fault> {
    if target == Target::Any {
        return Ok(());
    }
    let sql = "SELECT pg_catalog.pg_is_in_recovery(), \
               pg_catalog.pg_is_in_recovery() OR \
               pg_catalog.current_setting('transaction_read_only')::bool";
    let rows = session.query("cannot ask whether it is a standby", sql).await?;
    let row = rows.first().ok_or_else(|| protocol("no answer"))?;
    let (standby, read_only) = (text(row, 0) == "t", text(row, 1) == "t");
    let (fits, what) = match target {
        Target::Any => (true, ""),
        Target::ReadWrite => (!read_only, "takes no writes"),
        Target::ReadOnly => (read_only, "takes writes"),
        Target::Primary => (!standby, "is a standby"),
        Target::Standby | Target::PreferStandby => (standby, "is not a standby"),
    };
    if fits {
        return Ok(());
    }
    let message = format!("{host} {what}, which `connection.target_session_attrs` asks for");
    Err(Fault::new(FaultKind::SourceUnavailable, message))
}
