//! Connections: accepted, TLS, one HTTP/1.1 request after the other, and the stop.

use crate::hub::Hub;
use crate::{api, callbacks};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::{any, get, post};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Connections that stand at a time.
const CONNECTIONS: usize = 20_000;
/// Handshakes at a time.
const HANDSHAKES: usize = 128;
/// How long a handshake may take.
const SHAKE_TIME: Duration = Duration::from_secs(10);
/// From one request to the whole head of the next: hyper has one clock for both.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// How long it is waited when there are no descriptors left.
pub const NO_DESCRIPTOR: Duration = Duration::from_millis(100);
/// The largest head of a request.
const HEAD_MAX: usize = 16 * 1024;

/// Who is at the other end of a connection.
#[derive(Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// What kiosks and platforms reach.
pub fn public(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/v1/enrol", post(api::enrol))
        .route("/v1/{verb}", post(api::verb))
        .route("/callback/{account}", any(callbacks::callback))
        .route("/callback/{account}/{secret}", any(callbacks::callback))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .with_state(hub)
}

/// What only the operator's own machines reach.
pub fn operators(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|State(hub): State<Arc<Hub>>| async move { hub.metrics.text() }))
        .with_state(hub)
}

async fn ready(State(hub): State<Arc<Hub>>) -> (StatusCode, &'static str) {
    match hub.ready() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// Accepts connections until the hub is stopped.
pub async fn serve(hub: Arc<Hub>, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let (connections, handshakes) =
        (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(HANDSHAKES)));
    loop {
        let accepted = tokio::select! {
            () = hub.stopped() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // No descriptors left: those that stand end some time, and then there are.
                tracing::warn!(error = %e, "a connection could not be accepted");
                hub.metrics.not_taken.inc();
                tokio::time::sleep(NO_DESCRIPTOR).await;
                continue;
            }
        };
        let Ok(held) = connections.clone().try_acquire_owned() else {
            hub.metrics.not_taken.inc();
            continue;
        };
        let (hub, tls, router, handshakes) = (hub.clone(), tls.clone(), router.clone(), handshakes.clone());
        tokio::spawn(async move {
            hub.metrics.connections.inc();
            connection(&hub, stream, peer, tls, router, &handshakes).await;
            hub.metrics.connections.dec();
            drop(held);
        });
    }
}

async fn connection(
    hub: &Arc<Hub>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    handshakes: &Semaphore,
) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return requests(hub, stream, peer, router).await;
    };
    let shaken = tokio::time::timeout(SHAKE_TIME, async {
        let _turn = handshakes.acquire().await.ok()?;
        tls.accept(stream).await.ok()
    });
    if let Ok(Some(stream)) = shaken.await {
        requests(hub, stream, peer, router).await;
    }
}

/// One request after the other on a connection.
pub async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    hub: &Arc<Hub>,
    stream: S,
    peer: SocketAddr,
    router: Router,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    tokio::select! {
        _ = served.as_mut() => {}
        () = hub.stopped() => {
            // The answer under way is written; then it ends.
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}
