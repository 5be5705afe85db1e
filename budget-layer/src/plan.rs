//! What is reserved for a call. Nothing here waits or asks a store.

use crate::learnt::Expected;

/// What a prompt is counted at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) tokens: u64,
    /// All of it is text that was counted, so that the count can be compared with the truth.
    pub(crate) is_text: bool,
}

/// How much of an answer is reserved for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Where the caller gives no cap: at least so many output tokens.
    pub(crate) output_reserve: u64,
    /// A call for which less is left is refused.
    pub(crate) least_output: u64,
    /// Streams are given a cap too.
    pub(crate) strict: bool,
    /// The provider is told the cap.
    pub(crate) tells_provider: bool,
}

/// What of a request the plan depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) prompt: Prompt,
    pub(crate) cap: Option<u64>,
    pub(crate) choices: u32,
    pub(crate) is_stream: bool,
    /// The provider can be told a cap: the dialect has one, and the request is not signed.
    pub(crate) can_be_told: bool,
}

/// What is reserved for a call: the prompt and, for each choice, from `least` to `most` tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The prompt, on the safe side.
    pub(crate) input: u64,
    /// The prompt as it was counted.
    pub(crate) prompt: Prompt,
    pub(crate) least: u64,
    pub(crate) most: u64,
    pub(crate) choices: u64,
    pub(crate) holds: Holds,
    pub(crate) expected: Expected,
}

/// What holds the answer to what is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// The provider is told what was granted.
    ToldCap,
    /// The caller's own cap, all of it reserved.
    OwnCap,
    /// The stream is reserved for in steps of so many tokens of each choice, and cut.
    Steps(u64),
    /// Nothing: an answer in one piece, of which nobody can be told how long it may be.
    Nothing,
}

/// More than any answer is. Prices are asked for no more, so that none overflows by a number that a
/// caller wrote.
const MOST_OUTPUT: u64 = 1 << 32;

/// What the first step of a stream is at least.
const STEP: u64 = 1_024;

impl Plan {
    pub(crate) fn new(wish: &Wish, rules: &Rules, expected: Expected) -> Self {
        let tells = rules.tells_provider && wish.can_be_told;
        let cap = wish.cap.map(|cap| cap.min(MOST_OUTPUT));
        let (least, most, holds) = match cap {
            Some(cap) if tells => (cap.min(rules.least_output), cap, Holds::ToldCap),
            Some(cap) => (cap, cap, Holds::OwnCap),
            None if wish.is_stream && !(rules.strict && tells) => {
                let usual = expected.output.unwrap_or(0);
                let step = usual.saturating_add(usual / 4).max(STEP);
                (step.min(rules.least_output), step, Holds::Steps(step))
            }
            None => {
                let usual = expected.output.unwrap_or(0);
                let most = rules.output_reserve.max(usual.saturating_mul(4));
                let most = most.min(MOST_OUTPUT);
                if tells {
                    (most.min(rules.least_output), most, Holds::ToldCap)
                } else {
                    (most, most, Holds::Nothing)
                }
            }
        };
        Self {
            input: scaled(wish.prompt.tokens, expected.input_ratio),
            prompt: wish.prompt,
            least,
            most,
            choices: wish.choices.max(1).into(),
            holds,
            expected,
        }
    }

    /// All choices together, at so many tokens each.
    pub(crate) const fn output(&self, each: u64) -> u64 {
        let all = each.saturating_mul(self.choices);
        if all < MOST_OUTPUT { all } else { MOST_OUTPUT }
    }

    /// Whether the provider is to be told so many tokens, where the caller asked for `cap`.
    pub(crate) fn tells(&self, each: u64, cap: Option<u64>) -> bool {
        self.holds == Holds::ToldCap && cap != Some(each)
    }

    /// What an answer in one piece most likely is, of which nothing was heard.
    pub(crate) fn unheard(&self, granted: u64) -> u64 {
        match self.expected.output {
            Some(usual) => granted.min(self.output(usual)),
            None => granted,
        }
    }

    /// What of a stream is held against what is reserved. Where the provider holds to a cap, an
    /// estimate on the safe side would cut short what is within it.
    pub(crate) fn measured(&self, tokens: u64) -> u64 {
        match self.holds {
            Holds::Steps(_) => self.of_text(tokens),
            _ => tokens,
        }
    }

