//! The transport under a connection: TCP with keep-alive, a Unix socket, TLS.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use wasmgate_model::{Fault, FaultKind};

use crate::connect::Failed;
use crate::connection::{Connection, Negotiation};
use crate::fault::{protocol, unavailable};
use crate::resting::Resting;
use crate::settings::{Settings, SslMode};
use crate::tls::{self, ALPN, Tls};
use crate::wire::Wire;

/// Where a server is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'a> {
    pub name: &'a str,
    pub port: u16,
}

impl Host<'_> {
    /// Whether it is the folder of a Unix socket.
    pub(crate) fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// What is wanted of the transport.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Encryption<'t> {
    Plain,
    Tls(&'t Tls),
}

/// Who is at the other end, for the login.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// Unknown: plain text.
    Plain,
    /// TLS, and what a login can be bound to, where the certificate allows it.
    Tls(Option<Vec<u8>>),
}

/// An open transport.
pub(crate) struct Opened {
    pub wire: Wire,
    pub peer: Peer,
}

/// Opens the transport. A server that offers no TLS is taken as it is under `prefer` only.
pub(crate) async fn open(
    host: &Host<'_>,
    settings: &Settings,
    encryption: Encryption<'_>,
    said: &AtomicBool,
) -> Result<Opened, Failed> {
    let refused = |e| unavailable(format!("cannot connect to {host}"), e);
    let plain = |wire| Ok(Opened { wire, peer: Peer::Plain });
    if host.is_socket() {
        let path = format!("{}/.s.PGSQL.{}", host.name, host.port);
        let socket = UnixStream::connect(path).await.map_err(refused)?;
        return plain(Wire::new(Box::new(Resting::new(socket))));
    }
    let mut tcp = TcpStream::connect((host.name, host.port)).await.map_err(refused)?;
    tcp.set_nodelay(true).map_err(refused)?;
    watch(&tcp, &settings.connection).map_err(refused)?;
    let Encryption::Tls(tls) = encryption else {
        return plain(Wire::new(Box::new(Resting::new(tcp))));
    };
    if settings.connection.ssl_negotiation == Negotiation::Postgres {
        // SSLRequest: length 8, code 80877103; the answer is one byte outside the framing. Exactly
        // one is read: what somebody put behind it is not taken for the server's word.
        tcp.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.map_err(refused)?;
        match tcp.read_u8().await.map_err(refused)? {
            b'S' => {}
            b'N' if settings.sslmode == SslMode::Prefer => {
                if !said.swap(true, Ordering::Relaxed) {
                    let host = host.to_string();
                    tracing::warn!(host, "the server offers no TLS: the connection is plain text");
                }
                return plain(Wire::new(Box::new(Resting::new(tcp))));
            }
            b'N' => return Err(Failed::Tls(offers_none(host))),
            _ => {
                let what = "no answer to the TLS request: is this a Postgres server?";
                return Err(protocol(what).into());
            }
        }
    }
    let name = ServerName::try_from(host.name.to_owned())
        .map_err(|e| Fault::new(FaultKind::Config, "`host` is not a name").because(e))?;
    let agreed = TlsConnector::from(tls.config()).connect(name, Resting::new(tcp)).await;
    let stream = agreed.map_err(|e| tls::refused(host, e))?;
    let session = stream.get_ref().1;
    if settings.connection.ssl_negotiation == Negotiation::Direct
        && session.alpn_protocol() != Some(ALPN)
    {
        let what = format!("{host} does not speak `ssl_negotiation: direct`; choose `postgres`");
        return Err(Failed::Tls(Fault::new(FaultKind::SourceRefused, what)));
    }
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let binding = leaf.and_then(|leaf| tls::end_point(leaf));
    Ok(Opened { wire: Wire::new(Box::new(stream)), peer: Peer::Tls(binding) })
}

fn offers_none(host: &Host<'_>) -> Fault {
    Fault::new(
        FaultKind::SourceRefused,
        format!(
            "{host} offers no TLS, and `sslmode` asks for it; set ssl = on at the server or \
             choose sslmode disable"
        ),
    )
}

/// A peer that is gone is noticed while we wait (keep-alive) and while we send (user timeout).
fn watch(tcp: &TcpStream, connection: &Connection) -> std::io::Result<()> {
    let socket = SockRef::from(tcp);
    if let Some(every) = connection.keepalive {
        let probes = TcpKeepalive::new().with_time(every.idle).with_interval(every.interval);
        socket.set_tcp_keepalive(&probes.with_retries(every.count))?;
    }
    if connection.tcp_user_timeout.is_zero() {
        return Ok(());
    }
    socket.set_tcp_user_timeout(Some(connection.tcp_user_timeout))
}
