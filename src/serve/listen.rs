//! Connections: how many, how long, and how they end.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
    time::Duration,
};

use axum::Router;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{answer::Answering, desk::Desk, stall::Stalling};

/// Clients over the limit that are told so at once; others are hung up on.
const TOLD: usize = 64;
/// The most bytes of a request's headers.
const HEADERS: usize = 16 << 10;
/// The most bytes of a connection that wait in memory, besides one piece of a file.
const BUFFER: usize = 64 << 10;
/// How long to wait when the system has no descriptors left.
const BREATHER: Duration = Duration::from_millis(100);

/// What a connection needs.
#[derive(Clone)]
pub(super) struct Hall {
    pub(super) desk: Arc<Desk>,
    pub(super) router: Router,
    /// Changes when a certificate was renewed.
    pub(super) tls: Option<Arc<RwLock<TlsAcceptor>>>,
}

impl Hall {
    /// Lets clients in until `stop` changes, and then waits for those that are inside.
    pub(super) async fn open(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let limits = &self.desk.config.limits;
        let grace = Duration::from_secs(limits.grace);
        let seats = Arc::new(Semaphore::new(limits.connections));
        let porch = Arc::new(Semaphore::new(TOLD));
        let mut inside = JoinSet::new();
        loop {
            let came = tokio::select! {
                came = listener.accept() => came,
                Some(_) = inside.join_next() => continue,
                _ = stop.changed() => break,
            };
            let (stream, peer) = match came {
                Ok(came) => came,
                // A client that hung up already, or too many open files.
                Err(_) => {
                    sleep(BREATHER).await;
                    continue;
                }
            };
            let seat = seats.clone().try_acquire_owned().ok();
            let busy = seat.is_none();
            if busy {
                self.desk.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(seat) = seat.or_else(|| porch.clone().try_acquire_owned().ok()) {
                inside.spawn(self.clone().welcome(stream, peer, seat, busy, stop.clone()));
            }
        }
        drop(listener);
        let all_out = async { while inside.join_next().await.is_some() {} };
        // Who takes longer is cut off when the tasks are dropped.
        let _ = timeout(grace, all_out).await;
    }

    async fn welcome(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        seat: OwnedSemaphorePermit,
        busy: bool,
        stop: watch::Receiver<bool>,
    ) {
        let _inside = Inside::count(self.desk.clone());
        // A client that goes away is no fault of anybody; its request is in the log.
        let _ = self.talk(stream, peer, busy, stop).await;
        drop(seat);
    }

    async fn talk(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        busy: bool,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let limits = self.desk.config.limits.clone();
        stream.set_nodelay(true)?;
        // An upload that stalls is answered first, and only who does not even take the answer is cut off.
        let stream = Stalling::new(stream, Duration::from_secs(limits.stall.saturating_mul(2)));
        let headers = Duration::from_secs(limits.headers);
        let answering = Answering::new(self.desk, self.router, peer.ip(), busy);
        let Some(tls) = self.tls else { return serve(stream, answering, headers, stop).await };
        let acceptor = tls.read().unwrap_or_else(PoisonError::into_inner).clone();
        let shaken = timeout(headers, acceptor.accept(stream)).await;
        let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        serve(stream, answering, headers, stop).await
    }
}

/// A connection that is counted as long as it is there, however it ends.
struct Inside(Arc<Desk>);

impl Inside {
    fn count(desk: Arc<Desk>) -> Self {
        desk.metrics.connections.fetch_add(1, Ordering::Relaxed);
        Self(desk)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    answering: Answering,
    headers: Duration,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = service_fn(move |request| answering.clone().answer(request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(headers);
    builder.max_header_size(HEADERS).max_buf_size(BUFFER);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        done = connection.as_mut() => return Ok(done?),
        _ = stop.changed() => (),
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}
