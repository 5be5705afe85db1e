//! The prices in use, which can be replaced while calls run.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use llm_exchange::{Money, Price, Purchase, WallClock};

use crate::{
    prices::{Charge, InvalidPrices, Prices},
    stripes::Stripes,
};

/// The prices that a layer charges by: a handle, cheap to clone, that all share. It is the
/// [`Price`] that other layers take: `budget.priced_by(cost.pricing())`.
///
/// They can be replaced while calls run. A call is charged by the prices in use at its end.
#[derive(Clone)]
pub struct Pricing {
    shared: Arc<Shared>,
    clock: WallClock,
}

struct Shared {
    current: RwLock<Arc<Prices>>,
    /// What each stripe's threads charge by: calls that end on several threads don't meet here.
    seen: Stripes<Option<Arc<Prices>>>,
}

/// Why prices were not replaced. Those in use stay.
#[non_exhaustive]
#[derive(Debug)]
pub enum NotReplaced {
    /// The file can't be read.
    File(io::Error),
    /// It is no price table.
    Invalid(InvalidPrices),
    /// It lacks most of the models of the table in use: it is more likely cut off, or of another kind,
    /// than true.
    LosesMost {
        /// How many of the models in use it has too.
        kept: usize,
        /// How many there are.
        of: usize,
    },
}

impl fmt::Display for NotReplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "the prices can't be read: {error}"),
            Self::Invalid(error) => error.fmt(f),
            Self::LosesMost { kept, of } => write!(
                f,
                "the new prices have only {kept} of the {of} models in use"
            ),
        }
    }
}

impl std::error::Error for NotReplaced {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Invalid(error) => Some(error),
            Self::LosesMost { .. } => None,
        }
    }
}

impl Pricing {
    /// These prices, for as long as they are not replaced.
    #[must_use]
    pub fn new(prices: Prices) -> Self {
        Self {
            shared: Arc::new(Shared {
                current: RwLock::new(Arc::new(prices)),
                seen: Stripes::default(),
            }),
            clock: WallClock::default(),
        }
    }

    /// Where the time of day comes from. Default: the system clock.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// The prices in use.
    #[must_use]
    pub fn prices(&self) -> Arc<Prices> {
        let current = self.shared.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, for every call.
    fn with<T>(&self, ask: impl FnOnce(&Prices) -> T) -> T {
        let mut seen = self.shared.seen.mine();
        ask(seen.get_or_insert_with(|| self.prices()))
    }

    /// Charges by these prices from now on. What the app knows better (aliases, models of its own, the
    /// fallback) is kept, unless the new prices say otherwise.
    ///
    /// # Errors
    ///
    /// They have less than half of the models in use.
    pub fn replace(&self, prices: Prices) -> Result<(), NotReplaced> {
        let current = self.prices();
        let (kept, of) = (current.kept_by(&prices), current.len());
        if kept * 2 < of {
            return Err(NotReplaced::LosesMost { kept, of });
        }
        self.replace_all(prices);
        Ok(())
    }

    /// As [`replace`](Self::replace), however few models they have.
    pub fn replace_all(&self, prices: Prices) {
        let mut current = self
            .shared
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let prices = current.replaced_by(prices);
        tracing::info!(
            models = prices.len(),
            skipped = prices.skipped(),
            "prices replaced"
        );
        *current = Arc::new(prices);
        drop(current);
        self.shared.seen.each().for_each(|mut seen| *seen = None);
    }

    /// Reads a file, LiteLLM's JSON or a list of the form of `prices.csv`, and replaces the prices by
    /// it. Prices without a date are taken to be of the file's. It blocks while it reads: some
    /// milliseconds for LiteLLM's.
    ///
    /// # Errors
    ///
    /// [`NotReplaced`]: the prices in use stay.
    pub fn reload(&self, path: impl AsRef<Path>) -> Result<(), NotReplaced> {
        self.replace(Prices::from_file(path)?)
    }

    /// How old the prices in use are. `None`: they have no date.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.with(|prices| prices.age(self.clock.now()))
    }

    /// What a purchase costs by the prices in use, item by item.
    #[must_use]
    pub fn charge(&self, purchase: &Purchase<'_>) -> Option<Charge> {
        self.with(|prices| prices.charge(purchase, self.clock.now()))
    }

    pub(crate) fn charge_either(&self, purchase: &Purchase<'_>, other: &str) -> Option<Charge> {
        self.with(|prices| prices.charge_either(purchase, other, self.clock.now()))
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

impl Prices {
    /// Reads a file, see [`read`](Self::read). Prices without a date are taken to be of the file's.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is no price table.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, NotReplaced> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(NotReplaced::File)?;
        let prices = Self::read(&text).map_err(NotReplaced::Invalid)?;
        if prices.date().is_some() {
            return Ok(prices);
        }
        let modified = std::fs::metadata(path).and_then(|file| file.modified());
        Ok(match modified {
            Ok(date) => prices.dated(date),
            Err(_) => prices,
        })
    }
}

impl Price for Prices {
    fn price(&self, purchase: &Purchase<'_>) -> Option<Money> {
        self.charge(purchase, WallClock::default().now())
            .map(|charge| charge.total())
    }
}

impl Price for Pricing {
    fn price(&self, purchase: &Purchase<'_>) -> Option<Money> {
        self.charge(purchase).map(|charge| charge.total())
    }
}

impl fmt::Debug for Pricing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pricing").field(&self.prices()).finish()
    }
}
