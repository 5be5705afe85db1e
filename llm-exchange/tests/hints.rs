//! What the heads of answers say about sending a call again.

#[path = "common/transcripts.rs"]
mod transcripts;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use llm_exchange::{Delay, Hints, LimitOf, RateLimit, WallClock};
use proptest::prelude::*;
use transcripts::{clock, then};

type Header = (&'static str, &'static str);

/// Longer than anybody waits.
const AGES: Duration = Duration::from_secs(50 * 365 * 86_400);

fn head(headers: &[Header]) -> HeaderMap {
    let header = |&(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    // `extend` appends, so that a repeated header is kept.
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().map(header) {
        map.append(name, value);
    }
    map
}

fn read(headers: &[Header]) -> Hints {
    Hints::read(&head(headers), &clock())
}

fn delay(headers: &[Header]) -> Option<Delay> {
    read(headers).delay()
}

fn asked_ms(millis: u64) -> Option<Delay> {
    Some(Delay::Asked(Duration::from_millis(millis)))
}

fn at_most_ms(millis: u64) -> Option<Delay> {
    Some(Delay::AtMost(Duration::from_millis(millis)))
}

fn asks_for_ages(headers: &[Header]) -> bool {
    matches!(delay(headers), Some(Delay::Asked(wait)) if wait > AGES)
}

#[test]
fn no_headers_give_no_hints() {
    assert_eq!(read(&[]), Hints::default());
    assert_eq!((read(&[]).delay(), read(&[]).should_retry()), (None, None));
}

#[test]
fn seconds_fractions_and_exponents_are_asked_for() {
    assert_eq!(delay(&[("retry-after", "2")]), asked_ms(2_000));
    assert_eq!(delay(&[("retry-after", " 1.82 ")]), asked_ms(1_820));
    assert_eq!(delay(&[("retry-after", ".5")]), asked_ms(500));
    assert_eq!(delay(&[("retry-after", "1e1")]), asked_ms(10_000));
}

#[test]
fn a_fraction_of_a_nanosecond_is_rounded_up() {
    let nano = Duration::from_nanos(1);
    assert_eq!(delay(&[("retry-after", "1e-30")]), Some(Delay::Asked(nano)));
    assert_eq!(
        delay(&[("retry-after-ms", "0.0000011")]),
        Some(Delay::Asked(2 * nano))
    );
}

#[test]
fn all_three_forms_of_an_http_date_are_read() {
    for date in [
        "Mon, 23 Nov 2026 10:00:30 GMT",
        "Monday, 23-Nov-26 10:00:30 GMT",
        "Mon Nov 23 10:00:30 2026",
    ] {
        assert_eq!(delay(&[("retry-after", date)]), asked_ms(30_000), "{date}");
    }
}

#[test]
fn a_date_counts_from_the_answers_own_date() {
    let headers = [
        ("date", "Mon, 23 Nov 2026 11:00:00 GMT"),
        ("retry-after", "Mon, 23 Nov 2026 11:00:30 GMT"),
    ];
    assert_eq!(delay(&headers), asked_ms(30_000));
}

#[test]
fn an_unreadable_date_header_leaves_the_clock() {
    let headers = [
        ("date", "today"),
        ("retry-after", "Mon, 23 Nov 2026 10:00:30 GMT"),
    ];
    assert_eq!(delay(&headers), asked_ms(30_000));
}

#[test]
fn the_clock_is_asked_only_for_a_date_without_a_date_beside_it() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let clock = WallClock::from_fn(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        then()
    }));
    let times_asked = |headers: &[Header]| {
        Hints::read(&head(headers), &clock);
        asked.swap(0, Ordering::Relaxed)
    };
    let retry_after = ("retry-after", "Mon, 23 Nov 2026 10:00:30 GMT");
    assert_eq!(
        times_asked(&[("retry-after", "2"), ("retry-after-ms", "1820")]),
        0
    );
    assert_eq!(
        times_asked(&[("date", "Mon, 23 Nov 2026 10:00:00 GMT"), retry_after]),
        0
    );
    assert_eq!(times_asked(&[retry_after]), 1);
}

