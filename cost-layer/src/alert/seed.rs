//! What was spent before this process began, as the ledger has it.

use std::time::{Duration, SystemTime};

use llm_exchange::Money;

use super::{
    baseline::MINUTES,
    days::MOST_USERS,
    lookout::{DAY, HOUR, Limits, MINUTE, nanos},
};
use crate::{By, Day, Ledger, LedgerError, Query, Slot, Span, Timeline};

/// The lookout's second in which the layer was made: what was before it has seconds of its own.
pub(crate) const BEFORE: u64 = 2 * DAY;
/// Baselines are made of so much of the past.
const PAST: Duration = Duration::from_secs(DAY);

/// What was spent before.
#[derive(Default)]
pub(crate) struct Seed {
    /// By second.
    pub(super) hour: Vec<(u64, Money)>,
    pub(super) day: Option<(Day, Money)>,
    pub(super) users_day: Vec<(String, Money)>,
    /// By minute, the earliest first; in nano-dollars.
    pub(super) users: Vec<(u64, String, u64)>,
    pub(super) models: Vec<(u64, String, u64)>,
}

impl Seed {
    /// Asks the ledger for what these limits look at. `began` is when the layer was made: all that ended
    /// before.
    pub(crate) async fn ask(
        ledger: &dyn Ledger,
        limits: &Limits,
        began: SystemTime,
    ) -> Result<Self, LedgerError> {
        let mut seed = Self::default();
        let since = |time: Duration| Span {
            from: began.checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH),
            to: began,
        };
        let second = |slot: &Slot| {
            let ago = began.duration_since(slot.at).unwrap_or_default();
            BEFORE.saturating_sub(ago.as_secs().max(1))
        };
        if limits.hour.is_some() {
            let hour = since(Duration::from_secs(HOUR));
            let timeline = Timeline::new(hour, Duration::from_secs(1), By::Total);
            let slots = ledger.timeline(&timeline).await?;
            seed.hour = slots.iter().map(|slot| (second(slot), slot.cost)).collect();
        }
        let today = Day::of(began);
        let span = Span {
            from: today.start(),
            to: began,
        };
        if limits.day.is_some() {
            let total = ledger.spend(&Query::new(span, By::Total)).await?;
            seed.day = total.first().map(|spend| (today, spend.cost));
        }
        if limits.user_day.is_some() {
            let query = Query::new(span, By::User).most(MOST_USERS);
            let users = ledger.spend(&query).await?.into_iter();
            let users = users.filter(|spend| !spend.key.is_empty());
            seed.day = seed.day.or(Some((today, Money::ZERO)));
            seed.users_day = users.map(|spend| (spend.key, spend.cost)).collect();
        }
        if limits.unusual.is_some() {
            let past = async |by: By| {
                let slot = Duration::from_secs(MINUTES * MINUTE);
                let slots = ledger
                    .timeline(&Timeline::new(since(PAST), slot, by))
                    .await?;
                let slots = slots.into_iter().filter(|slot| !slot.key.is_empty());
                let rates = slots.map(|slot| (second(&slot) / MINUTE, slot.key, nanos(slot.cost)));
                Ok::<_, LedgerError>(rates.collect())
            };
            seed.users = past(By::User).await?;
            seed.models = past(By::Model).await?;
        }
        Ok(seed)
    }
}
