//! What is limited, and for whom.

use std::{fmt, sync::Arc, time::Duration};

use http::request::Parts;
use llm_exchange::{Call, Money, User};

use crate::{
    amount::Amount,
    window::{Window, Zone},
};

/// So much for each of whom the limit is for, in each of its windows.
///
/// ```
/// use std::time::Duration;
/// use budget_layer::Limit;
/// use llm_exchange::Money;
///
/// let daily = Limit::per_user().daily().tokens(200_000);
/// let monthly = Limit::for_all().monthly().money(Money::usd(1_000));
/// let burst = Limit::per_key().rolling(Duration::from_secs(60)).tokens(30_000);
/// let team = Limit::per("team", |asked| {
///     let team = asked.parts().headers.get("x-team")?;
///     team.to_str().ok().map(str::to_owned)
/// })
/// .daily()
/// .money(Money::usd(50));
/// assert_eq!(daily.name(), "user-day-tokens");
/// assert_eq!(team.name(), "team-day-usd");
/// # let _ = (monthly, burst);
/// ```
#[derive(Clone)]
pub struct Limit {
    pub(crate) name: Arc<str>,
    pub(crate) whose: Whose,
    /// `None`: a limit of one request.
    pub(crate) window: Option<Window>,
    pub(crate) amount: Amount,
    pub(crate) enforced: bool,
    pub(crate) warn_at: Option<u32>,
}

/// For whom a limit is, and over which time it counts; [`tokens`](Self::tokens) or
/// [`money`](Self::money) makes a [`Limit`] of it. Unless said otherwise it counts over all time.
#[derive(Clone, Debug)]
#[must_use = "it is no limit without an amount"]
pub struct LimitFor {
    whose: Whose,
    window: Option<Window>,
}

/// Whose account a call is charged to.
#[derive(Clone)]
pub(crate) enum Whose {
    Request,
    User,
    Key,
    Model,
    All,
    Other(Arc<str>, Arc<OwnerOf>),
}

type OwnerOf = dyn Fn(&Asked<'_>) -> Option<String> + Send + Sync;

impl Whose {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Request => "request",
            Self::User => "user",
            Self::Key => "key",
            Self::Model => "model",
            Self::All => "all",
            Self::Other(name, _) => name,
        }
    }
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call, as who limits it sees it.
///
/// `Debug` shows nothing of the request's headers.
pub struct Asked<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) call: &'a Call,
    pub(crate) user: Option<&'a User>,
}

impl<'a> Asked<'a> {
    /// The head of the request.
    #[must_use]
    pub const fn parts(&self) -> &'a Parts {
        self.parts
    }

    /// What the call asks for.
    #[must_use]
    pub const fn call(&self) -> &'a Call {
        self.call
    }

    /// Who is spending, as far as the layer knows.
    #[must_use]
    pub const fn user(&self) -> Option<&'a User> {
        self.user
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("call", &self.call)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Limit {
    /// For each call by itself, its further attempts included; it has no window. A call that is larger
    /// is answered with a 413.
    pub const fn per_request() -> LimitFor {
        LimitFor::new(Whose::Request)
    }

    /// For each user: [`User`] in the request's extensions, or whoever
    /// [`BudgetLayer::user`](crate::BudgetLayer::user) says.
    pub const fn per_user() -> LimitFor {
        LimitFor::new(Whose::User)
    }

    /// For each key of callers, whichever header carries it; a call with several is charged to each.
    /// Stores see a hash ([`owner_of_key`](crate::owner_of_key)). Callers who are to have one budget
    /// with several keys are users.
    pub const fn per_key() -> LimitFor {
        LimitFor::new(Whose::Key)
    }

    /// For each model, as the caller names it. Callers that may name any have as many accounts as they
    /// like.
    pub const fn per_model() -> LimitFor {
        LimitFor::new(Whose::Model)
    }

    /// For all calls together.
    pub const fn for_all() -> LimitFor {
        LimitFor::new(Whose::All)
    }

    /// For each of what the function names: a team, a tenant, a user's model. The name is that of the
    /// kind. What the function has no name for is refused, unless there is an account for all that are
    /// [anonymous](crate::BudgetLayer::anonymous).
    pub fn per(
        name: &str,
        owner: impl Fn(&Asked<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> LimitFor {
        LimitFor::new(Whose::Other(name.into(), Arc::new(owner)))
    }

    /// What it is called in stores, headers and metrics: `user-day-tokens`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much there is.
    #[must_use]
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// Another name. What was used is kept under it: a limit whose amount changes keeps its name, and
    /// so what was used.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Counts and reports, and refuses nothing. Default: it refuses.
    #[must_use]
    pub const fn shadow(mut self) -> Self {
        self.enforced = false;
        self
    }

    /// Warns from so many hundredths of the limit on. Default: the
    /// [layer's](crate::BudgetLayer::warn_at), 80.
    #[must_use]
    pub const fn warn_at(mut self, percent: u32) -> Self {
        self.warn_at = Some(percent);
        self
    }
}

impl LimitFor {
    const fn new(whose: Whose) -> Self {
        Self {
            whose,
            window: None,
        }
    }

    /// Over this window. Of a calendar window the zone is the
    /// [layer's](crate::BudgetLayer::time_zone) in the end.
    pub fn over(mut self, window: Window) -> Self {
        self.window = Some(window);
        self
    }

    /// Over each minute.
    pub fn minutely(self) -> Self {
        self.over(Window::minute())
    }

    /// Over each hour.
    pub fn hourly(self) -> Self {
        self.over(Window::hour(&Zone::UTC))
    }

    /// Over each day of the calendar.
    pub fn daily(self) -> Self {
        self.over(Window::day(&Zone::UTC))
    }

    /// Over each month of the calendar.
    pub fn monthly(self) -> Self {
        self.over(Window::month(&Zone::UTC))
    }

    /// Over the last so much time, at each moment.
    pub fn rolling(self, length: Duration) -> Self {
        self.over(Window::rolling(length))
    }

    /// Over all time.
    pub fn in_total(self) -> Self {
        self.over(Window::total())
    }

    /// So many tokens, of prompts and answers together.
    #[must_use]
    pub fn tokens(self, tokens: u64) -> Limit {
        self.limit(Amount::Tokens(tokens))
    }

    /// So much money, by [`BudgetLayer::priced_by`](crate::BudgetLayer::priced_by).
    #[must_use]
    pub fn money(self, money: Money) -> Limit {
        self.limit(Amount::Money(money))
    }

    fn limit(self, amount: Amount) -> Limit {
        let Self { whose, window } = self;
        let unit = amount.unit().as_str();
        // what one request may be has no window
        let window = match whose {
            Whose::Request => None,
            _ => Some(window.unwrap_or_else(Window::total)),
        };
        let over = window.as_ref().map(Window::name);
        let name = match over {
            Some(over) => format!("{}-{over}-{unit}", whose.as_str()),
            None => format!("{}-{unit}", whose.as_str()),
        };
        Limit {
            name: name.into(),
            whose,
            window,
            amount,
            enforced: true,
            warn_at: None,
        }
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("name", &self.name)
            .field("amount", &self.amount)
            .field("enforced", &self.enforced)
            .finish_non_exhaustive()
    }
}
