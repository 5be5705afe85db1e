use std::time::Duration;

use super::*;

fn says(text: &str) -> String {
    text.parse::<Script>().expect_err(text).to_string()
}

#[test]
fn the_header_and_the_code_say_the_same() {
    let read: Script = "throttle=2, retry-after-ms = 200,delta-delay-ms=20,crlf"
        .parse()
        .unwrap();
    let manners = Behaviour::ok()
        .delta_delay(Duration::from_millis(20))
        .crlf();
    let throttled = Behaviour {
        fault: Behaviour::throttled(Hint::RetryAfterMs(200)).fault,
        ..manners.clone()
    };
    assert_eq!(
        read,
        Script::new()
            .times(2, throttled)
            .times(1, manners)
            .start_over()
    );
}

#[test]
fn every_option_can_be_read() {
    for (name, value, _) in OPTIONS {
        let value = match *value {
            "" => "",
            "=CODE" => "=503",
            "=true|false" => "=true",
            "=NAME:VALUE" => "=a: b",
            "=SERVER" => "=groq",
            "=AT" => "=open",
            _ => "=3",
        };
        let base = match *name {
            "err-status" => "err-at=1,",
            "times" => "close,",
            _ if format!("{name}{value}").parse::<Script>().is_err() => "status=500,",
            _ => "",
        };
        let text = format!("{base}{name}{value}");
        assert!(text.parse::<Script>().is_ok(), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    assert!(says("throtle=2").contains("\"throtle\" is no option; there are throttle, quota"));
    assert_eq!(says("crlf=1"), "crlf takes no value, not \"1\"");
    assert_eq!(
        says("segment=0"),
        format!("segment takes a number of 1 to {}, not \"0\"", usize::MAX)
    );
    assert_eq!(
        says("stall-at=soon"),
        "stall-at takes 0, open or K, not \"soon\""
    );
    assert_eq!(says("hang,close"), "close is a second fault; one at a time");
    assert_eq!(says("err-status=429"), "err-status needs err-at");
    assert!(says("retry-after=2").contains("needs one of throttle"));
    assert!(says("times=2").contains("needs something to go wrong"));
}

#[test]
fn a_model_name_carries_behaviour() {
    let of = |model: &str| script(model, None).unwrap();
    assert_eq!(of("throttled-2"), Some("throttle=2".parse().unwrap()));
    assert_eq!(of("vendor/stall-3"), Some("stall-at=3".parse().unwrap()));
    assert_eq!(
        of("gpt-4o+fail-1+slow-50"),
        Some("fail=1,delta-delay-ms=50".parse().unwrap())
    );
    assert_eq!(of("hang"), Some("hang".parse().unwrap()));
}

#[test]
fn an_ordinary_model_name_carries_none() {
    for name in [
        "gpt-4o",
        "claude-opus-5-5",
        "",
        "break",
        "fail-x",
        "-2",
        "o3-mini-2026-01-01",
    ] {
        assert_eq!(script(name, None).unwrap(), None, "{name}");
    }
}

#[test]
fn the_header_is_stronger_than_the_name() {
    let both = script("hang+slow-50", Some("close")).unwrap();
    assert_eq!(both, Some("close,delta-delay-ms=50".parse().unwrap()));
}

#[test]
fn every_word_stands_for_an_option() {
    for (word, option) in WORDS {
        assert!(OPTIONS.iter().any(|(name, ..)| name == option), "{word}");
    }
}
