//! Listens, serves, and comes to an orderly end.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use breaker_layer::BreakerLayer;
use cache_layer::PromptCacheLayer;
use cost_layer::{CostHandle, CostLayer};
use retry_layer::{RetryHandle, RetryLayer};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    StartError,
    admin::{Admin, AnswersHandle, Caches, Door},
    auth::Auth,
    board::{self, Board},
    budgets::{self, Budgets},
    config::{AdminConfig, Config},
    connections, exporter,
    live::Live,
    open, prices,
    proxy::{self, Proxy},
    stack::Layers,
    upstream,
};

/// How long running answers have to come to their end when the gateway is told to stop: 30 s.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// The time for the last records to reach the ledger.
const LEDGER: Duration = Duration::from_secs(5);

/// A running gateway. Dropping it closes the port and cuts all connections; [`shutdown`] lets
/// running answers end.
///
/// It runs on the tokio runtime it was started on: a task for each connection, and a few of its own.
///
/// [`shutdown`]: Gateway::shutdown
pub struct Gateway {
    addr: SocketAddr,
    /// Where operators look.
    admin_addr: SocketAddr,
    stop: watch::Sender<Option<Duration>>,
    accepting: JoinHandle<bool>,
    /// The operators' listener, if it is another one; the dashboard's curves; the file of prices, which
    /// is read again when it changes; the metrics, which are counted now and then.
    _beside: JoinSet<()>,
    retries: Option<RetryHandle>,
    books: Option<CostHandle>,
    budgets: Option<Budgets>,
    proxy: Arc<Proxy>,
}

impl Gateway {
    /// Starts to listen and serve.
    ///
    /// # Errors
    ///
    /// The address is not a loopback address and a provider has a key of ours, but callers need none;
    /// it can't be listened on; the ledger or a store can't be opened; or TLS can't be set up.
    pub async fn start(mut config: Config) -> Result<Self, StartError> {
        check(config.listen, &config)?;
        let tls = upstream::public_roots().map_err(StartError::Tls)?;
        exporter::install();
        let board = Arc::new(Board::new(config.admin.metric_users));
        let cost = open::ledger(config.cost.as_ref(), &board)
            .await
            .map_err(StartError::Ledger)?;
        let caches = open::caches(config.cache.take(), cost.as_ref()).map_err(StartError::Cache)?;
        let has_users = config.auth.is_some();
        let budgets = budgets::open(config.budget.take(), cost.as_ref(), has_users)
            .map_err(StartError::Budget)?;
        let layers = Layers {
            sse: config.sse.take(),
            cost,
            answers: caches.answers,
            budgets: budgets.clone(),
            retry: config.retry.take(),
            breaker: config.breaker.take(),
            prompts: caches.prompts,
            client: upstream::client(tls),
        };
        let retries = layers.retry.as_ref().map(RetryLayer::handle);
        let books = layers.cost.as_ref().map(CostLayer::handle);
        let (listen, admin_config) = (config.listen, std::mem::take(&mut config.admin));
        let admin = admin(&layers, &admin_config, listen, &board);
        let proxy = Arc::new(Proxy {
            live: Live::new(layers, config),
            board: Arc::clone(&board),
        });

        let mut router = Router::new()
            .route("/health", get(proxy::health))
            .fallback(proxy::proxy)
            .with_state(Arc::clone(&proxy));
        let (stop, stopping) = watch::channel(None);
        let mut beside = JoinSet::new();
        let (addr, listener) = bind(listen).await?;
        let mut admin_addr = addr;
        match admin_config.listen {
            None => router = router.merge(admin.routes()),
            Some(address) => {
                let (address, listener) = bind(address).await?;
                admin_addr = address;
                let looking = connections::accept(listener, admin.routes(), stopping.clone());
                beside.spawn(async move {
                    looking.await;
                });
            }
        }
        if books.is_some() {
            let watched = Arc::clone(&proxy);
            beside.spawn(prices::watch(move || watched.live.prices()));
        }
        beside.spawn(draw(board));
        beside.spawn(exporter::upkeep());
        let accepting = tokio::spawn(connections::accept(listener, router, stopping));
        Ok(Self {
            addr,
            admin_addr,
            stop,
            accepting,
            _beside: beside,
            retries,
            books,
            budgets,
            proxy,
        })
    }

    /// Serves by another configuration from now on, as far as that may change while the gateway runs:
    /// prices, the amounts of `[budget]`, providers and their keys, callers' keys, and routes with their
    /// `disabled` targets. Calls that are under way end as they began. What else is different waits for a restart.
    ///
    /// # Errors
    ///
    /// It can't be served by, or its prices lack most of the models in use: then nothing changes.
    pub fn reload(&self, config: Config) -> Result<(), ReloadError> {
        check(self.addr, &config).map_err(|error| ReloadError(error.to_string()))?;
        let replaced = self.proxy.live.replace(config);
        replaced.map_err(|error| ReloadError(error.to_string()))
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

    /// What is switched on, in a few lines for a terminal.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "dashboard on {}/\n{}",
            self.admin_url(),
            self.proxy.live.summary()
        )
    }

    /// The layers that are switched on, in a line.
    pub(crate) fn layers(&self) -> String {
        self.proxy.live.layers()
    }

    /// The same of where operators look: the dashboard, the reports, the layers' states.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin_addr)
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

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("addr", &self.addr)
            .field("admin_addr", &self.admin_addr)
            .finish_non_exhaustive()
    }
}

/// A configuration that a running gateway can't go on with.
#[derive(Debug)]
pub struct ReloadError(String);

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReloadError {}

/// Whether strangers could spend on a key of ours.
fn check(listen: SocketAddr, config: &Config) -> Result<(), StartError> {
    let is_local = listen.ip().is_loopback();
    let exposed = config.providers.iter().any(|provider| provider.has_key());
    let has_keys = config.auth.as_ref().is_some_and(Auth::has_keys);
    if exposed && !is_local && !has_keys {
        return Err(StartError::OpenKeys(listen));
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
    Ok(())
}

/// What operators see of these layers.
fn admin(layers: &Layers, config: &AdminConfig, listen: SocketAddr, board: &Arc<Board>) -> Admin {
    let door = Door {
        token: config.token.clone(),
        is_local: config.listen.unwrap_or(listen).ip().is_loopback(),
    };
    if door.token.is_none() && !door.is_local {
        tracing::warn!(
            "nobody may look at the dashboard and the reports: [admin] has no token_env"
        );
    }
    Admin {
        books: layers.cost.as_ref().map(CostLayer::handle),
        breakers: layers.breaker.as_ref().map(BreakerLayer::handle),
        budgets: layers.budgets.clone(),
        caches: Caches {
            answers: layers.answers.as_ref().map(AnswersHandle::of),
            prompts: layers.prompts.as_ref().map(PromptCacheLayer::handle),
        },
        ..Admin::new(door, Arc::clone(board))
    }
}

async fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let listening = TcpListener::bind(address).await;
    let listening = listening.and_then(|listener| Ok((listener.local_addr()?, listener)));
    listening.map_err(|error: io::Error| StartError::Listen(address, error))
}

/// Notes again and again how long calls take.
async fn draw(board: Arc<Board>) {
    let mut every = interval(board::EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        every.tick().await;
        board.sample();
    }
}
