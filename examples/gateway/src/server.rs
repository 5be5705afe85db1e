//! Listening, and stopping in order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{Config, proxy, proxy::App, stack};

/// How long running answers may go on after the gateway was told to stop.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of headers of a request.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Gateway {
    /// Listens and serves.
    ///
    /// # Errors
    ///
    /// If the address can't be listened on.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("can't listen on {}: {error}", config.listen),
            )
        })?;
        let address = listener.local_addr()?;
        let app = Arc::new(App {
            providers: config.providers,
            stack: stack::stack(config.retry),
        });
        let router = Router::new()
            .route("/health", routing::get(async || "ok\n"))
            .route("/v1/{*path}", routing::any(proxy::proxy))
            .fallback(proxy::unknown)
            .with_state(app);
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, router, stopped));
        Ok(Self {
            address,
            stop,
            serving,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no further call and waits for the running answers, for [`SHUTDOWN_TIMEOUT`] at most.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        let _ = self.serving.await;
    }
}

async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES as u32);
    let graceful = GracefulShutdown::new();
    loop {
        let connection: io::Result<(TcpStream, _)> = tokio::select! {
            connection = listener.accept() => connection,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let stream = match connection {
            Ok((stream, _)) => stream,
            Err(error) => {
                // out of file descriptors: others end soon; accepting at once would spin
                tracing::warn!(%error, "can't accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // events are small and must not wait for each other
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection ended");
            }
        });
    }
    drop(listener);
    tracing::info!(open = graceful.count(), "stopping: no further calls");
    if timeout(SHUTDOWN_TIMEOUT, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("answers were still running and are cut");
    }
}
