//! Looks at each record as it is booked.

use std::{collections::HashMap, time::Duration};

use foldhash::fast::RandomState;
use llm_exchange::Money;

use super::{
    Alert, AlertKind, Whose,
    baseline::{Baselines, Unusual},
    once::Once,
    sliding::SlidingHour,
};
use crate::{Day, Record, latency::TooSlow};

/// From where on something is an alert. `None`: never.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) request: Option<Money>,
    pub(crate) hour: Option<Money>,
    pub(crate) day: Option<Money>,
    pub(crate) user_day: Option<Money>,
    pub(crate) p95: Option<Duration>,
    pub(crate) unusual: Option<Money>,
    pub(crate) age: Option<Duration>,
    pub(crate) unknown_price: bool,
}

impl Limits {
    pub(crate) const NONE: Self = Self {
        request: None,
        hour: None,
        day: None,
        user_day: None,
        p95: None,
        unusual: None,
        age: None,
        unknown_price: false,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Some(Money::usd(1)),
            hour: Some(Money::usd(50)),
            unusual: Some(Money::usd(1)),
            age: Some(Duration::from_secs(60 * 24 * 3_600)),
            unknown_price: true,
            ..Self::NONE
        }
    }
}

/// The moment at which a record is booked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Since the layer was made, by a clock that only goes on.
    pub(crate) second: u64,
    pub(crate) day: Day,
    /// Of the prices in use.
    pub(crate) age: Option<Duration>,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Of each kind, whose rate is watched.
const MOST_WATCHED: usize = 4_096;
/// Whose spending of a day is added up. Users beyond it are not watched that day.
const MOST_USERS: usize = 65_536;

pub(crate) struct Lookout {
    limits: Limits,
    once: Once,
    hour: SlidingHour,
    day: (Day, Money),
    users_day: HashMap<Box<str>, Money, RandomState>,
    users: Baselines<Box<str>>,
    models: Baselines<Box<str>>,
    credentials: Baselines<u64>,
    lost: u64,
}

