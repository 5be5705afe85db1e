//! What is known of one key's limits at the provider. Pure: time comes in as an argument.

use std::time::Duration;

use llm_exchange::{LimitOf, RateLimit};
use tokio::time::Instant;

/// Until when calls would surely be throttled, and which.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    /// The provider asked for this.
    asked: Option<Instant>,
    /// It asked so for a call of this size, with something left for smaller ones.
    asked_large: Option<(Instant, u64)>,
    /// None is left of what is counted anew from then on.
    window: Option<Instant>,
    /// None was left of a number of calls.
    calls: Option<Empty>,
    /// None was left of a number of tokens.
    tokens: Option<Empty>,
}

/// When a call may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Opening {
    pub(crate) at: Instant,
    /// A limit that fills all the time has room for one call then, not for many.
    pub(crate) is_paced: bool,
}

/// A limit of which nothing was left, and that fills all the time.
#[derive(Clone, Copy, Debug)]
struct Empty {
    since: Instant,
    full_in: Duration,
    limit: u64,
    /// Sent since.
    sent: u64,
}

impl Empty {
    /// Before then it can't have filled by so much more.
    fn has(&self, more: u64) -> Option<Instant> {
        let all = self.sent.saturating_add(more).min(self.limit);
        self.since.checked_add(part(self.full_in, all, self.limit))
    }
}

/// Tokens of a prompt that the provider has cached may count for nothing, and what is left may be rounded
/// to thousands: of a call so much counts surely.
const fn surely(size: u64) -> u64 {
    (size / 4).saturating_sub(1_000)
}

impl View {
    /// A call of this size was throttled, and the provider asked for a wait. `all`: so would any other be;
    /// else only those that are not smaller.
    pub(crate) fn throttled(&mut self, now: Instant, asked: Duration, size: u64, all: bool) {
        let Some(until) = now.checked_add(asked) else {
            return;
        };
        if all {
            self.asked = self.asked.max(Some(until));
        } else {
            self.asked_large = Some((until, size));
        }
    }

    /// An answer told of its limits, each believed for no longer than so. An answer that tells nothing
    /// of a limit leaves it as it was.
    pub(crate) fn told(
        &mut self,
        now: Instant,
        limits: impl Iterator<Item = RateLimit>,
        at_most: Duration,
    ) {
        let (mut calls, mut tokens, mut window) = (None, None, None);
        for limit in limits {
            let empty = limit.full_in.filter(|_| limit.remaining == 0);
            let empty = empty.map(|full_in| Empty {
                since: now,
                full_in: full_in.min(at_most),
                // without one nothing is known of when the first call passes
                limit: limit.limit.unwrap_or(u64::MAX),
                sent: 0,
            });
            let slowest = match limit.of {
                LimitOf::Requests => &mut calls,
                LimitOf::Tokens => &mut tokens,
                _ => &mut window,
            };
            *slowest = Some(slower(slowest.flatten(), empty));
        }
        self.calls = calls.unwrap_or(self.calls);
        self.tokens = tokens.unwrap_or(self.tokens);
        if let Some(window) = window {
            self.window = window.and_then(|empty| now.checked_add(empty.full_in));
        }
    }

    /// A call of this size is sent.
    pub(crate) fn sent(&mut self, size: u64) {
        if let Some(calls) = &mut self.calls {
            calls.sent = calls.sent.saturating_add(1);
        }
        if let Some(tokens) = &mut self.tokens {
            tokens.sent = tokens.sent.saturating_add(surely(size));
        }
    }

    /// When a call of this size may pass. `None`: now.
    pub(crate) fn opens(&self, size: u64, now: Instant) -> Option<Opening> {
        let large = self
            .asked_large
            .filter(|(_, least)| size >= *least)
            .map(|(until, _)| until);
        let held = self.asked.max(large).max(self.window);
        let need = surely(size);
        let calls = self.calls.and_then(|calls| calls.has(1));
        let tokens = self.tokens.filter(|_| need > 0);
        let tokens = tokens.and_then(|tokens| tokens.has(need));
        let at = held.max(calls).max(tokens)?;
        (at > now).then_some(Opening {
            at,
            is_paced: held.is_none_or(|held| held <= now),
        })
    }
}

/// The one that takes longer for a share of it.
fn slower(one: Option<Empty>, other: Option<Empty>) -> Option<Empty> {
    let pace = |empty: &Empty| part(empty.full_in, 1, empty.limit);
    [one, other].into_iter().flatten().max_by_key(pace)
}

