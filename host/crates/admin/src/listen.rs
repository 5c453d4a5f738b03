//! The listener: accepts, serves HTTP/1.1, and stops in an orderly way. What a client may keep
//! busy is bounded: how long it takes over a request's head, and how many there are at once.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::seats::{Seat, Seats};

/// Before the next try when nothing could be accepted, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What clients may keep busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenLimits {
    /// Time for the head of a request, the wait for it on a connection that is kept included.
    pub head: Duration,
    /// Connections at once. When there are so many, those that wait longest for a head are closed
    /// for new ones, after half a second; where every one is busy, more wait.
    pub connections: usize,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), connections: 512 }
    }
}

/// Serves until `stop` resolves, then lets running requests finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ListenLimits,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let (stopping, stopped) = watch::channel(());
    let seats = Seats::new(limits.connections);
    let mut connections = JoinSet::new();
    // Accepted, and waits for a seat: what has not come yet takes nobody's.
    let mut waiting = None;
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if waiting.is_none() => match accepted {
                Ok(accepted) => waiting = Some(accepted),
                Err(error) => {
                    tracing::warn!(%error, "the HTTP interface cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            seat = seats.take(), if waiting.is_some() => {
                if let Some((stream, peer)) = waiting.take() {
                    let (router, stopped) = (router.clone(), stopped.clone());
                    let served = connection(stream, peer, router, limits.head, stopped, seat);
                    connections.spawn(served);
                }
            }
        }
    }
    drop(stopping);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection to its end; an idle one ends when the gateway stops, or when its seat is
/// wanted.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    head: Duration,
    mut stopped: watch::Receiver<()>,
    seat: Seat,
) {
    let use_of = seat.use_of();
    let busy = Arc::clone(&use_of);
    let service = router.layer(Extension(ConnectInfo(peer))).layer(from_fn(
        move |request: Request, next: Next| {
            let busy = busy.begin();
            async move {
                let response = next.run(request).await;
                drop(busy);
                response
            }
        },
    ));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = use_of.wanted() => {
            tracing::debug!(%peer, "an idle HTTP connection was closed for another");
            return;
        }
        // The sender is dropped, never used.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "an HTTP connection broke");
    }
}
