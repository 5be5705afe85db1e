//! What the app knows better than the table.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use llm_exchange::{Money, Purchase};

use super::{
    charge::Charge,
    names::{tails, without_date},
    rate::{Factor, Rate},
    rates::{ModelPrice, Rates, charge},
};

/// A price of the app's own: dollars for a million tokens.
///
/// ```
/// use cost_layer::PerMillion;
///
/// let price = PerMillion::new("2.50".parse()?, "10".parse()?).cached("1.25".parse()?);
/// # let _ = price; Ok::<_, llm_exchange::InvalidMoney>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerMillion(Rates);

impl PerMillion {
    /// The price of a million prompt tokens and of a million generated ones.
    #[must_use]
    pub fn new(input: Money, output: Money) -> Self {
        Self(Rates {
            input: rate(input),
            output: rate(output),
            ..Rates::default()
        })
    }

    /// The price of a million prompt tokens read from the provider's cache. Default: as the others.
    #[must_use]
    pub fn cached(mut self, price: Money) -> Self {
        self.0.cached = rate(price);
        self
    }

    /// The price of a million prompt tokens written to the provider's cache. Default: as the others.
    #[must_use]
    pub fn cache_write(mut self, price: Money) -> Self {
        self.0.cache_write = rate(price);
        self
    }
}

fn rate(price: Money) -> Option<Rate> {
    Rate::of_picos_per_million(price.picos())
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    models: HashMap<Box<str>, ModelPrice, RandomState>,
    aliases: HashMap<Box<str>, Box<str>, RandomState>,
    pub(crate) fallback: Option<PerMillion>,
}

impl Own {
    pub(crate) fn model(&mut self, name: &str, price: PerMillion) {
        let price = ModelPrice {
            base: price.0,
            ..ModelPrice::default()
        };
        self.models.insert(name.into(), price);
    }

    pub(crate) fn alias(&mut self, name: &str, model: &str) {
        self.aliases.insert(name.into(), model.into());
    }

    pub(crate) fn exact(&self, model: &str) -> Option<&ModelPrice> {
        self.models.get(model)
    }

    /// The price of a model as it is named, without its date, and without the prefix of a provider.
    pub(crate) fn find(&self, model: &str) -> Option<&ModelPrice> {
        if self.models.is_empty() {
            return None;
        }
        let names = || std::iter::once(model).chain(without_date(model));
        let tails = names().flat_map(tails);
        names().chain(tails).find_map(|name| self.exact(name))
    }

    pub(crate) fn meant_by(&self, model: &str) -> Option<&str> {
        self.aliases.get(model).map(AsRef::as_ref)
    }

    pub(crate) fn fallback_charge(&self, purchase: &Purchase<'_>) -> Option<Charge> {
        let rates = self.fallback?.0;
        let charge = charge(&purchase.usage, &rates, Factor::ONE, None)?;
        Some(Charge {
            is_fallback: true,
            ..charge
        })
    }

    pub(crate) fn overlaid_by(mut self, other: Self) -> Self {
        self.models.extend(other.models);
        self.aliases.extend(other.aliases);
        self.fallback = other.fallback.or(self.fallback);
        self
    }
}
