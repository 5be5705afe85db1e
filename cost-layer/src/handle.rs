//! Looking at the books.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    Alerts, By, CostStats, Day, Entry, Latency, LedgerError, Order, Page, Pricing, Query, Span,
    Spend, Window, books::Books,
};

/// A view of a [`CostLayer`](crate::CostLayer)'s books, taken with
/// [`handle`](crate::CostLayer::handle). It covers every service made from the layer and its clones.
#[derive(Clone)]
pub struct CostHandle(pub(crate) Arc<Books>);

/// Before a question is answered, what waits is written, for at most so long.
const WRITING: Duration = Duration::from_secs(5);

impl CostHandle {
    /// Sums since the layer was made.
    #[must_use]
    pub fn stats(&self) -> CostStats {
        self.0.desk.stats()
    }

    /// The prices in use, to be replaced and to be shared with other layers.
    #[must_use]
    pub fn pricing(&self) -> Pricing {
        self.0.pricing.clone()
    }

    /// The alerts from now on.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        self.0.desk.bell().listen()
    }

    /// Lets alerts begin with what the ledger has of the time before the layer was made, instead of with
    /// zero: the last hour to the second, the day and the users' (UTC), and of the last 24 hours the baselines of
    /// users and models. To be called once, before the first call; a second time counts nothing twice.
    /// It takes 15 s at most.
    ///
    /// The baselines of credentials begin anew, as no ledger has them; and what was told before a restart
    /// may be told once more after it. Of a ledger that several machines share it is what all of them spent.
    ///
    /// # Errors
    ///
    /// The ledger does not answer all of it. What it does not answer begins with zero, and can be asked for
    /// again.
    pub async fn seed_alerts(&self) -> Result<(), LedgerError> {
        self.0.desk.seed().await
    }

    /// Writes all that waits to the ledger: before the process ends.
    ///
    /// # Errors
    ///
    /// The ledger does not take them now. They still wait.
    pub async fn flush(&self) -> Result<(), LedgerError> {
        self.0.desk.flush().await
    }

    /// How long a model's calls took, at all providers together. `None`: there were none.
    #[must_use]
    pub fn latency(&self, model: &str, window: Window) -> Option<Latency> {
        self.0.desk.latency().of_model(model, window)
    }

    /// How long calls took, each model at each provider by itself.
    #[must_use]
    pub fn latencies(&self, window: Window) -> Vec<Latency> {
        self.0.desk.latency().each(window)
    }

    /// All latencies since the layer was made, as an interval log of HDR histograms, to be kept, looked at
    /// with HDR's tools, or [merged](crate::MergedLatency) with those of other nodes.
    #[cfg(feature = "hdr")]
    #[must_use]
    pub fn export_latencies(&self) -> String {
        crate::latency::export(self.0.desk.latency(), self.0.pricing.now(), self.0.age())
    }

    /// Asks the ledger for sums.
    ///
    /// # Errors
    ///
    /// The ledger does not answer.
    pub async fn spend(&self, query: &Query) -> Result<Vec<Spend>, LedgerError> {
        self.write_first().await;
        self.0.desk.writer().ledger().spend(query).await
    }

    /// What each model cost on a day (UTC), the dearest first.
    ///
    /// # Errors
    ///
    /// The ledger does not answer.
    pub async fn daily(&self, day: Day) -> Result<Vec<Spend>, LedgerError> {
        self.spend(&Query::new(Span::day(day), By::Model)).await
    }

    /// Who spent the most.
    ///
    /// # Errors
    ///
    /// The ledger does not answer.
    pub async fn top_spenders(&self, span: Span, most: usize) -> Result<Vec<Spend>, LedgerError> {
        self.spend(&Query::new(span, By::User).most(most)).await
    }

    /// A user's last records, attempts left behind included.
    ///
    /// # Errors
    ///
    /// The ledger does not answer.
    pub async fn records_of(
        &self,
        user: &str,
        span: Span,
        most: usize,
    ) -> Result<Vec<Entry>, LedgerError> {
        let page = Page::new(span, Order::Newest).user(user).most(most);
        self.entries(&page).await
    }

    /// Asks the ledger for a page of records.
    ///
    /// # Errors
    ///
    /// The ledger does not answer.
    pub async fn entries(&self, page: &Page) -> Result<Vec<Entry>, LedgerError> {
        self.write_first().await;
        self.0.desk.writer().ledger().entries(page).await
    }

    /// What is known of today, by the layer's clock.
    #[must_use]
    pub fn today(&self) -> Day {
        Day::of(self.0.pricing.now())
    }

    /// Whoever asks sees what was booked. A ledger that is away answers what it can.
    async fn write_first(&self) {
        let written = timeout(WRITING, self.0.desk.flush()).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("records wait that are not in the answer");
        }
    }
}

impl fmt::Debug for CostHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CostHandle")
            .field(&self.0.desk.carried())
            .finish()
    }
}
