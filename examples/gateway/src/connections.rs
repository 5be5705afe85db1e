//! Connections of callers: accepted, served, and let end when the gateway stops.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_service::Service;

/// The time for one request's head, and for the first one on a connection.
const HEAD: Duration = Duration::from_secs(30);

/// The longest head of a request, in bytes.
const MOST_HEAD: usize = 64 << 10;

/// A caller that does not answer a ping for so long is gone.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);

/// Waits until the gateway is told to stop; returns how long running answers have.
async fn told(mut stopping: watch::Receiver<Option<Duration>>) -> Duration {
    match stopping.wait_for(Option::is_some).await {
        Ok(limit) => limit.unwrap_or_default(),
        // the gateway is gone, and with it all that runs
        Err(_) => Duration::ZERO,
    }
}

/// Serves until it is told to stop; then running answers may end. True if none had to be cut.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    stopping: watch::Receiver<Option<Duration>>,
) -> bool {
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(told(stopping.clone()));
    let limit = loop {
        tokio::select! {
            limit = stop.as_mut() => break limit,
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    connections.spawn(serve(tcp, router.clone(), stopping.clone()));
                }
                Err(error) => {
                    // out of descriptors, mostly: some will be free soon
                    tracing::warn!(%error, "can't accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    };
    drop(listener);
    let ended = timeout(limit, async {
        while connections.join_next().await.is_some() {}
    })
    .await
    .is_ok();
    connections.shutdown().await;
    ended
}

async fn serve(tcp: TcpStream, router: Router, stopping: watch::Receiver<Option<Duration>>) {
    // events are to leave as they come; without that they just leave later
    let _ = tcp.set_nodelay(true);
    let begun = Arc::new(AtomicBool::new(false));
    let service = {
        let begun = begun.clone();
        service_fn(move |request: http::Request<Incoming>| {
            begun.store(true, Ordering::Relaxed);
            let answer = router.clone().call(request);
            async move {
                Ok::<_, Infallible>(match answer.await {
                    Ok(response) => response,
                })
            }
        })
    };
    let builder = builder();
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(tcp), service));
    // hyper's own clock starts only when it knows which HTTP is spoken
    let mut head = std::pin::pin!(sleep(HEAD));
    let mut stop = std::pin::pin!(told(stopping));
    let (mut waited, mut stopped) = (false, false);
    loop {
        tokio::select! {
            // what goes wrong with a connection is its caller's affair
            _ = connection.as_mut() => return,
            () = head.as_mut(), if !waited => {
                if !begun.load(Ordering::Relaxed) {
                    return;
                }
                waited = true;
            }
            _ = stop.as_mut(), if !stopped => {
                connection.as_mut().graceful_shutdown();
                stopped = true;
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MOST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_header_list_size(MOST_HEAD as u32);
    builder
}