/// A share of a time, at most all of it.
fn part(whole: Duration, of: u64, all: u64) -> Duration {
    let share = of as f64 / all.max(1) as f64;
    whole.mul_f64(share.min(1.0)).min(whole)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderValue};
    use llm_exchange::WallClock;
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3_600);

    /// A limit is made by reading headers alone.
    fn limit(of: &str, all: Option<u64>, left: u64, full_in: u64) -> Option<RateLimit> {
        let mut headers = HeaderMap::new();
        let mut set = |what: &str, value: u64| {
            let name = match of {
                "" => format!("x-ratelimit-{what}"),
                of => format!("x-ratelimit-{what}-{of}"),
            };
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, HeaderValue::from(value));
        };
        all.into_iter().for_each(|all| set("limit", all));
        set("remaining", left);
        set("reset", full_in);
        let clock = WallClock::from_fn(Arc::new(|| std::time::SystemTime::UNIX_EPOCH));
        RateLimit::read(&headers, &clock).next()
    }

    fn after(of: &str, all: Option<u64>, left: u64, size: u64) -> Option<Duration> {
        let (mut view, now) = (View::default(), Instant::now());
        view.told(now, limit(of, all, left, 60).into_iter(), HOUR);
        view.opens(size, now)
            .map(|opening| opening.at.duration_since(now))
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_which_nothing_is_left_closes_until_a_call_could_pass() {
        assert_eq!(after("requests", Some(600), 0, 1), Some(SECOND / 10));
        assert_eq!(after("requests", Some(600), 1, 1), None);
        assert_eq!(after("requests", None, 0, 1), None);
        // a quarter of 8,000, less 1,000: a thousand of 10,000
        assert_eq!(after("tokens", Some(10_000), 0, 8_000), Some(SECOND * 6));
        assert_eq!(after("tokens", Some(10_000), 0, 4_000), None);
        assert_eq!(
            after("tokens", Some(10_000), 0, 1_000_000),
            Some(SECOND * 60)
        );
        assert_eq!(after("tokens", Some(10_000), 3, 1_000_000), None);
        assert_eq!(after("", Some(10), 0, 1), Some(SECOND * 60));
        assert_eq!(after("", None, 0, 1), Some(SECOND * 60));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_for_one_size_holds_for_calls_not_smaller() {
        let (mut view, now) = (View::default(), Instant::now());
        let opens = |view: &View, size, now| view.opens(size, now).map(|opening| opening.at);
        view.throttled(now, SECOND, 5_000, false);
        assert_eq!(opens(&view, 4_999, now), None);
        assert_eq!(opens(&view, 5_000, now), Some(now + SECOND));
        view.throttled(now, SECOND * 3, 10, true);
        view.throttled(now, SECOND * 2, 10, true);
        assert_eq!(opens(&view, 1, now), Some(now + SECOND * 3));
        assert_eq!(opens(&view, 1, now + SECOND * 3), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fills_all_the_time_lets_one_call_pass_for_each_that_there_is_room_for() {
        let (mut view, start) = (View::default(), Instant::now());
        view.told(start, limit("requests", Some(60), 0, 60).into_iter(), HOUR);
        let mut now = start;
        for number in 1..=10 {
            let opening = view.opens(1, now).unwrap();
            assert_eq!(opening.at, start + SECOND * number);
            assert!(opening.is_paced);
            now = opening.at;
            view.sent(1);
        }
        // nothing was sent for a while
        now += SECOND * 5;
        for _ in 0..5 {
            assert_eq!(view.opens(1, now), None);
            view.sent(1);
        }
        assert!(view.opens(1, now).is_some());
        view.told(now, limit("requests", Some(60), 3, 57).into_iter(), HOUR);
        assert_eq!(view.opens(1, now), None);
    }

    #[derive(Clone, Debug)]
    enum Told {
        Throttled(u64, u64, bool),
        Limit(&'static str, Option<u64>, u64, u64),
    }

    fn told() -> impl Strategy<Value = Told> {
        let of = prop::sample::select(vec!["requests", "tokens", ""]);
        prop_oneof![
            (0..20_000u64, 0..50_000u64, any::<bool>())
                .prop_map(|(asked, size, all)| Told::Throttled(asked, size, all)),
            (of, prop::option::of(any::<u64>()), 0..3u64, any::<u64>())
                .prop_map(|(of, all, left, full)| Told::Limit(of, all, left, full)),
        ]
    }

    proptest! {
        /// Whatever was told, nothing is believed longer than set, a larger call never passes before a
        /// smaller one, and time alone opens.
        #[test]
        fn no_history_closes_for_longer_than_it_is_believed(
            history in prop::collection::vec((0..5_000u64, told()), 1..40),
            sent in prop::collection::vec(0..60_000u64, 0..10),
            size in 0..60_000u64, larger in 0..60_000u64, later in 0..4_000_000u64,
        ) {
            let mut view = View::default();
            let mut now = Instant::now();
            let mut latest = now;
            let mut spent = false;
            for (millis, told) in history {
                now += Duration::from_millis(millis);
                match told {
                    Told::Throttled(asked, size, all) => {
                        let asked = Duration::from_millis(asked);
                        view.throttled(now, asked, size, all);
                        latest = latest.max(now + asked);
                        spent = true;
                    }
                    Told::Limit(of, all, left, full) => {
                        if let Some(limit) = limit(of, all, left, full) {
                            view.told(now, std::iter::once(limit), HOUR);
                            if left == 0 {
                                latest = latest.max(now + HOUR);
                                spent = true;
                            }
                        }
                    }
                }
            }
            for sent in sent {
                view.sent(sent);
            }
            let opens = |size, now| view.opens(size, now).map(|opening| opening.at);
            let until = opens(size, now);
            prop_assert!(until.is_none() || spent);
            prop_assert!(until <= Some(latest));
            prop_assert!(until.is_none_or(|until| until > now));
            prop_assert!(opens(size.max(larger), now) >= until);
            let later = now + Duration::from_millis(later);
            prop_assert_eq!(opens(size, later), until.filter(|until| *until > later));
        }
    }
}
