//! The price of one unit, exact.

/// US dollars for one unit (a token, a search), in atto-dollars (10⁻¹⁸): so fine that no price list's
/// number is rounded in a way that a sum could show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rate(u64);

/// A factor on a rate, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Factor(u64);

/// What a product came to, in pico-dollars; saturated where it is beyond all reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) picos: u128,
    pub(crate) saturated: bool,
}

const ATTOS: i32 = 18;
const MILLION: u64 = 1_000_000;

impl Rate {
    /// Dollars for one unit, as JSON writes a number: `2.5e-06`.
    pub(crate) fn per_unit(dollars: &str) -> Option<Self> {
        decimal(dollars, ATTOS).map(Self)
    }

    /// Dollars for a million units: `2.50`.
    pub(crate) fn per_million(dollars: &str) -> Option<Self> {
        decimal(dollars, ATTOS - 6).map(Self)
    }

    /// Pico-dollars for a million units.
    pub(crate) fn of_picos_per_million(picos: u128) -> Option<Self> {
        // a pico for a million is an atto for one
        u64::try_from(picos).ok().map(Self)
    }

    /// This rate as another one stands to its base: what a list that gives only some of its prices at
    /// a tier means for the rest.
    pub(crate) fn as_from_to(self, base: Self, tier: Self) -> Self {
        if base.0 == 0 {
            return self;
        }
        let scaled = u128::from(self.0) * u128::from(tier.0);
        let rounded = (scaled + u128::from(base.0) / 2) / u128::from(base.0);
        Self(u64::try_from(rounded).unwrap_or(u64::MAX))
    }

    /// The cost of so many units; rounded once, half up.
    pub(crate) fn of(self, units: u64, factor: Factor) -> Product {
        let exact = u128::from(self.0) * u128::from(units);
        let (unscaled, saturated) = match exact.checked_mul(u128::from(factor.0)) {
            Some(product) => (product, false),
            None => (u128::MAX, true),
        };
        let divisor = u128::from(MILLION) * u128::from(MILLION);
        let half_up = u128::from(unscaled % divisor >= divisor / 2);
        Product {
            picos: unscaled / divisor + half_up,
            saturated,
        }
    }
}

impl Factor {
    pub(crate) const ONE: Self = Self(MILLION);

    pub(crate) fn parse(text: &str) -> Option<Self> {
        decimal(text, 6).map(Self)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        let product = u128::from(self.0) * u128::from(other.0) / u128::from(MILLION);
        Self(u64::try_from(product).unwrap_or(u64::MAX))
    }
}

/// A decimal number times 10 to the power of `shift`, rounded half up. `None`: no number, a negative
/// one, or one beyond all bounds.
fn decimal(text: &str, shift: i32) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0_u128;
    let mut power = exponent.checked_add(shift)?;
    for (part, weight) in [(whole, 0), (fraction, 1)] {
        for digit in part.bytes() {
            if !digit.is_ascii_digit() {
                return None;
            }
            // digits beyond what a u128 holds well are far below an atto
            if value >= 10_u128.pow(30) {
                power = power.checked_add(1 - weight)?;
                continue;
            }
            value = value * 10 + u128::from(digit - b'0');
            power = power.checked_sub(weight)?;
        }
    }
    while power > 0 && value != 0 {
        value = value.checked_mul(10)?;
        power -= 1;
    }
    let value = match 10_u128.checked_pow(power.min(0).unsigned_abs()) {
        Some(divisor) => value / divisor + u128::from(value % divisor >= divisor.div_ceil(2)),
        None => 0,
    };
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_price_is_read_exactly_in_any_notation() {
        for text in ["2.5e-06", "2.5E-6", "0.0000025", "25e-7", "2.5000e-06"] {
            assert_eq!(
                Rate::per_unit(text),
                Some(Rate(2_500_000_000_000)),
                "{text}"
            );
        }
        assert_eq!(Rate::per_million("2.50"), Rate::per_unit("2.5e-06"));
        assert_eq!(
            Rate::per_unit("1.1428571428571428e-06"),
            Some(Rate(1_142_857_142_857))
        );
        assert_eq!(Rate::per_unit("0.0"), Some(Rate(0)));
        assert_eq!(Rate::per_unit("0e999"), Some(Rate(0)));
        assert_eq!(Rate::per_unit("1e-99"), Some(Rate(0)));
    }

    #[test]
    fn what_is_no_price_is_none() {
        for text in [
            "",
            ".",
            "-1",
            "+1",
            "NaN",
            "inf",
            "1e",
            "e5",
            "1,5",
            "1e400",
            "99999999999999999999",
            "1e9999999999",
            "0x10",
            " 1",
        ] {
            assert_eq!(Rate::per_unit(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_product_is_rounded_once_and_half_up() {
        let of = |attos, units| Rate(attos).of(units, Factor::ONE).picos;
        assert_eq!(of(499_999, 1), 0);
        assert_eq!(of(500_000, 1), 1);
        assert_eq!(of(400_000, 10), 4);
        let factor = Factor::parse("1.1").unwrap();
        assert_eq!(Rate(4_000_000_000_000).of(50, factor).picos, 220_000_000);
    }

    #[test]
    fn beyond_all_bounds_it_saturates_and_says_so() {
        let product = Rate(u64::MAX).of(u64::MAX, Factor(2 * MILLION));
        assert!(product.saturated);
        assert!(product.picos > 1 << 80);
    }

    proptest! {
        #[test]
        fn any_decimal_of_a_price_list_is_exact(micros in 0_u64..1_000_000_000_000) {
            // dollars for a million with six decimals
            let text = format!("{}.{:06}", micros / MILLION, micros % MILLION);
            let picos = u128::from(micros) * 1_000_000;
            prop_assert_eq!(Rate::per_million(&text), Rate::of_picos_per_million(picos));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Rate::per_unit(&text);
        }

        #[test]
        fn the_whole_is_the_sum_of_its_parts_but_for_the_rounding(
            attos in 0_u64..1 << 50, first in 0_u64..1 << 40, second in 0_u64..1 << 40,
        ) {
            let of = |units| Rate(attos).of(units, Factor::ONE).picos;
            prop_assert!(of(first + second).abs_diff(of(first) + of(second)) <= 1);
        }
    }
}
