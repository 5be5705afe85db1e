//! What limits count in.

use std::fmt;

use llm_exchange::Money;

use crate::account::MOST;

/// An amount of what a limit counts: tokens, or money.
///
/// No amount is ever larger than 2⁵⁰ tokens or nano-dollars, which is over a million dollars.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Tokens of prompts and answers.
    Tokens(u64),
    /// US dollars.
    Money(Money),
}

/// Of which kind an amount is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Tokens,
    /// Whole nano-dollars in stores.
    Money,
}

impl Unit {
    /// An amount as stores keep it.
    pub(crate) fn amount(self, kept: u64) -> Amount {
        match self {
            Self::Tokens => Amount::Tokens(kept),
            Self::Money => Amount::Money(Money::from_picos(u128::from(kept) * 1_000)),
        }
    }

    /// What a limit's name ends in.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Money => "usd",
        }
    }
}

impl Amount {
    pub(crate) const fn unit(self) -> Unit {
        match self {
            Self::Tokens(_) => Unit::Tokens,
            Self::Money(_) => Unit::Money,
        }
    }

    /// As stores keep it. A part of a nano-dollar is a whole one.
    pub(crate) fn kept(self) -> u64 {
        match self {
            Self::Tokens(tokens) => tokens.min(MOST),
            Self::Money(money) => nanos(money),
        }
    }
}

pub(crate) fn nanos(money: Money) -> u64 {
    u64::try_from(money.picos().div_ceil(1_000)).map_or(MOST, |nanos| nanos.min(MOST))
}

impl From<Money> for Amount {
    fn from(money: Money) -> Self {
        Self::Money(money)
    }
}

/// A bare number: `1200`, `0.25`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => write!(f, "{tokens}"),
            Self::Money(money) => f.write_str(money.to_string().trim_start_matches('$')),
        }
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
            Self::Money(money) => write!(f, "{money}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_kept_in_nano_dollars_rounded_up() {
        assert_eq!(nanos(Money::from_picos(1)), 1);
        assert_eq!(nanos(Money::from_picos(1_000)), 1);
        assert_eq!(nanos(Money::usd(5)), 5_000_000_000);
        assert_eq!(nanos(Money::usd(u64::MAX)), MOST);
        let quarter = Unit::Money.amount(250_000_000);
        assert_eq!(quarter.to_string(), "0.25");
        assert_eq!(quarter.kept(), 250_000_000);
    }
}