    /// What the text of an answer stands for that its provider did not count to the end.
    pub(crate) fn of_answer(&self, tokens: u64, granted: u64) -> u64 {
        match self.holds {
            Holds::ToldCap | Holds::OwnCap => self.of_text(tokens).min(granted.max(tokens)),
            _ => self.of_text(tokens),
        }
    }

    /// What a text stands for, on the safe side.
    fn of_text(&self, tokens: u64) -> u64 {
        scaled(tokens, self.expected.text_ratio).max(tokens)
    }
}

/// Rounded up.
fn scaled(tokens: u64, ratio: f64) -> u64 {
    // as a cast it is within the range: of no more than 2^50 tokens nothing is lost
    (tokens.min(crate::account::MOST) as f64 * ratio).ceil() as u64
}

/// The most of `least..=most` that is within a limit; `least` where nothing is known to be.
pub(crate) fn largest(least: u64, most: u64, mut fits: impl FnMut(u64) -> bool) -> u64 {
    if fits(most) {
        return most;
    }
    let (mut low, mut high) = (least, most);
    while high > low + 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules {
        output_reserve: 4_096,
        least_output: 256,
        strict: false,
        tells_provider: true,
    };
    const WISH: Wish = Wish {
        prompt: Prompt {
            tokens: 100,
            is_text: true,
        },
        cap: None,
        choices: 1,
        is_stream: false,
        can_be_told: true,
    };

    fn expecting(output: Option<u64>) -> Expected {
        Expected {
            output,
            input_ratio: 1.1,
            text_ratio: 1.25,
        }
    }

    fn plan(wish: Wish, rules: Rules, output: Option<u64>) -> (u64, u64, Holds) {
        let plan = Plan::new(&wish, &rules, expecting(output));
        (plan.least, plan.most, plan.holds)
    }

    #[test]
    fn without_a_cap_the_larger_of_4096_and_four_times_the_usual_is_told() {
        assert_eq!(plan(WISH, RULES, None), (256, 4_096, Holds::ToldCap));
        assert_eq!(plan(WISH, RULES, Some(100)), (256, 4_096, Holds::ToldCap));
        assert_eq!(plan(WISH, RULES, Some(2_000)), (256, 8_000, Holds::ToldCap));
        let untold = Wish {
            can_be_told: false,
            ..WISH
        };
        assert_eq!(plan(untold, RULES, None), (4_096, 4_096, Holds::Nothing));
    }

    #[test]
    fn a_callers_cap_is_reserved_or_lowered_and_where_it_cannot_be_lowered_it_is_all_or_nothing() {
        let capped = Wish {
            cap: Some(1_000),
            ..WISH
        };
        assert_eq!(plan(capped, RULES, None), (256, 1_000, Holds::ToldCap));
        let small = Wish {
            cap: Some(10),
            ..WISH
        };
        assert_eq!(plan(small, RULES, None), (10, 10, Holds::ToldCap));
        let off = Rules {
            tells_provider: false,
            ..RULES
        };
        assert_eq!(plan(capped, off, None), (1_000, 1_000, Holds::OwnCap));
    }

    #[test]
    fn a_stream_without_a_cap_goes_in_steps_unless_told_to_be_strict() {
        let stream = Wish {
            is_stream: true,
            ..WISH
        };
        assert_eq!(plan(stream, RULES, None), (256, 1_024, Holds::Steps(1_024)));
        let usual = plan(stream, RULES, Some(4_000));
        assert_eq!(usual, (256, 5_000, Holds::Steps(5_000)));
        let strict = Rules {
            strict: true,
            ..RULES
        };
        assert_eq!(plan(stream, strict, None), (256, 4_096, Holds::ToldCap));
        let signed = Wish {
            can_be_told: false,
            ..stream
        };
        assert_eq!(
            plan(signed, strict, None),
            (256, 1_024, Holds::Steps(1_024))
        );
    }

    proptest! {
        #[test]
        fn the_largest_that_fits_is_found(least in 0u64..50, more in 0u64..1_000, limit in 0u64..2_000) {
            let most = least + more;
            let found = largest(least, most, |output| output * 2 <= limit);
            prop_assert!((least..=most).contains(&found));
            prop_assert!(found == least || found * 2 <= limit);
            prop_assert!(found == most || (found + 1) * 2 > limit || found * 2 > limit);
        }
    }
}
