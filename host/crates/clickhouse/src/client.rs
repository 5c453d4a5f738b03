//! Requests to the servers: the official client's transport, one client per host, the next host
//! when one does not answer.
//!
//! The client compresses in ClickHouse's own frames and tells exceptions by their text, code
//! included. Certificates and the bound on connecting are ours: the connector is made here.

mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clickhouse::error::Error;
use clickhouse::insert_formatted::CompressedData;
use clickhouse::{Client, Compression as Frames};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use secrecy::ExposeSecret;
use tokio::sync::mpsc;
use wasmgate_model::{Fault, FaultKind};

use crate::error::ServerError;
use crate::settings::{Compression, SinkSettings, is_local};

/// Idle connections are closed before the server does it (3 s by default).
const IDLE: Duration = Duration::from_secs(2);
/// Plain bytes of one compressed frame: what the server takes at once.
const FRAME: usize = 1 << 20;

/// The body of an insert, as it goes over the wire.
pub(crate) enum Body {
    Plain(Arc<[Bytes]>),
    /// So many frames, the first ones perhaps before the last are made.
    Frames(usize, mpsc::UnboundedReceiver<Result<CompressedData, Error>>),
}

/// All servers of a sink.
pub(crate) struct Hosts {
    /// (address, client).
    clients: Vec<(String, Client)>,
    /// The one that answered last.
    current: AtomicUsize,
    frames: Frames,
    timeout: Duration,
}

impl Hosts {
    /// Clients for every host; nothing is connected yet.
    ///
    /// # Errors
    /// The certificates cannot be read.
    pub(crate) fn new(settings: &SinkSettings) -> Result<Self, Fault> {
        let connector = tls::connector(settings)?;
        let mut http = HyperClient::builder(TokioExecutor::new());
        http.pool_idle_timeout(IDLE);
        let frames = frames(settings.compression, &settings.hosts);
        let client = |host: &String| {
            let http = http.build(connector.clone());
            let mut client = Client::with_http_client(http)
                .with_url(host.clone())
                .with_compression(Frames::None)
                .with_product_info("wasmgate", env!("CARGO_PKG_VERSION"));
            if let Some(token) = &settings.token {
                client = client.with_access_token(token.expose_secret());
            }
            if let Some(user) = &settings.user {
                client = client.with_user(user);
            }
            if let Some(password) = &settings.password {
                client = client.with_password(password.expose_secret());
            }
            (host.clone(), client)
        };
        Ok(Self {
            clients: settings.hosts.iter().map(client).collect(),
            current: AtomicUsize::new(0),
            frames,
            timeout: settings.timeout,
        })
    }

    fn pick(&self) -> Option<(usize, &(String, Client))> {
        let at = self.current.load(Ordering::Relaxed) % self.clients.len().max(1);
        self.clients.get(at).map(|client| (at, client))
    }

    /// The next request goes to the next host, unless somebody else moved on already.
    fn move_on(&self, from: usize) {
        let next = (from + 1) % self.clients.len().max(1);
        let order = Ordering::Relaxed;
        if self.current.compare_exchange(from, next, order, order).is_ok() && next != from {
            tracing::warn!(
                host = self.clients.get(next).map(|c| c.0.as_str()),
                "trying the next host"
            );
        }
    }

    /// The address that requests go to now.
    pub(crate) fn address(&self) -> &str {
        self.pick().map_or("", |(_, (address, _))| address)
    }

