//! The server: listens, serves, and goes away when it is dropped.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::{
    answer::answer,
    conn::{Line, Socket},
    log::Received,
    script::Script,
    secret::Secret,
    state::State,
};

/// A running fake provider. Dropping it closes the port and all connections.
///
/// It runs on the tokio runtime it was started on, one task for each connection.
#[derive(Debug)]
pub struct FakeProvider {
    addr: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

/// Settings before the start; made by [`FakeProvider::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    listen: SocketAddr,
    key: Option<Secret>,
}

impl Builder {
    /// Where to listen. Default: a free port of 127.0.0.1.
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// Only requests with this credential (bearer, `x-api-key`, `api-key` or `x-goog-api-key`) are
    /// answered, others get a 401 (from Bedrock a 403). Default: everybody is.
    pub fn require_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Secret(key.into()));
        self
    }

    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// The address can't be listened on.
    pub async fn start(self) -> io::Result<FakeProvider> {
        let listener = TcpListener::bind(self.listen).await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State::new(self.key));
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Ok(FakeProvider {
            addr,
            state,
            accepting,
        })
    }
}

impl FakeProvider {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// For another address, or a key that is asked for.
    pub fn builder() -> Builder {
        Builder {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            key: None,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end. An OpenAI client wants `/v1` after it.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// From now on requests to `model` get this, whatever else they ask for: a [`Script`], a
    /// [`Behaviour`](crate::Behaviour), or a list of them.
    pub fn on(&self, model: &str, script: impl Into<Script>) {
        self.state.on(model, script.into());
    }

    /// From now on requests get this which have no [`FakeProvider::on`] of their own, and ask for
    /// nothing by their model's name or by `x-fake`. All models are counted as one.
    pub fn on_any(&self, script: impl Into<Script>) {
        self.state.on_any(script.into());
    }

    /// What was received, the oldest first: the last 10,000 requests, with at most 64 MiB of
    /// bodies. `/fake/...` is left out.
    pub fn log(&self) -> Vec<Received> {
        self.state.log.entries()
    }

    /// Forgets what was received. Scripts go on where they are; answers under way settle nothing.
    pub fn clear_log(&self) {
        self.state.log.clear();
    }

    /// How many answers are still being written, or hang.
    pub fn open_streams(&self) -> usize {
        self.state.log.open()
    }

    /// Waits until no answer is open, without a limit of its own.
    pub async fn idle(&self) {
        self.state.log.idle().await;
    }

    /// Waits until the log is as `wanted`, without a limit of its own: it looks now, and whenever
    /// a request arrived, got its status or ended. `wanted` must not call this server.
    ///
    /// ```
    /// # use fake_provider::{FakeProvider, Outcome};
    /// # async fn test(fake: FakeProvider) {
    /// // the caller drops its answer, and then:
    /// fake.until(|log| log.iter().any(|one| one.outcome == Outcome::ClientGone)).await;
    /// # }
    /// ```
    pub async fn until(&self, wanted: impl FnMut(&[Received]) -> bool) {
        self.state.log.until(wanted).await;
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        // the connections are in a set that goes with it
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    number += 1;
                    connections.spawn(serve(tcp, Arc::new(Line::new(number)), state.clone()));
                }
                // out of descriptors, mostly: some will be free soon
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(tcp: TcpStream, line: Arc<Line>, state: Arc<State>) {
    // small pieces are to leave as they are written; without that they just leave later
    let _ = tcp.set_nodelay(true);
    let io = TokioIo::new(Socket::new(tcp, line.clone()));
    let service = {
        let line = line.clone();
        service_fn(move |request| answer(state.clone(), line.clone(), request))
    };
    let builder = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        // what went wrong with a connection is the client's affair, or the script's will
        _ = builder.serve_connection(io, service) => {}
        () = line.cut() => {}
    }
}
