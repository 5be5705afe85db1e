//! What somebody should look at.

mod baseline;
mod days;
mod lookout;
mod once;
mod seed;
mod sliding;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use llm_exchange::{Money, User};
use tokio::sync::broadcast;

pub(crate) use self::{
    lookout::{Limits, Lookout, Now},
    seed::{BEFORE, Seed},
};
use crate::RecordId;

/// Something that somebody should look at. Each comes once per window and key.
///
/// It is given to the hook ([`on_alert`](crate::CostLayer::on_alert)), to every
/// [`Alerts`] and, without the user's name, to `tracing` as a warning.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// How many of this kind and key were held back since the last one.
    pub held_back: u64,
}

/// What an [`Alert`] is about.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum AlertKind {
    /// One call cost more than the limit. Once a minute for each user and model.
    ExpensiveRequest {
        /// The record of the call.
        id: RecordId,
        /// Who called.
        user: Option<User>,
        /// The model.
        model: Box<str>,
        /// What it cost.
        cost: Money,
        /// The limit.
        limit: Money,
    },
    /// The last hour cost more than the limit. Once an hour.
    HourlySpend {
        /// What it cost.
        spent: Money,
        /// The limit.
        limit: Money,
    },
    /// The day (UTC) has cost more than the limit. Once a day.
    DailySpend {
        /// What it cost.
        spent: Money,
        /// The limit.
        limit: Money,
    },
    /// The day (UTC) of one user has cost more than the limit. Once a day and user.
    UserDailySpend {
        /// Who.
        user: User,
        /// What it cost.
        spent: Money,
        /// The limit.
        limit: Money,
    },
    /// A call's price is not known. Once an hour and model.
    UnknownPrice {
        /// The model.
        model: Box<str>,
    },
    /// The 95th percentile of a model's time over the last five minutes is over the limit. Once in five
    /// minutes, provider and model.
    Slow {
        /// The provider's host.
        provider: Box<str>,
        /// The model.
        model: Box<str>,
        /// The 95th percentile.
        p95: Duration,
        /// The limit.
        limit: Duration,
    },
    /// Somebody spends much more in five minutes than they usually do. Once an hour and key.
    Unusual {
        /// Who, or what.
        whose: Whose,
        /// What the last five minutes cost.
        spent: Money,
        /// What five minutes cost at the median of their own past.
        usual: Money,
    },
    /// The prices in use are old. Once a day.
    OldPrices {
        /// How old.
        age: Duration,
    },
    /// Records were lost, as the ledger did not take them. Once a minute.
    RecordsLost {
        /// How many since the layer was made.
        lost: u64,
    },
}

/// Whose spending is unusual.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Whose {
    /// A user's.
    User(User),
    /// That on a model.
    Model(Box<str>),
    /// That of a credential, told apart by a hash that is another one in each process.
    Credential(u64),
}

impl AlertKind {
    /// The kind's name: `expensive_request`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ExpensiveRequest { .. } => "expensive_request",
            Self::HourlySpend { .. } => "hourly_spend",
            Self::DailySpend { .. } => "daily_spend",
            Self::UserDailySpend { .. } => "user_daily_spend",
            Self::UnknownPrice { .. } => "unknown_price",
            Self::Slow { .. } => "slow",
            Self::Unusual { .. } => "unusual",
            Self::OldPrices { .. } => "old_prices",
            Self::RecordsLost { .. } => "records_lost",
        }
    }
}

/// A sentence without the user's name.
impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExpensiveRequest { model, cost, .. } => {
                write!(f, "a call of {model} cost {cost}")
            }
            Self::HourlySpend { spent, limit } => {
                write!(f, "the last hour cost {spent}, more than {limit}")
            }
            Self::DailySpend { spent, limit } => {
                write!(f, "the day has cost {spent}, more than {limit}")
            }
            Self::UserDailySpend { spent, limit, .. } => {
                write!(f, "the day of one user has cost {spent}, more than {limit}")
            }
            Self::UnknownPrice { model } => write!(f, "no price is known of {model}"),
            Self::Slow {
                model, p95, limit, ..
            } => {
                write!(
                    f,
                    "the 95th percentile of {model} is {p95:?}, more than {limit:?}"
                )
            }
            Self::Unusual {
                whose,
                spent,
                usual,
            } => {
                let whose = match whose {
                    Whose::User(_) => "a user",
                    Whose::Model(model) => model,
                    Whose::Credential(_) => "a credential",
                };
                write!(f, "{whose} cost {spent} in five minutes, usually {usual}")
            }
            Self::OldPrices { age } => {
                write!(
                    f,
                    "the prices in use are {} days old",
                    age.as_secs() / 86_400
                )
            }
            Self::RecordsLost { lost } => write!(f, "{lost} records were lost"),
        }
    }
}

/// A stream of a layer's alerts, from [`CostHandle::alerts`](crate::CostHandle::alerts).
#[derive(Debug)]
pub struct Alerts(broadcast::Receiver<Alert>);

impl Alerts {
    /// The next alert; `None` when the layer and all its services are gone. Who does not ask for long
    /// misses the oldest: the last 256 are kept.
    pub async fn next(&mut self) -> Option<Alert> {
        loop {
            match self.0.recv().await {
                Ok(alert) => return Some(alert),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

pub(crate) type Hook = Arc<dyn Fn(&Alert) + Send + Sync>;

/// Where alerts go.
pub(crate) struct Bell {
    pub(crate) hook: Option<Hook>,
    channel: broadcast::Sender<Alert>,
}

const KEPT: usize = 256;

impl Bell {
    pub(crate) fn new(hook: Option<Hook>) -> Self {
        let (channel, _) = broadcast::channel(KEPT);
        Self { hook, channel }
    }

    pub(crate) fn listen(&self) -> Alerts {
        Alerts(self.channel.subscribe())
    }

    pub(crate) fn ring(&self, alerts: Vec<Alert>) {
        for alert in alerts {
            tracing::warn!(
                kind = alert.kind.as_str(),
                held_back = alert.held_back,
                "{}",
                alert.kind
            );
            // whoever carries records on may be a caller's poll, or a body that is dropped
            if let Some(hook) = &self.hook
                && catch_unwind(AssertUnwindSafe(|| hook(&alert))).is_err()
            {
                tracing::error!(kind = alert.kind.as_str(), "the hook of alerts panicked");
            }
            // nobody may be listening
            let _ = self.channel.send(alert);
        }
    }
}