    /// Runs `work` against the current host, and the others in turn while none answers.
    async fn anywhere<T, W>(&self, work: impl Fn(&Client) -> W) -> Result<T, ServerError>
    where
        W: Future<Output = Result<T, Error>>,
    {
        let mut last = None;
        for _ in 0..self.clients.len().max(1) {
            let Some((at, (address, client))) = self.pick() else { break };
            match tokio::time::timeout(self.timeout, work(client)).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(Error::BadResponse(text))) => return Err(ServerError::answered(&text)),
                Ok(Err(error)) => {
                    last = Some(ServerError::unreachable(format!("{address}: {}", chain(&error))));
                }
                Err(_) => {
                    let seconds = self.timeout.as_secs_f64();
                    let message = format!("{address}: no answer within {seconds} s");
                    last = Some(ServerError::unreachable(message));
                }
            }
            self.move_on(at);
        }
        Err(last.unwrap_or_else(|| ServerError::unreachable("no host is configured".to_owned())))
    }

    /// Runs a statement that answers nothing.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), ServerError> {
        self.anywhere(|client| client.query_raw(sql).execute()).await
    }

    /// Runs a query; every row as an object.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<serde_json::Value>, ServerError> {
        let bytes = self
            .anywhere(|client| {
                let answer = client.query_raw(sql).fetch_bytes("JSONEachRow");
                async move { answer?.collect().await }
            })
            .await?;
        let text = String::from_utf8_lossy(&bytes);
        let rows = text.lines().map(serde_json::from_str).collect::<Result<Vec<_>, _>>();
        rows.map_err(|error| ServerError::answered(&format!("not JSON: {error}")))
    }

    /// A block as the body of an insert, told as soon as its first frame is made. Compressing takes
    /// its time: not for async threads.
    ///
    /// # Errors
    /// The compression refuses its level.
    pub(crate) fn body(&self, block: &Arc<[Bytes]>, tell: impl FnOnce(Result<Body, Fault>)) {
        let frame = |piece| CompressedData::new(piece, self.frames);
        let pieces: Vec<_> = block.iter().flat_map(|part| part.chunks(FRAME)).collect();
        let mut pieces = pieces.into_iter();
        let (Some(first), true) = (pieces.next(), self.frames != Frames::None) else {
            return tell(Ok(Body::Plain(Arc::clone(block))));
        };
        let first = frame(first).map_err(|error| {
            let message = "cannot compress an insert; set another `compression`";
            Fault::new(FaultKind::SinkRefused, message).because(error)
        });
        let (frames, made) = mpsc::unbounded_channel();
        tell(first.map(|first| {
            // Both ends are here.
            drop(frames.send(Ok(first)));
            Body::Frames(1 + pieces.len(), made)
        }));
        for piece in pieces {
            // The insert may have been given up.
            if frames.send(frame(piece)).is_err() {
                return;
            }
        }
    }

    /// Sends one insert to one host. An error without a code leaves unknown whether it was taken.
    pub(crate) async fn insert(
        &self,
        sql: &str,
        settings: &[(String, String)],
        body: Body,
    ) -> Result<(), ServerError> {
        let Some((at, (address, client))) = self.pick() else {
            return Err(ServerError::unreachable("no host is configured".to_owned()));
        };
        let sent = tokio::time::timeout(self.timeout, self.send(client, sql, settings, body)).await;
        let message = match sent {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Error::BadResponse(text))) => return Err(ServerError::answered(&text)),
            Ok(Err(error)) => format!("{address}: {}", chain(&error)),
            Err(_) => format!("{address}: no answer within {} s", self.timeout.as_secs_f64()),
        };
        self.move_on(at);
        Err(ServerError::unreachable(message))
    }

    async fn send(
        &self,
        client: &Client,
        sql: &str,
        settings: &[(String, String)],
        body: Body,
    ) -> Result<(), Error> {
        let client = client.clone().with_compression(self.frames);
        let mut insert = client.insert_formatted_with(sql);
        for (name, value) in settings {
            insert = insert.with_setting(name, value);
        }
        match body {
            Body::Plain(parts) => {
                for part in parts.iter() {
                    insert.send(part.clone()).await?;
                }
            }
            Body::Frames(count, mut frames) => {
                for _ in 0..count {
                    let ended =
                        || Error::Custom("compressing ended early; please report it".into());
                    insert.send_compressed(frames.recv().await.ok_or_else(ended)??).await?;
                }
            }
        }
        insert.end().await
    }
}

fn frames(compression: Compression, hosts: &[String]) -> Frames {
    match compression {
        Compression::Auto if hosts.iter().all(|host| is_local(host)) => Frames::None,
        Compression::None => Frames::None,
        Compression::Auto | Compression::Lz4 => Frames::Lz4,
        Compression::Zstd(level) => Frames::Zstd(level),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Shared by everything that asks the servers.
pub(crate) type SharedHosts = Arc<Hosts>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserts_are_compressed_by_themselves_where_a_server_is_elsewhere() {
        let hosts = |names: &[&str]| names.iter().map(|n| format!("http://{n}:8123")).collect();
        let auto = |names: &[&str]| {
            let hosts: Vec<String> = hosts(names);
            frames(Compression::Auto, &hosts)
        };
        assert!(auto(&["localhost", "[::1]"]) == Frames::None);
        assert!(auto(&["localhost", "db"]) == Frames::Lz4);
    }
}