#[test]
fn useless_values_are_no_hint() {
    for value in [
        "0", "0.0", "-0", "-5", "-1e400", "NaN", "nan", "inf", "-inf", "infinity", "soon", "", " ",
        ".", "e5", "1_000", "0x10", "5s", "1,5", "--5", "1e",
    ] {
        assert_eq!(
            delay(&[("retry-after", value)]),
            None,
            "retry-after: {value}"
        );
        assert_eq!(
            delay(&[("retry-after-ms", value)]),
            None,
            "retry-after-ms: {value}"
        );
    }
    let past = "Mon, 23 Nov 2026 09:59:59 GMT";
    assert_eq!(delay(&[("retry-after", past)]), None);
    assert_eq!(
        delay(&[("retry-after", "Mon, 23 Nov 2026 10:00:00 GMT")]),
        None
    );
    assert_eq!(
        delay(&[("retry-after", "Mon, 32 Nov 2026 10:00:30 GMT")]),
        None
    );
}

#[test]
fn a_number_too_big_to_hold_asks_for_ages() {
    let digits = "1234567890123456789012345678901234567890";
    for value in ["1e400", digits, "18446744073709551616", "1e30"] {
        assert!(
            asks_for_ages(&[("retry-after", value)]),
            "retry-after: {value}"
        );
        assert!(
            asks_for_ages(&[("retry-after-ms", value)]),
            "retry-after-ms: {value}"
        );
    }
    assert!(asks_for_ages(&[(
        "retry-after",
        "Fri, 31 Dec 9999 23:59:59 GMT"
    )]));
}

#[test]
fn ages_can_be_added_to_an_instant() {
    let Some(Delay::Asked(ages)) = delay(&[("retry-after", "1e400")]) else {
        panic!("asked")
    };
    let start = tokio::time::Instant::now();
    assert!(start + ages > start);
}

#[test]
fn milliseconds_win_over_seconds() {
    let seconds = ("retry-after", "37");
    assert_eq!(
        delay(&[seconds, ("retry-after-ms", "36500")]),
        asked_ms(36_500)
    );
    assert_eq!(
        delay(&[seconds, ("x-ms-retry-after-ms", "36500")]),
        asked_ms(36_500)
    );
    // A useless one does not hide the useful one.
    assert_eq!(delay(&[seconds, ("retry-after-ms", "0")]), asked_ms(37_000));
    assert_eq!(
        delay(&[seconds, ("retry-after-ms", "soon")]),
        asked_ms(37_000)
    );
}

#[test]
fn of_a_repeated_header_the_first_readable_counts() {
    let headers = [
        ("retry-after", "soon"),
        ("retry-after", "3"),
        ("retry-after", "9"),
    ];
    assert_eq!(delay(&headers), asked_ms(3_000));
}

#[test]
fn bytes_that_are_not_ascii_are_passed_over() {
    let mut headers = HeaderMap::new();
    headers.append(
        "retry-after",
        HeaderValue::from_bytes("５".as_bytes()).unwrap(),
    );
    headers.append("retry-after", HeaderValue::from_static("4"));
    assert_eq!(Hints::read(&headers, &clock()).delay(), asked_ms(4_000));
}

#[test]
fn x_should_retry_is_exactly_true_or_false() {
    assert_eq!(
        read(&[("x-should-retry", "true")]).should_retry(),
        Some(true)
    );
    assert_eq!(
        read(&[("x-should-retry", "false")]).should_retry(),
        Some(false)
    );
    for other in ["True", "FALSE", "1", "no", ""] {
        assert_eq!(
            read(&[("x-should-retry", other)]).should_retry(),
            None,
            "{other}"
        );
    }
}

#[test]
fn a_pushback_is_obeyed_exactly_and_before_all_else() {
    let headers = [
        ("grpc-retry-pushback-ms", "250"),
        ("retry-after-ms", "9000"),
    ];
    assert_eq!(delay(&headers), asked_ms(250));
    assert_eq!(delay(&[("grpc-retry-pushback-ms", "0")]), asked_ms(0));
    assert_eq!(read(&headers).should_retry(), None);
}

#[test]
fn a_negative_or_unreadable_pushback_means_never() {
    for value in ["-1", "soon", "", "1.5", "99999999999"] {
        let headers = [
            ("grpc-retry-pushback-ms", value),
            ("x-should-retry", "true"),
        ];
        assert_eq!(read(&headers).should_retry(), Some(false), "{value}");
        assert_eq!(delay(&headers), None, "{value}");
    }
}

