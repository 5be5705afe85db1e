//! Whether a call fits into several limits at once, and how much of it.

/// A part of what a call asks for is granted in so many steps.
pub(crate) const WHOLE: u32 = 1 << 16;

/// What a call asks of one limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// What the limit has left.
    pub(crate) left: u64,
    /// With less the call is not sent.
    pub(crate) least: u64,
    /// What it would like to have, at least `least`.
    pub(crate) most: u64,
    /// Whether the limit refuses.
    pub(crate) enforced: bool,
}

/// How much of the way from `least` to `most` fits into every limit: of [`WHOLE`] parts.
///
/// # Errors
///
/// The first limit that has not even the least left.
pub(crate) fn fit(asked: impl IntoIterator<Item = Asked>) -> Result<u32, usize> {
    let mut share = WHOLE;
    for (index, asked) in asked.into_iter().enumerate() {
        if !asked.enforced {
            continue;
        }
        if asked.left < asked.least {
            return Err(index);
        }
        if asked.left < asked.most {
            let range = u128::from(asked.most - asked.least);
            let fits = u128::from(asked.left - asked.least) * u128::from(WHOLE) / range;
            // less than the whole, as less than the range fits
            share = share.min(fits as u32);
        }
    }
    Ok(share)
}

/// What is reserved of one limit at a share: rounded up, and still what fits.
pub(crate) fn amount(least: u64, most: u64, share: u32) -> u64 {
    let range = most.saturating_sub(least);
    least.saturating_add(part(range, share, WHOLE - 1))
}

/// What of a range of output tokens is granted at a share: rounded down.
pub(crate) fn granted(least: u64, most: u64, share: u32) -> u64 {
    let range = most.saturating_sub(least);
    least.saturating_add(part(range, share, 0))
}

fn part(range: u64, share: u32, round: u32) -> u64 {
    let part = (u128::from(range) * u128::from(share) + u128::from(round)) / u128::from(WHOLE);
    // at most the range
    part as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::account::MOST;

    proptest! {
        #[test]
        fn what_is_reserved_fits_everywhere_and_one_more_share_would_not(
            limits in prop::collection::vec((0..MOST, 0..MOST, 0..MOST, any::<bool>()), 1..5),
        ) {
            let asked: Vec<_> = limits
                .iter()
                .map(|(left, one, other, enforced)| Asked {
                    left: *left,
                    least: *one.min(other),
                    most: *one.max(other),
                    enforced: *enforced,
                })
                .collect();
            let fits = |share| asked.iter().all(|limit| {
                !limit.enforced || amount(limit.least, limit.most, share) <= limit.left
            });
            match fit(asked.iter().copied()) {
                Ok(share) => {
                    prop_assert!(fits(share));
                    let next_is_too_much = asked.iter().any(|limit| {
                        let next = u128::from(limit.most - limit.least) * u128::from(share + 1);
                        let left = limit.left.saturating_sub(limit.least);
                        limit.enforced && next > u128::from(left) * u128::from(WHOLE)
                    });
                    prop_assert!(share == WHOLE || next_is_too_much);
                }
                Err(index) => prop_assert!(asked[index].left < asked[index].least),
            }
        }

        #[test]
        fn a_granted_output_is_never_more_than_what_is_reserved_for_it(
            input in 0..MOST, least in 0u64..5_000, more in 0u64..100_000, choices in 1u64..9,
            share in 0..=WHOLE,
        ) {
            let most = least + more;
            let output = granted(least, most, share);
            let reserved = amount(input + least * choices, input + most * choices, share);
            prop_assert!(input + output * choices <= reserved);
            prop_assert!((least..=most).contains(&output));
        }
    }
}
