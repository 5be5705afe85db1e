//! Listens, serves, and comes to an orderly end.

use std::{
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use cache_layer::{InvalidRedis, RedisStore};
use cost_layer::{CostHandle, LedgerError, PostgresLedger, SqliteLedger};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use llm_exchange::BoxError;
use retry_layer::{RetryHandle, RetryLayer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tower_service::Service;

use crate::{
    auth::Auth,
    budgets::{self, Budgets},
    config::{Config, CostConfig, LedgerConfig, StoreConfig},
    proxy::{self, Proxy},
    report::{self, Reports},
    stack::{self, Answers},
    upstream,
};

/// How long running answers have to come to their end when the gateway is told to stop: 30 s.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// The time for one request's head, and for the first one on a connection.
const HEAD: Duration = Duration::from_secs(30);

/// The longest head of a request, in bytes.
const MOST_HEAD: usize = 64 << 10;

/// The time for the last records to reach the ledger.
const LEDGER: Duration = Duration::from_secs(5);

/// A caller that does not answer a ping for so long is gone.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(15);

/// A running gateway. Dropping it closes the port and cuts all connections; [`shutdown`] lets
/// running answers end.
///
/// It runs on the tokio runtime it was started on, one task for each connection.
///
/// [`shutdown`]: Gateway::shutdown
#[derive(Debug)]
pub struct Gateway {
    addr: SocketAddr,
    stop: watch::Sender<Option<Duration>>,
    accepting: JoinHandle<bool>,
    retries: Option<RetryHandle>,
    books: Option<CostHandle>,
    budgets: Option<Budgets>,
}

/// Why a gateway does not start.
#[non_exhaustive]
#[derive(Debug)]
pub enum StartError {
    /// Other machines could reach it and spend on a key of its own.
    OpenKeys(SocketAddr),
    /// The address can't be listened on.
    Listen(SocketAddr, io::Error),
    /// The ledger can't be opened.
    Ledger(LedgerError),
    /// The store of the cache can't be set up.
    Cache(InvalidRedis),
    /// The store of the budgets can't be set up.
    Budget(BoxError),
    /// The TLS library can't be set up.
    Tls(rustls::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenKeys(addr) => write!(
                f,
                "other machines may reach {addr}, the gateway does not know its callers, and with \
                 api_key_env whoever reaches it spends on your key: give callers keys of the \
                 gateway's (keys_env in [auth]), listen on 127.0.0.1 behind a proxy that \
                 authenticates, or remove api_key_env so that callers bring their own keys"
            ),
            Self::Listen(addr, error) => write!(
                f,
                "can't listen on {addr}: {error} (--listen ADDRESS:PORT chooses another)"
            ),
            Self::Ledger(error) => write!(f, "can't open the ledger of [cost]: {error}"),
            Self::Cache(error) => write!(f, "can't set up the store of [cache]: {error}"),
            Self::Budget(error) => write!(f, "can't set up the store of [budget]: {error}"),
            Self::Tls(error) => write!(f, "can't set up TLS: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::OpenKeys(_) => None,
            Self::Listen(_, error) => Some(error),
            Self::Ledger(error) => Some(error),
            Self::Cache(error) => Some(error),
            Self::Budget(error) => Some(&**error),
            Self::Tls(error) => Some(error),
        }
    }
}

impl Gateway {
    /// Starts to listen and serve.
    ///
    /// # Errors
    ///
    /// The address is not a loopback address and a provider has a key of ours, but callers need none;
    /// it can't be listened on; the ledger or the cache's store can't be opened; or TLS can't be set up.
    pub async fn start(mut config: Config) -> Result<Self, StartError> {
        let is_local = config.listen.ip().is_loopback();
        let exposed = config.providers.iter().any(|provider| provider.has_key());
        let has_keys = config.auth.as_ref().is_some_and(Auth::has_keys);
        if exposed && !is_local && !has_keys {
            return Err(StartError::OpenKeys(config.listen));
        }
        if !is_local && config.auth.is_some() && !has_keys {
            tracing::warn!(
                "whoever reaches the gateway may call as any user: user_header needs a proxy in front"
            );
        }
        for provider in &config.providers {
            if provider.exposes_key() {
                tracing::warn!(
                    provider = &*provider.name,
                    "its key goes over the network in clear text: base_url has no https"
                );
            }
        }
        let retries = config.retry.as_ref().map(RetryLayer::handle);
        let reports = match &mut config.cost {
            None => None,
            Some(cost) => {
                open_ledger(cost).await.map_err(StartError::Ledger)?;
                Some(Reports {
                    books: cost.layer.handle(),
                    token: cost.admin_token.clone(),
                    is_local,
                })
            }
        };
        let books = reports.as_ref().map(|reports| reports.books.clone());
        let answers = open_cache(&mut config).map_err(StartError::Cache)?;
        let budgets = budgets::open(&config).map_err(StartError::Budget)?;
        let tls = upstream::public_roots().map_err(StartError::Tls)?;
        let proxy = Proxy {
            stack: stack::build(
                &config,
                answers.as_ref(),
                budgets.as_ref(),
                upstream::client(tls),
            ),
            auth: config.auth,
            providers: config.providers,
            routes: config.routes,
        };
        let router = Router::new()
            .route("/health", get(proxy::health))
            .fallback(proxy::proxy)
            .with_state(Arc::new(proxy));
        let router = match reports {
            Some(reports) => router.merge(report::routes(reports)),
            None => router,
        };
        let listening = TcpListener::bind(config.listen)
            .await
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (addr, listener) =
            listening.map_err(|error| StartError::Listen(config.listen, error))?;
        let (stop, stopping) = watch::channel(None);
        let accepting = tokio::spawn(accept(listener, router, stopping));
        Ok(Self {
            addr,
            stop,
            accepting,
            retries,
            books,
            budgets,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Closes the port and lets running answers end, for as long as `limit`; idle connections are
    /// closed at once, and nothing is sent again any more. What still runs then is cut. True if
    /// nothing had to be.
    pub async fn shutdown(mut self, limit: Duration) -> bool {
        // a provider may have asked for a longer pause than the limit
        if let Some(retries) = &self.retries {
            retries.stop_retrying();
        }
        self.stop.send_replace(Some(limit));
        let ended = (&mut self.accepting).await.unwrap_or(false);
        if let Some(books) = &self.books
            && !matches!(timeout(LEDGER, books.flush()).await, Ok(Ok(())))
        {
            tracing::error!(
                waiting = books.stats().waiting,
                "records are not in the ledger"
            );
        }
        if let Some(budgets) = &self.budgets
            && !budgets.flush(LEDGER).await
        {
            tracing::error!("what calls spent is not in the store of [budget]");
        }
        ended
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // the connections are in a set that goes with it
        self.accepting.abort();
    }
}

/// The ledger that the configuration asks for.
/// The cache with its store; where calls are priced, it tells what was saved.
fn open_cache(config: &mut Config) -> Result<Option<Answers>, InvalidRedis> {
    let Some(mut cache) = config.cache.take() else {
        return Ok(None);
    };
    if let Some(cost) = &config.cost {
        cache.layer = cache.layer.priced_by(cost.layer.pricing());
        let prompts = cache.prompts.take();
        cache.prompts = prompts.map(|prompts| prompts.priced_by(cost.layer.pricing()));
    }
    let answers = match &cache.store {
        StoreConfig::Memory => Answers::InMemory(cache.layer.clone()),
        StoreConfig::Redis { url, secret } => {
            let store = RedisStore::new(url, secret.as_bytes())?;
            Answers::InRedis(cache.layer.clone().store(store))
        }
    };
    config.cache = Some(cache);
    Ok(Some(answers))
}

async fn open_ledger(cost: &mut CostConfig) -> Result<(), LedgerError> {
    let layer = cost.layer.clone();
    cost.layer = match &cost.ledger {
        LedgerConfig::Memory => layer,
        LedgerConfig::Sqlite(path) => layer.ledger(SqliteLedger::open(path)?),
        LedgerConfig::Postgres(url) => layer.ledger(PostgresLedger::connect(url).await?),
    };
    Ok(())
}

/// Waits until the gateway is told to stop; returns how long running answers have.
async fn told(mut stopping: watch::Receiver<Option<Duration>>) -> Duration {
    match stopping.wait_for(Option::is_some).await {
        Ok(limit) => limit.unwrap_or_default(),
        // the gateway is gone, and with it all that runs
        Err(_) => Duration::ZERO,
    }
}

async fn accept(
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
