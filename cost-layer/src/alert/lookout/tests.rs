use std::time::SystemTime;

use llm_exchange::User;

use super::*;
use crate::{Charge, Entry, RecordId};

fn record(user: &str, model: &str, cost: Option<&str>) -> Record {
    let mut entry = Entry::new(RecordId::new(), SystemTime::UNIX_EPOCH, model);
    entry.user = Some(User::new(user));
    entry.charge = cost.map(|cost| Charge {
        stated: Some(cost.parse().unwrap()),
        ..Charge::default()
    });
    Record::new(entry, Vec::new())
}

fn at(second: u64) -> Now {
    Now {
        second,
        day: Day::of(SystemTime::UNIX_EPOCH + Duration::from_secs(second)),
        age: None,
    }
}

fn kinds(alerts: &[Alert]) -> Vec<&'static str> {
    alerts.iter().map(|alert| alert.kind.as_str()).collect()
}

#[test]
fn an_expensive_call_is_told_once_a_minute_for_each_user_and_model() {
    let mut lookout = Lookout::new(Limits {
        unusual: None,
        ..Limits::default()
    });
    let mut book = |user, model, cost, second| {
        kinds(&lookout.booked(&record(user, model, Some(cost)), None, at(second)))
    };
    assert_eq!(book("a", "m", "1", 0), Vec::<&str>::new());
    assert_eq!(book("a", "m", "1.01", 1), ["expensive_request"]);
    assert_eq!(book("a", "m", "5", 2), Vec::<&str>::new());
    assert_eq!(book("b", "m", "5", 3), ["expensive_request"]);
    assert_eq!(book("a", "n", "5", 4), ["expensive_request"]);
    assert_eq!(book("a", "m", "5", 61), ["expensive_request"]);
}

#[test]
fn an_hour_over_its_limit_is_told_once_an_hour_and_slides() {
    let limits = Limits {
        hour: Some(Money::usd(50)),
        ..Limits::NONE
    };
    let mut lookout = Lookout::new(limits);
    let mut told = Vec::new();
    for minute in 0..240 {
        // 60 dollars an hour
        let alerts = lookout.booked(&record("a", "m", Some("1")), None, at(minute * 60));
        told.extend(alerts.iter().map(|_| minute));
    }
    assert_eq!(told, [50, 110, 170, 230]);
}

#[test]
fn days_are_told_once_a_day_and_user_and_a_clock_stepping_back_is_no_new_day() {
    let limits = Limits {
        day: Some(Money::usd(5)),
        user_day: Some(Money::usd(2)),
        ..Limits::NONE
    };
    let mut lookout = Lookout::new(limits);
    let mut book = |user, day: u64| {
        let mut now = at(1_000);
        now.day = Day::of(SystemTime::UNIX_EPOCH + Duration::from_secs(day * DAY));
        kinds(&lookout.booked(&record(user, "m", Some("2")), None, now))
    };
    assert_eq!(book("a", 5), Vec::<&str>::new());
    assert_eq!(book("a", 5), ["user_daily_spend"]);
    assert_eq!(book("b", 5), ["daily_spend"]);
    assert_eq!(book("b", 4), ["user_daily_spend"]);
    assert_eq!(book("a", 6), Vec::<&str>::new());
    assert_eq!(book("b", 6), Vec::<&str>::new());
    assert_eq!(book("b", 6), ["daily_spend", "user_daily_spend"]);
}

#[test]
fn an_unknown_price_is_told_and_is_no_spending() {
    let mut lookout = Lookout::new(Limits::default());
    let told = lookout.booked(&record("a", "who-knows", None), None, at(0));
    let model = "who-knows".into();
    assert_eq!(told[0].kind, AlertKind::UnknownPrice { model });
    assert!(
        lookout
            .booked(&record("a", "who-knows", None), None, at(60))
            .is_empty()
    );
    assert_eq!(
        lookout.booked(&record("a", "who-knows", None), None, at(3_600))[0].held_back,
        1
    );
}

#[test]
fn old_prices_and_lost_records_are_told() {
    let mut lookout = Lookout::new(Limits::default());
    let mut now = at(0);
    now.age = Some(Duration::from_secs(61 * DAY));
    let free = record("a", "m", Some("0"));
    assert_eq!(kinds(&lookout.booked(&free, None, now)), ["old_prices"]);
    assert!(lookout.booked(&free, None, now).is_empty());
    assert!(lookout.lost(0, 0).is_none());
    let told = lookout.lost(3, 0).unwrap();
    assert_eq!(told.kind, AlertKind::RecordsLost { lost: 3 });
    assert!(lookout.lost(3, 70).is_none());
    assert!(lookout.lost(4, 59).is_none());
    assert_eq!(lookout.lost(5, 70).unwrap().held_back, 1);
}

#[test]
fn a_successful_runaway_loop_is_told_of_by_user_model_and_key_within_minutes() {
    let limits = Limits {
        unusual: Some(Money::usd(1)),
        ..Limits::NONE
    };
    let mut lookout = Lookout::new(limits);
    for minute in 0..300 {
        for user in ["a", "b"] {
            let cents = if minute % 3 == 0 { "0.12" } else { "0.08" };
            let alerts = lookout.booked(&record(user, "m", Some(cents)), Some(7), at(minute * 60));
            assert!(alerts.is_empty(), "{alerts:?}");
        }
    }
    let mut told = Vec::new();
    for second in 300 * 60..305 * 60 {
        // every call is answered, and small
        let alerts = lookout.booked(&record("b", "m", Some("0.02")), Some(7), at(second));
        told.extend(
            alerts
                .into_iter()
                .map(|alert| (second - 300 * 60, alert.kind)),
        );
    }
    assert!(told.iter().all(|(second, _)| *second < 240), "{told:?}");
    let whose = |of: Whose| {
        let found = told
            .iter()
            .filter(|(_, kind)| matches!(kind, AlertKind::Unusual { whose, .. } if *whose == of));
        found.count()
    };
    assert_eq!(whose(Whose::User(User::new("b"))), 1);
    assert_eq!(whose(Whose::Model("m".into())), 1);
    assert_eq!(whose(Whose::Credential(7)), 1);
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn no_sentence_names_the_user() {
    let mut lookout = Lookout::new(Limits {
        request: Some(Money::ZERO),
        ..Limits::default()
    });
    for alert in lookout.booked(&record("canary", "m", Some("2")), None, at(0)) {
        assert!(!format!("{} {alert:?}", alert.kind).contains("canary"));
    }
}