impl Lookout {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            once: Once::default(),
            hour: SlidingHour::default(),
            day: (Day::of(std::time::SystemTime::UNIX_EPOCH), Money::ZERO),
            users_day: HashMap::default(),
            users: Baselines::new(MOST_WATCHED),
            models: Baselines::new(MOST_WATCHED),
            credentials: Baselines::new(MOST_WATCHED),
            lost: 0,
        }
    }

    /// The alerts that a record gives rise to.
    pub(crate) fn booked(
        &mut self,
        record: &Record,
        credential: Option<u64>,
        now: Now,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let call = &record.call;
        let cost = record.cost();
        let mut give = |key: String, window: u64, kind: AlertKind| {
            if let Some(held_back) = self.once.give(key, now.second, window) {
                alerts.push(Alert { kind, held_back });
            }
        };

        if self.limits.unknown_price {
            for entry in record.entries().filter(|entry| entry.charge.is_none()) {
                let model: Box<str> = (&*entry.model).into();
                give(
                    format!("price {model}"),
                    HOUR,
                    AlertKind::UnknownPrice { model },
                );
            }
        }
        if let Some(limit) = self.limits.request
            && cost > limit
        {
            let user = call.user.as_ref().map_or("", |user| user.as_str());
            let key = format!("request {user}\n{}", call.model);
            let kind = AlertKind::ExpensiveRequest {
                id: call.id,
                user: call.user.clone(),
                model: (&*call.model).into(),
                cost,
                limit,
            };
            give(key, MINUTE, kind);
        }
        if let (Some(limit), Some(age)) = (self.limits.age, now.age)
            && age > limit
        {
            give("age".into(), DAY, AlertKind::OldPrices { age });
        }
        let spent = self.hour.add(now.second, cost);
        if let Some(limit) = self.limits.hour
            && spent > limit
        {
            give("hour".into(), HOUR, AlertKind::HourlySpend { spent, limit });
        }

        // a clock that steps back does not begin a day anew
        if now.day > self.day.0 {
            self.day = (now.day, Money::ZERO);
            self.users_day.clear();
        }
        let today = self.day.0;
        self.day.1 = self.day.1.saturating_add(cost);
        if let Some(limit) = self.limits.day
            && self.day.1 > limit
        {
            let spent = self.day.1;
            give(
                format!("day {today}"),
                DAY,
                AlertKind::DailySpend { spent, limit },
            );
        }
        if let (Some(limit), Some(user)) = (self.limits.user_day, &call.user)
            && (self.users_day.len() < MOST_USERS || self.users_day.contains_key(user.as_str()))
        {
            let spent = self.users_day.entry(user.as_str().into()).or_default();
            *spent = spent.saturating_add(cost);
            let (user, spent) = (user.clone(), *spent);
            if spent > limit {
                let key = format!("day {today} {}", user.as_str());
                give(key, DAY, AlertKind::UserDailySpend { user, spent, limit });
            }
        }

        if let Some(floor) = self.limits.unusual
            && cost > Money::ZERO
        {
            let (minute, nanos, floor) = (now.second / 60, nanos(cost), nanos(floor));
            let mut unusual = |found: Option<Unusual>, key: &dyn Fn() -> (String, Whose)| {
                if let Some(found) = found {
                    let (key, whose) = key();
                    let (spent, usual) = (dollars(found.spent), dollars(found.usual));
                    give(
                        key,
                        HOUR,
                        AlertKind::Unusual {
                            whose,
                            spent,
                            usual,
                        },
                    );
                }
            };
            if let Some(user) = &call.user {
                let name = user.as_str();
                let found = self.users.spend(name, || name.into(), minute, nanos, floor);
                unusual(found, &|| {
                    (format!("user {name}"), Whose::User(user.clone()))
                });
            }
            let model = &call.model;
            let found = self
                .models
                .spend(&**model, || (&**model).into(), minute, nanos, floor);
            unusual(found, &|| {
                (format!("model {model}"), Whose::Model((&**model).into()))
            });
            if let Some(hash) = credential {
                let found = self.credentials.spend(&hash, || hash, minute, nanos, floor);
                unusual(found, &|| (format!("key {hash}"), Whose::Credential(hash)));
            }
        }
        alerts
    }

    /// The alert that lost records give rise to; how many there are in all.
    pub(crate) fn lost(&mut self, lost: u64, second: u64) -> Option<Alert> {
        if lost <= self.lost {
            return None;
        }
        self.lost = lost;
        let held_back = self.once.give("lost".into(), second, MINUTE)?;
        let kind = AlertKind::RecordsLost { lost };
        Some(Alert { kind, held_back })
    }

    /// The alerts that slow models give rise to.
    pub(crate) fn slow(&mut self, slow: Vec<TooSlow>, second: u64) -> Vec<Alert> {
        let Some(limit) = self.limits.p95 else {
            return Vec::new();
        };
        let alerts = slow.into_iter().filter_map(|slow| {
            let key = format!("slow {}\n{}", slow.provider, slow.model);
            let held_back = self.once.give(key, second, 5 * MINUTE)?;
            let kind = AlertKind::Slow {
                provider: slow.provider.into(),
                model: slow.model.into(),
                p95: slow.p95,
                limit,
            };
            Some(Alert { kind, held_back })
        });
        alerts.collect()
    }
}

fn nanos(amount: Money) -> u64 {
    u64::try_from(amount.picos() / 1_000).unwrap_or(u64::MAX)
}

fn dollars(nanos: u64) -> Money {
    Money::from_picos(u128::from(nanos) * 1_000)
}

#[cfg(test)]
mod tests {
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
                let alerts =
                    lookout.booked(&record(user, "m", Some(cents)), Some(7), at(minute * 60));
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
            let found = told.iter().filter(
                |(_, kind)| matches!(kind, AlertKind::Unusual { whose, .. } if *whose == of),
            );
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
}