#[test]
fn go_durations_are_upper_bounds_where_nothing_remains() {
    for (reset, millis) in [
        ("12ms", 12),
        ("1s", 1_000),
        ("7.66s", 7_660),
        ("6m0s", 360_000),
        ("2m59.56s", 179_560),
        ("1h2m3s", 3_723_000),
        ("1m500ms", 60_500),
        ("37", 37_000),
        ("0.5", 500),
    ] {
        for (remaining, name) in [
            (
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ),
            ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ] {
            assert_eq!(
                delay(&[(remaining, "0"), (name, reset)]),
                at_most_ms(millis),
                "{reset}"
            );
        }
    }
}

#[test]
fn a_reset_that_makes_no_sense_is_no_hint() {
    for reset in [
        "0s",
        "-3s",
        "3s-1s",
        "5x",
        "m",
        "1.2.3s",
        "s5",
        "1e3s",
        "yesterday",
        "",
        "-1",
    ] {
        let headers = [
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", reset),
        ];
        assert_eq!(delay(&headers), None, "{reset}");
    }
}

#[test]
fn a_limit_with_something_left_gives_no_hint() {
    for remaining in ["1", "9998", "-1", "", "none"] {
        let headers = [
            ("x-ratelimit-remaining-requests", remaining),
            ("x-ratelimit-reset-requests", "12ms"),
        ];
        assert_eq!(delay(&headers), None, "{remaining}");
    }
    assert_eq!(delay(&[("x-ratelimit-reset-requests", "12ms")]), None);
}

#[test]
fn of_several_exhausted_limits_the_longest_reset_counts() {
    let headers = [
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-11-23T09:59:59Z"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        (
            "anthropic-ratelimit-input-tokens-reset",
            "2026-11-23T10:00:17Z",
        ),
        ("anthropic-ratelimit-output-tokens-remaining", "0"),
        (
            "anthropic-ratelimit-output-tokens-reset",
            "2026-11-23T12:00:05+02:00",
        ),
        ("anthropic-ratelimit-tokens-remaining", "1000"),
        ("anthropic-ratelimit-tokens-reset", "2026-11-23T11:00:00Z"),
    ];
    assert_eq!(delay(&headers), at_most_ms(17_000));
}

#[test]
fn a_generic_reset_is_a_length_or_a_date_by_its_size() {
    let reset = |reset| delay(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)]);
    assert_eq!(reset("60"), at_most_ms(60_000));
    assert_eq!(reset("2591999"), at_most_ms(2_591_999_000));
    // 30 days after 1970 is long past.
    assert_eq!(reset("2592000"), None);
    assert_eq!(reset("1795428045"), at_most_ms(45_000));
    assert_eq!(reset("1795428045.25"), at_most_ms(45_250));
    assert_eq!(reset("1795428045250"), at_most_ms(45_250));
    assert_eq!(reset("1795427999"), None);
    assert!(matches!(reset("1e400"), Some(Delay::AtMost(wait)) if wait > AGES));
}

