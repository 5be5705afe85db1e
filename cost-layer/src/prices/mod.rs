//! Price tables.

mod charge;
mod csv;
mod litellm;
mod names;
mod off_peak;
mod own;
mod rate;
mod rates;
mod table;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use llm_exchange::{Money, Purchase};

#[cfg(feature = "metrics")]
pub(crate) use self::names::prefix_of_host;
pub use self::{charge::Charge, own::PerMillion};
use self::{own::Own, table::Table};

/// What models cost: a table, and what the app knows better.
///
/// The table is the one that is built in, or read from a text: LiteLLM's
/// `model_prices_and_context_window.json` as it is, or a list of the form of the `prices.csv` of this
/// crate. A model is looked for
///
/// 1. among the app's own ([`model`](Self::model)): as it is named, without its date, without a
///    provider's prefix, and as it was asked for;
/// 2. as it is named, before that under the prefix that the table gives the models of the call's host;
/// 3. without its date (`gpt-6-sol-2026-09-22`), without a provider's prefix (`openai/gpt-4o`);
/// 4. among the app's aliases ([`alias`](Self::alias));
/// 5. and then the app's [fallback](Self::fallback) price is taken, if there is one.
///
/// What is not found has **no known price**, which is never zero.
///
/// ```
/// use cost_layer::{PerMillion, Prices};
/// use llm_exchange::{Price, Purchase};
///
/// let prices = Prices::builtin()
///     .alias("our-deployment", "gpt-4o")
///     .model("local-llama", PerMillion::new("0".parse()?, "0".parse()?));
/// let cost = |model| prices.price(&Purchase::estimate(model, 1_000, 100));
/// assert_eq!(cost("our-deployment"), "0.0035".parse().ok());
/// assert_eq!(cost("local-llama"), "0".parse().ok());
/// assert_eq!(cost("who-knows"), None);
/// # Ok::<_, llm_exchange::InvalidMoney>(())
/// ```
#[derive(Clone)]
pub struct Prices {
    table: Arc<Table>,
    own: Own,
    date: Option<SystemTime>,
    skipped: usize,
}

/// A text is no price table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPrices {
    line: usize,
    what: &'static str,
}

impl InvalidPrices {
    pub(crate) const EMPTY: Self = Self {
        line: 0,
        what: "it has no models",
    };

    pub(crate) const fn at(line: usize, what: &'static str) -> Self {
        Self { line, what }
    }
}

impl fmt::Display for InvalidPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "no price table: {}", self.what),
            line => write!(f, "no price table: line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for InvalidPrices {}

impl Prices {
    /// The list that is built in: 77 models of 14 providers. Third-party data, good for what one wants
    /// to know of the spending and not for invoices; prices move, so see to its [date](Self::date).
    #[must_use]
    pub fn builtin() -> Self {
        // a test reads every row of it
        Self::read(csv::BUILTIN).unwrap_or_else(|_| Self::of(Table::default()))
    }

    /// Reads LiteLLM's JSON or a list of the form of `prices.csv`, whichever it is.
    ///
    /// # Errors
    ///
    /// It is neither, or has no prices of tokens at all. Single entries of the JSON that can't be read
    /// are left out, see [`skipped`](Self::skipped).
    pub fn read(text: &str) -> Result<Self, InvalidPrices> {
        let (models, skipped, date) = if text.trim_start().starts_with('{') {
            let read = litellm::read(text)?;
            (read.models, read.skipped, None)
        } else {
            (csv::read(text)?, 0, csv::date(text).and_then(midnight))
        };
        if models.is_empty() {
            return Err(InvalidPrices::EMPTY);
        }
        Ok(Self {
            skipped,
            date,
            ..Self::of(Table::new(models))
        })
    }

    fn of(table: Table) -> Self {
        Self {
            table: Arc::new(table),
            own: Own::default(),
            date: None,
            skipped: 0,
        }
    }

    /// The same prices, known to be of this time. LiteLLM's JSON has no date: take its file's.
    #[must_use]
    pub const fn dated(mut self, date: SystemTime) -> Self {
        self.date = Some(date);
        self
    }

    /// A price of the app's own, which comes before the table's.
    #[must_use]
    pub fn model(mut self, name: &str, price: PerMillion) -> Self {
        self.own.model(name, price);
        self
    }

    /// Another name for a model of the table: of a deployment, of a fine-tuned model.
    #[must_use]
    pub fn alias(mut self, name: &str, model: &str) -> Self {
        self.own.alias(name, model);
        self
    }

    /// The price of whatever is not found. Default: none, so that its cost is not known.
    #[must_use]
    pub fn fallback(mut self, price: PerMillion) -> Self {
        self.own.fallback = Some(price);
        self
    }

    /// From when the prices are, if that is known.
    #[must_use]
    pub const fn date(&self) -> Option<SystemTime> {
        self.date
    }

    /// How old the prices are. `None`: it is not known.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        Some(now.duration_since(self.date?).unwrap_or_default())
    }

    /// How many models the table has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether the table has no model.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries could not be read.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// Whether a price of this model is known, the fallback not counted.
    #[must_use]
    pub fn knows(&self, model: &str) -> bool {
        self.own.find(model).is_some() || self.find(model, None).is_some()
    }

    /// What a purchase costs, item by item. `None`: a price that it needs is not known.
    ///
    /// What the provider itself says it cost goes before the table. `now` counts where the purchase
    /// has no time of its own.
    #[must_use]
    pub fn charge(&self, purchase: &Purchase<'_>, now: SystemTime) -> Option<Charge> {
        self.charge_either(purchase, purchase.model, now)
    }

    /// The same, or the price of another name of the model where its own is not known: answers name
    /// snapshots that no list has.
    pub(crate) fn charge_either(
        &self,
        purchase: &Purchase<'_>,
        other: &str,
        now: SystemTime,
    ) -> Option<Charge> {
        let names = [purchase.model, other];
        let own = names.iter().find_map(|name| self.own.find(name));
        let model = own.or_else(|| {
            let mut listed = names.iter().map(|name| self.find(name, purchase.host));
            listed.find_map(|found| found)
        });
        let charge = model.and_then(|model| model.charge(purchase, now));
        match (purchase.usage.stated_pico_usd, charge) {
            (Some(picos), charge) => Some(Charge {
                stated: Some(Money::from_picos(picos.into())),
                ..charge.unwrap_or_else(|| Charge::stated(picos))
            }),
            (None, Some(charge)) => Some(charge),
            (None, None) => self.own.fallback_charge(purchase),
        }
    }

    fn find(&self, model: &str, host: Option<&str>) -> Option<&rates::ModelPrice> {
        let found = self.table.find(model, host);
        found.or_else(|| {
            let meant = self.own.meant_by(model)?;
            self.own
                .exact(meant)
                .or_else(|| self.table.find(meant, host))
        })
    }

    /// The table of `newer`, and of both what the app knows better.
    pub(crate) fn replaced_by(&self, newer: Self) -> Self {
        Self {
            own: self.own.clone().overlaid_by(newer.own),
            ..newer
        }
    }

    /// How many of these models `newer` has too.
    pub(crate) fn kept_by(&self, newer: &Self) -> usize {
        let names = self.table.names();
        names
            .filter(|name| newer.table.find(name, None).is_some())
            .count()
    }
}

impl fmt::Debug for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prices")
            .field("models", &self.len())
            .field("date", &self.date)
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}

/// `2026-11-23` as a time, if it is a date.
fn midnight(date: &str) -> Option<SystemTime> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    crate::day::Day::new(year, month, day).map(|day| day.start())
}
