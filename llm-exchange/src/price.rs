//! What tokens cost.

use std::{fmt, str::FromStr, time::SystemTime};

use crate::Usage;

/// An amount of US dollars, exact: a whole number of pico-dollars (10⁻¹² USD).
///
/// A price of $2.50 for a million tokens is 2,500,000 pico-dollars a token, so that no sum of charges
/// is ever rounded.
///
/// ```
/// use llm_exchange::Money;
///
/// let limit: Money = "0.10".parse()?;
/// assert_eq!(limit, Money::from_picos(100_000_000_000));
/// assert_eq!(limit.saturating_add(Money::usd(2)).to_string(), "$2.10");
/// # Ok::<_, llm_exchange::InvalidMoney>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u128);

const PICOS: u128 = 1_000_000_000_000;

/// Why a text is no amount of dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMoney(());

impl fmt::Display for InvalidMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount is digits, and up to 12 more after a point")
    }
}

impl std::error::Error for InvalidMoney {}

impl Money {
    /// Nothing. It is a known amount: a price that is not known is `None`.
    pub const ZERO: Self = Self(0);

    /// So many pico-dollars.
    #[must_use]
    pub const fn from_picos(picos: u128) -> Self {
        Self(picos)
    }

    /// So many dollars.
    #[must_use]
    pub const fn usd(dollars: u64) -> Self {
        // 2^64 dollars are less than 2^104 picos
        Self(dollars as u128 * PICOS)
    }

    /// The amount in pico-dollars.
    #[must_use]
    pub const fn picos(self) -> u128 {
        self.0
    }

    /// The sum, or the largest amount there is.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl FromStr for Money {
    type Err = InvalidMoney;

    /// Dollars as a decimal number: `5`, `0.10`.
    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
            return Err(InvalidMoney(()));
        }
        let missing = 12usize
            .checked_sub(fraction.len())
            .ok_or(InvalidMoney(()))?;
        let picos = || -> Option<u128> {
            let whole: u128 = whole.parse().ok()?;
            let fraction = format!("{fraction}{}", "0".repeat(missing));
            whole
                .checked_mul(PICOS)?
                .checked_add(fraction.parse().ok()?)
        };
        picos().map(Self).ok_or(InvalidMoney(()))
    }
}

/// Dollars, with the cents at least: `$0.10`, `$0.0065752`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:012}", self.0 % PICOS);
        let cut = fraction.trim_end_matches('0').len().max(2);
        write!(f, "${}.{}", self.0 / PICOS, &fraction[..cut])
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money({self})")
    }
}

/// What is bought of a provider with one call: the tokens it used, or will use at a guess.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Purchase<'a> {
    /// The model, as the provider names it.
    pub model: &'a str,
    /// The tokens.
    pub usage: Usage,
    /// The service tier that the answer names, where it names one: prices differ by it.
    pub service_tier: Option<&'a str>,
    /// The host of the provider, where it is known: one model may have several prices.
    pub host: Option<&'a str>,
    /// The speed that the answer names (Anthropic: `fast`).
    pub speed: Option<&'a str>,
    /// The place that the answer names (Anthropic: `us`).
    pub geo: Option<&'a str>,
    /// When; `None`: now. Some providers are cheaper at night.
    pub at: Option<SystemTime>,
}

impl<'a> Purchase<'a> {
    /// These tokens of this model, at the usual tier.
    #[must_use]
    pub const fn new(model: &'a str, usage: Usage) -> Self {
        Self {
            model,
            usage,
            service_tier: None,
            host: None,
            speed: None,
            geo: None,
            at: None,
        }
    }

    /// A guess, before the call is made: so many tokens in and out, none of them cached.
    #[must_use]
    pub fn estimate(model: &'a str, input: u64, output: u64) -> Self {
        let usage = Usage {
            uncached: input,
            visible: output,
            ..Usage::default()
        };
        Self::new(model, usage)
    }

    /// The same at this service tier.
    #[must_use]
    pub const fn service_tier(mut self, tier: &'a str) -> Self {
        self.service_tier = Some(tier);
        self
    }

    /// The same of the provider at this host.
    #[must_use]
    pub const fn host(mut self, host: &'a str) -> Self {
        self.host = Some(host);
        self
    }
}

/// Knows what tokens cost. A layer that limits or books money is given one.
///
/// Any `Fn(&Purchase<'_>) -> Option<Money>` is one.
///
/// ```
/// use llm_exchange::{Money, Price, Purchase};
///
/// // $2.50 and $10 for a million tokens; of other models nothing is known
/// let prices = |of: &Purchase<'_>| {
///     (of.model == "gpt-4o").then(|| {
///         let picos = of.usage.input() * 2_500_000 + of.usage.output() * 10_000_000;
///         Money::from_picos(picos.into())
///     })
/// };
/// let price = prices.price(&Purchase::estimate("gpt-4o", 1_000, 200));
/// assert_eq!(price, "0.0045".parse().ok());
/// assert_eq!(prices.price(&Purchase::estimate("gpt-5", 1_000, 200)), None);
/// ```
pub trait Price: Send + Sync {
    /// What this costs. `None`: the price is not known, which is a state of its own and never zero;
    /// each layer says what it does then.
    fn price(&self, purchase: &Purchase<'_>) -> Option<Money>;
}

impl<F> Price for F
where
    F: Fn(&Purchase<'_>) -> Option<Money> + Send + Sync,
{
    fn price(&self, purchase: &Purchase<'_>) -> Option<Money> {
        self(purchase)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_is_read_exactly_or_not_at_all() {
        let read = |text: &str| text.parse::<Money>().map(Money::picos).ok();
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("5"), Some(5 * PICOS));
        assert_eq!(read("0.10"), Some(PICOS / 10));
        assert_eq!(read("0.000000000001"), Some(1));
        for text in [
            "",
            ".5",
            "1.",
            "-1",
            "+1",
            "1e3",
            "0.0000000000001",
            "1,5",
            "$1",
            " 1",
            "NaN",
            "999999999999999999999999999999999999999",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(Money::usd(u64::MAX).picos(), u128::from(u64::MAX) * PICOS);
    }

    #[test]
    fn prices_can_be_kept_as_a_trait_object() {
        let prices: Box<dyn Price> = Box::new(|_: &Purchase<'_>| None);
        assert_eq!(prices.price(&Purchase::estimate("m", 1, 1)), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(picos in any::<u128>()) {
            let money = Money::from_picos(picos);
            let text = money.to_string();
            prop_assert_eq!(text.trim_start_matches('$').parse::<Money>(), Ok(money));
        }
    }
}
