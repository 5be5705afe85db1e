//! Looks at each record as it is booked.

use std::time::Duration;

use llm_exchange::Money;

use super::{
    Alert, AlertKind, Whose,
    baseline::{Baselines, Unusual},
    days::Days,
    once::Once,
    seed::Seed,
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
    /// By a clock that only goes on, on which the layer was made at [`BEFORE`](super::BEFORE).
    pub(crate) second: u64,
    pub(crate) day: Day,
    /// Of the prices in use.
    pub(crate) age: Option<Duration>,
}

pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 3_600;
pub(super) const DAY: u64 = 24 * HOUR;
/// Of each kind, whose rate is watched.
const MOST_WATCHED: usize = 4_096;

pub(crate) struct Lookout {
    limits: Limits,
    once: Once,
    hour: SlidingHour,
    days: Days,
    users: Baselines<Box<str>>,
    models: Baselines<Box<str>>,
    credentials: Baselines<u64>,
    lost: u64,
    /// Of what was before only these are not known yet.
    unseeded: Limits,
}

impl Lookout {
    pub(crate) fn new(limits: Limits) -> Self {
        let unseeded = limits.clone();
        Self {
            limits,
            once: Once::default(),
            hour: SlidingHour::default(),
            days: Days::new(),
            users: Baselines::new(MOST_WATCHED),
            models: Baselines::new(MOST_WATCHED),
            credentials: Baselines::new(MOST_WATCHED),
            lost: 0,
            unseeded,
        }
    }

    /// What the ledger is still to be asked for.
    pub(crate) const fn unseeded(&self) -> &Limits {
        &self.unseeded
    }

    /// Takes up what was spent before, each sum once. Whose spending is known here already keeps its
    /// baseline.
    pub(crate) fn seed(&mut self, seed: Seed) {
        let first = |limit: &mut Option<Money>| limit.take().is_some();
        if let Some(hour) = seed.hour
            && first(&mut self.unseeded.hour)
        {
            for (second, cost) in hour {
                self.hour.add(second, cost);
            }
        }
        if let Some((day, spent)) = seed.day
            && first(&mut self.unseeded.day)
            && self.days.begin(day) == day
        {
            self.days.add(spent);
        }
        if let Some((day, users)) = seed.users_day
            && first(&mut self.unseeded.user_day)
            && self.days.begin(day) == day
        {
            for (user, cost) in users {
                self.days.add_of(&user, cost);
            }
        }
        self.users.seed(seed.users);
        self.models.seed(seed.models);
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

        let today = self.days.begin(now.day);
        let spent = self.days.add(cost);
        if let Some(limit) = self.limits.day
            && spent > limit
        {
            let key = format!("day {today}");
            give(key, DAY, AlertKind::DailySpend { spent, limit });
        }
        if let (Some(limit), Some(user)) = (self.limits.user_day, &call.user)
            && let Some(spent) = self.days.add_of(user.as_str(), cost)
            && spent > limit
        {
            let (key, user) = (format!("day {today} {}", user.as_str()), user.clone());
            give(key, DAY, AlertKind::UserDailySpend { user, spent, limit });
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

pub(super) fn nanos(amount: Money) -> u64 {
    u64::try_from(amount.picos() / 1_000).unwrap_or(u64::MAX)
}

fn dollars(nanos: u64) -> Money {
    Money::from_picos(u128::from(nanos) * 1_000)
}

#[cfg(test)]
mod tests;
