//! Opening a connection: transport, TLS, start-up, authentication. The catalog, the snapshot and
//! the stream all come through here, so they share TLS, channel binding and session settings.

use std::sync::Arc;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use wasmgate_model::{Fault, FaultKind};

use crate::fault::{ServerError, Who, protocol, unavailable};
use crate::session::Session;
use crate::settings::{Settings, SslMode};
use crate::tls;
use crate::wire::{Frame, Wire};

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

/// Opens connections for one source.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    settings: Arc<Settings>,
    tls: Option<Arc<ClientConfig>>,
    pub(crate) who: Who,
}

impl Connector {
    /// Reads the certificates that the settings name.
    pub(crate) fn new(settings: &Arc<Settings>) -> Result<Self, Fault> {
        let who = Who {
            user: settings.user.clone(),
            database: settings.database.clone(),
            slot: settings.slot.clone(),
        };
        Ok(Self { tls: tls::config(settings)?, settings: Arc::clone(settings), who })
    }

    fn address(&self) -> String {
        format!("{}:{}", self.settings.host, self.settings.port)
    }

    /// A connection that is ready for its first command.
    pub(crate) async fn connect(&self, purpose: Purpose) -> Result<Session, Fault> {
        let limit = self.settings.connect_timeout;
        match tokio::time::timeout(limit, self.connect_now(purpose)).await {
            Ok(result) => result,
            Err(_) => Err(Fault::new(
                FaultKind::SourceUnavailable,
                format!(
                    "no answer from {} within {limit:?}; check `host` and `port`",
                    self.address()
                ),
            )),
        }
    }

    async fn connect_now(&self, purpose: Purpose) -> Result<Session, Fault> {
        let (mut wire, binding) = self.transport().await?;
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
        self.authenticate(&mut wire, binding).await?;
        let mut session = Session::new(wire, self.who.clone());
        session.started().await?;
        Ok(session)
    }

    /// The transport, and what SCRAM can be bound to.
    async fn transport(&self) -> Result<(Wire, Option<Vec<u8>>), Fault> {
        let refused = |e| unavailable(format!("cannot connect to {}", self.address()), e);
        let Settings { host, port, sslmode, .. } = &*self.settings;
        if host.starts_with('/') {
            let path = format!("{host}/.s.PGSQL.{port}");
            let socket = UnixStream::connect(path).await.map_err(refused)?;
            return Ok((Wire::new(Box::new(socket)), None));
        }
        let mut tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(refused)?;
        tcp.set_nodelay(true).map_err(refused)?;
        let Some(config) = &self.tls else { return Ok((Wire::new(Box::new(tcp)), None)) };
        // SSLRequest: length 8, code 80877103; the answer is one byte outside the framing.
        tcp.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.map_err(refused)?;
        match tcp.read_u8().await.map_err(refused)? {
            b'S' => {}
            b'N' if *sslmode == SslMode::Prefer => return Ok((Wire::new(Box::new(tcp)), None)),
            b'N' => {
                return Err(Fault::new(
                    FaultKind::SourceRefused,
                    format!(
                        "{} offers no TLS, and `sslmode` asks for it; set ssl = on at the server \
                         or choose sslmode disable",
                        self.address()
                    ),
                ));
            }
            _ => return Err(protocol("no answer to the TLS request: is this a Postgres server?")),
        }
        let name = ServerName::try_from(host.clone())
            .map_err(|e| Fault::new(FaultKind::Config, "`host` is not a name").because(e))?;
        let stream =
            TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map_err(|e| {
                Fault::new(
                    FaultKind::SourceRefused,
                    format!("no TLS with {}; check `sslmode` and `ssl_root_cert`", self.address()),
                )
                .because(e)
            })?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let binding = leaf.and_then(|leaf| tls::end_point(leaf));
        Ok((Wire::new(Box::new(stream)), binding))
    }

    async fn authenticate(&self, wire: &mut Wire, binding: Option<Vec<u8>>) -> Result<(), Fault> {
        let mut scram = None;
        loop {
            let Frame { tag, body } = wire.frame().await?;
            match tag {
                b'E' => return Err(self.who.fault("cannot log in", ServerError::parse(&body))),
                b'N' | b'v' => continue,
                b'R' => {}
                _ => return Err(protocol(format!("message {tag:#x} while logging in"))),
            }
            let Some((code, rest)) = body.split_first_chunk::<4>() else {
                return Err(protocol("an empty authentication message"));
            };
            match u32::from_be_bytes(*code) {
                0 => return Ok(()),
                3 => password_message(wire, self.password()?)?,
                5 => {
                    let salt = rest.first_chunk().ok_or_else(|| protocol("md5 without salt"))?;
                    let user = self.settings.user.as_bytes();
                    let hash = md5_hash(user, self.password()?, *salt);
                    password_message(wire, hash.as_bytes())?;
                }
                10 => scram = Some(start_scram(wire, self.password()?, rest, binding.clone())?),
                11 => {
                    let scram = scram.as_mut().ok_or_else(|| protocol("SASL out of order"))?;
                    scram.update(rest).map_err(scram_failed)?;
                    frontend::sasl_response(scram.message(), &mut wire.output)
                        .map_err(scram_failed)?;
                }
                12 => {
                    let mut scram = scram.take().ok_or_else(|| protocol("SASL out of order"))?;
                    scram.finish(rest).map_err(scram_failed)?;
                    continue;
                }
                other => {
                    return Err(Fault::new(
                        FaultKind::SourceRefused,
                        format!(
                            "the server asks for authentication method {other}, which is not \
                             supported; use scram-sha-256 in pg_hba.conf"
                        ),
                    ));
                }
            }
            wire.send().await?;
        }
    }

    fn password(&self) -> Result<&[u8], Fault> {
        match &self.settings.password {
            Some(password) => Ok(password.expose_secret().as_bytes()),
            None => Err(Fault::new(
                FaultKind::SourceRefused,
                format!(
                    "the server asks user \"{}\" for a password; set `password`",
                    self.who.user
                ),
            )),
        }
    }
}

fn scram_failed(e: std::io::Error) -> Fault {
    protocol("SCRAM: the server does not prove that it knows the password").because(e)
}

fn password_message(wire: &mut Wire, password: &[u8]) -> Result<(), Fault> {
    frontend::password_message(password, &mut wire.output)
        .map_err(|e| Fault::new(FaultKind::Config, "`password` holds a zero byte").because(e))
}

/// Answers the list of mechanisms, with channel binding where both sides can.
fn start_scram(
    wire: &mut Wire,
    password: &[u8],
    mechanisms: &[u8],
    binding: Option<Vec<u8>>,
) -> Result<ScramSha256, Fault> {
    let offered = |name: &[u8]| mechanisms.split(|b| *b == 0).any(|m| m == name);
    let (mechanism, binding) = match binding {
        Some(hash) if offered(b"SCRAM-SHA-256-PLUS") => {
            ("SCRAM-SHA-256-PLUS", ChannelBinding::tls_server_end_point(hash))
        }
        // "we could, but you did not offer": so a man in the middle cannot remove the offer.
        Some(_) => ("SCRAM-SHA-256", ChannelBinding::unrequested()),
        None => ("SCRAM-SHA-256", ChannelBinding::unsupported()),
    };
    if !offered(mechanism.as_bytes()) {
        return Err(protocol("the server offers no SASL mechanism that we know"));
    }
    let scram = ScramSha256::new(password, binding);
    frontend::sasl_initial_response(mechanism, scram.message(), &mut wire.output)
        .map_err(scram_failed)?;
    Ok(scram)
}