#[test]
fn a_reset_counts_only_when_nothing_better_is_given() {
    let bare = [
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    let wait = Duration::from_millis(46_282);
    assert_eq!(read(&bare).delay(), at_most_ms(360_000));
    assert_eq!(
        read(&bare).or_retry_info(Some(wait)).delay(),
        asked_ms(46_282)
    );
    assert_eq!(read(&bare).or_retry_info(None), read(&bare));
    assert_eq!(read(&bare).or_retry_info(Some(Duration::ZERO)), read(&bare));
    let asked = read(&[("retry-after", "2"), bare[0], bare[1]]);
    assert_eq!(asked.or_retry_info(Some(wait)).delay(), asked_ms(2_000));
}

#[test]
fn the_system_clock_is_the_default() {
    let (before, now) = (WallClock::default().now(), WallClock::default().now());
    assert!(now >= before && before > std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(
        format!("{:?} {:?}", WallClock::default(), clock()),
        r#"WallClock("system") WallClock("given")"#
    );
}

const NAMES: [&str; 12] = [
    "date",
    "grpc-retry-pushback-ms",
    "retry-after",
    "retry-after-ms",
    "x-ms-retry-after-ms",
    "x-should-retry",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
];

/// Any bytes, and texts that come near the grammars.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[-+0-9.eE]{0,24}".prop_map(String::into_bytes),
        "([0-9.]{1,20}(h|m|s|ms|us|ns)){1,4}".prop_map(String::into_bytes),
        "(Mon|Fri), [0-9]{2} (Nov|Feb) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
            .prop_map(String::into_bytes),
        "-?[0-9]{4,6}-[01][0-9]-[0-3][0-9]T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z"
            .prop_map(String::into_bytes),
        Just(b"0".to_vec()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_in_a_header_panic(values in proptest::collection::vec((0..NAMES.len(), value()), 0..16)) {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(NAMES[name], value);
            }
        }
        let hints = Hints::read(&headers, &clock());
        if let Some(Delay::Asked(wait) | Delay::AtMost(wait)) = hints.delay() {
            prop_assert!(tokio::time::Instant::now().checked_add(wait).is_some());
        }
    }

    #[test]
    fn the_delay_is_never_shorter_than_asked(secs in 1e-9..9e6f64) {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::try_from(secs.to_string()).unwrap());
        let Some(Delay::Asked(wait)) = Hints::read(&headers, &clock()).delay() else {
            panic!("{secs} is a delay");
        };
        let nearest = Duration::from_secs_f64(secs);
        prop_assert!(wait >= nearest && wait.as_nanos() as f64 / 1e9 >= secs);
        prop_assert!(wait < nearest + Duration::from_millis(1));
    }

    #[test]
    fn decimals_are_exact(millis in 1..3_000_000_000u64) {
        let mut headers = HeaderMap::new();
        let text = format!("{}.{:03}", millis / 1000, millis % 1000);
        headers.insert("retry-after", HeaderValue::try_from(text).unwrap());
        prop_assert_eq!(Hints::read(&headers, &clock()).delay(), asked_ms(millis));
    }

    #[test]
    fn whole_numbers_are_exact(number in 1..3_000_000_000u64) {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", number.into());
        prop_assert_eq!(Hints::read(&headers, &clock()).delay(), asked_ms(number * 1000));
        headers.insert("retry-after-ms", number.into());
        prop_assert_eq!(Hints::read(&headers, &clock()).delay(), asked_ms(number));
    }
}

fn limits(headers: &[Header]) -> Vec<RateLimit> {
    RateLimit::read(&head(headers), &clock()).collect()
}

#[test]
fn each_limit_of_a_successful_answer_is_told() {
    let found = limits(&[
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9998"),
        ("x-ratelimit-reset-requests", "12ms"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ]);
    let told: Vec<_> = found
        .iter()
        .map(|limit| (limit.of, limit.limit, limit.remaining, limit.full_in))
        .collect();
    let (twelve, six) = (Duration::from_millis(12), Duration::from_secs(360));
    assert_eq!(
        told,
        [
            (LimitOf::Requests, Some(10_000), 9_998, Some(twelve)),
            (LimitOf::Tokens, Some(2_000_000), 0, Some(six)),
        ]
    );
}

#[test]
fn a_limit_that_says_nothing_of_use_is_not_there() {
    // Azure's "unknown"
    assert_eq!(
        limits(&[
            ("x-ratelimit-limit-tokens", "-1"),
            ("x-ratelimit-remaining-tokens", "-1"),
            ("x-ratelimit-reset-tokens", "0"),
        ]),
        []
    );
    for left in ["-1", "NaN", "inf", "many", "0x0", ""] {
        assert_eq!(limits(&[("x-ratelimit-remaining", left)]), [], "{left}");
    }
    let zero = [("ratelimit-limit", "0"), ("ratelimit-remaining", "0")];
    assert_eq!(limits(&zero), []);
    let less = [("ratelimit-limit", "0.1"), ("ratelimit-remaining", "1")];
    assert_eq!(limits(&less), []);
    // a reset that lies in the past is none
    let past = limits(&[
        ("date", "Mon, 23 Nov 2026 10:00:00 GMT"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-11-23T09:59:59Z"),
    ]);
    assert_eq!((past[0].limit, past[0].full_in), (None, None));
}

proptest! {
    #[test]
    fn no_limit_header_is_too_odd(
        values in proptest::collection::vec(("[ -~]{0,20}|-?[0-9]{1,30}(\\.[0-9]{1,9})?", 0usize..3), 1..4),
    ) {
        let names = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
        let mut map = HeaderMap::new();
        for (value, name) in &values {
            map.append(names[*name], HeaderValue::from_str(value).unwrap());
        }
        for limit in RateLimit::read(&map, &clock()) {
            prop_assert!(limit.full_in.is_none_or(|full| full > Duration::ZERO));
            prop_assert!(limit.limit != Some(0) || limit.remaining == 0);
        }
    }
}
