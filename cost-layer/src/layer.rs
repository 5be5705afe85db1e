use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use llm_exchange::{Money, Payload, WallClock};
use tower_layer::Layer;

use crate::{
    Alert, Cost, CostHandle, Ledger, MemoryLedger, Overflow, Prices, Pricing,
    alert::{Hook, Limits},
    books::Books,
    ledger::WriterLimits,
};

/// Books what every LLM call cost and how long it took; see the [crate](crate) for what it does.
///
/// The books are shared by every service made from one layer and its clones. Take
/// [`handle`](Self::handle) after the last setter: a setter begins new books.
#[derive(Clone)]
pub struct CostLayer {
    settings: Settings,
    /// Begun when a handle or a service is made.
    books: Arc<OnceLock<Arc<Books>>>,
}

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) pricing: Pricing,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) writer: WriterLimits,
    pub(crate) limits: Limits,
    pub(crate) on_alert: Option<Hook>,
    pub(crate) most_models: usize,
    pub(crate) trusts_body: bool,
    pub(crate) max_payload_bytes: usize,
    #[cfg(feature = "metrics")]
    pub(crate) old_metric_names: bool,
}

impl Default for CostLayer {
    fn default() -> Self {
        Self::new(Prices::builtin())
    }
}

impl CostLayer {
    /// A layer that charges by these prices, and keeps its records in memory.
    #[must_use]
    pub fn new(prices: Prices) -> Self {
        Self {
            settings: Settings {
                pricing: Pricing::new(prices),
                ledger: Arc::new(MemoryLedger::new()),
                writer: WriterLimits::default(),
                limits: Limits::default(),
                on_alert: None,
                most_models: 32,
                trusts_body: false,
                max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
                #[cfg(feature = "metrics")]
                old_metric_names: false,
            },
            books: Arc::default(),
        }
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self.books = Arc::default();
        self
    }

    fn limit(self, set: impl FnOnce(&mut Limits)) -> Self {
        self.set(|settings| set(&mut settings.limits))
    }

    /// Where records are kept. Default: a [`MemoryLedger`].
    #[must_use]
    pub fn ledger(self, ledger: impl Ledger) -> Self {
        self.set(|settings| settings.ledger = Arc::new(ledger))
    }

    /// The most records that wait for the ledger, besides the last 64 calls of each of 16 stripes of threads
    /// (256 where they come faster than they are carried on). Default 10,000, some 8 MB.
    #[must_use]
    pub fn queue(self, records: usize) -> Self {
        self.set(|settings| settings.writer.capacity = records)
    }

    /// What happens when that many wait. Default: the record is lost, counted and alerted.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        self.set(|settings| settings.writer.overflow = overflow)
    }

    /// The most pairs of provider and model whose latencies are kept apart. Default 32, of up to 2 MB
    /// each; all others are one, `other`. Labels of metrics have three times as many names: of models asked,
    /// models served, and hosts, together. In both a name begins with its first answer.
    #[must_use]
    pub fn most_models(self, models: usize) -> Self {
        self.set(|settings| settings.most_models = models)
    }

    /// Takes who is spending from the body (`safety_identifier`, `user`, `metadata.user_id`) where the app
    /// has put no [`User`](llm_exchange::User) into the request. Off by default: the caller wrote it.
    #[must_use]
    pub fn trust_end_user(self) -> Self {
        self.set(|settings| settings.trusts_body = true)
    }

    /// Alerts on a call that costs more. Default $1.
    #[must_use]
    pub fn alert_request(self, cost: Money) -> Self {
        self.limit(|limits| limits.request = Some(cost))
    }

    /// Alerts when an hour, which slides, costs more. Default $50.
    #[must_use]
    pub fn alert_hour(self, cost: Money) -> Self {
        self.limit(|limits| limits.hour = Some(cost))
    }

    /// Alerts when a day (UTC) costs more. Off by default. The spending of a day is counted from when the
    /// layer was made, unless the ledger was asked for what was before
    /// ([`seed_alerts`](CostHandle::seed_alerts)).
    #[must_use]
    pub fn alert_day(self, cost: Money) -> Self {
        self.limit(|limits| limits.day = Some(cost))
    }

    /// Alerts when a day (UTC) of one user costs more. Off by default.
    #[must_use]
    pub fn alert_user_day(self, cost: Money) -> Self {
        self.limit(|limits| limits.user_day = Some(cost))
    }

    /// Alerts when the 95th percentile of a model's total time, of its successes in the last five minutes,
    /// is longer. Off by default. At least 20 calls are needed to tell.
    #[must_use]
    pub fn alert_p95(self, time: Duration) -> Self {
        self.limit(|limits| limits.p95 = Some(time))
    }

    /// Alerts when a user, a model or a credential spends more than this in five minutes, and much more
    /// than is usual for it. Default $1.
    ///
    /// Usual is the median of its own last 64 five-minute slots in which it spent something; much more
    /// is four times that, and six robust standard deviations (by the median absolute deviation) above
    /// it. Nothing is unusual before there are 12 such slots: an hour of spending.
    #[must_use]
    pub fn alert_unusual(self, from: Money) -> Self {
        self.limit(|limits| limits.unusual = Some(from))
    }

    /// Alerts when the prices in use are older. Default 60 days.
    #[must_use]
    pub fn alert_old_prices(self, age: Duration) -> Self {
        self.limit(|limits| limits.age = Some(age))
    }

    /// Nothing is alerted, but what is set after this.
    #[must_use]
    pub fn no_alerts(self) -> Self {
        self.limit(|limits| *limits = Limits::NONE)
    }

    /// Called with each alert, at most 50 ms after the call that gave rise to it, on the task that writes
    /// records or that of another call: keep it short. One that panics is told to `tracing` as an error.
    #[must_use]
    pub fn on_alert(self, hook: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.on_alert = Some(Arc::new(hook)))
    }

    /// The largest request body that is kept in memory, in bytes. Default 16 MiB. A larger one streams
    /// through, and its prompt counts nothing in estimates. It counts only where this is the outermost
    /// layer that reads the request.
    #[must_use]
    pub fn max_payload_bytes(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_payload_bytes = bytes)
    }

    /// Where the time of day comes from: for the times of records, days and the age of prices. Default:
    /// the system clock.
    #[must_use]
    pub fn clock(self, clock: WallClock) -> Self {
        self.set(|settings| settings.pricing = settings.pricing.clone().clock(clock))
    }

    /// Emits the metrics' older names too, see the crate's docs. Off by default.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn old_metric_names(self) -> Self {
        self.set(|settings| settings.old_metric_names = true)
    }

    /// The prices in use, to be replaced and to be shared with other layers.
    #[must_use]
    pub fn pricing(&self) -> Pricing {
        self.settings.pricing.clone()
    }

    /// A view of the books.
    #[must_use]
    pub fn handle(&self) -> CostHandle {
        CostHandle(self.books())
    }

    fn books(&self) -> Arc<Books> {
        let books = self
            .books
            .get_or_init(|| Arc::new(Books::new(&self.settings)));
        Arc::clone(books)
    }
}

impl<S> Layer<S> for CostLayer {
    type Service = Cost<S>;

    fn layer(&self, inner: S) -> Cost<S> {
        Cost::new(inner, self.books())
    }
}

impl fmt::Debug for CostLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CostLayer")
            .field("pricing", &self.settings.pricing)
            .field("limits", &self.settings.limits)
            .finish_non_exhaustive()
    }
}
