//! What all services of a layer share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use http::{Request, request::Parts};
use llm_exchange::{Call, Payload, Price, Purchase, User};

use crate::{
    amount::{Amount, Unit, nanos},
    keys::{self, bounded},
    learnt::Learnt,
    limit::{Asked, Limit, Whose},
    plan::Rules,
    store::Scope,
    tokens::TokenCounter,
    window::{Window, Zone},
};

pub(crate) type UserOf = Arc<dyn Fn(&Parts) -> Option<User> + Send + Sync>;

/// Accounts, each with its limit; or the first limit for which nobody knows whose the call is.
pub(crate) type Scopes = Result<Vec<(usize, Scope)>, usize>;

/// What the setters of a layer set.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Vec<Limit>,
    pub(crate) zone: Zone,
    pub(crate) price: Option<Arc<dyn Price>>,
    pub(crate) fallback_price: Option<Arc<dyn Price>>,
    pub(crate) user: Option<UserOf>,
    pub(crate) anonymous: Option<Arc<str>>,
    pub(crate) counter: Arc<dyn TokenCounter>,
    pub(crate) rules: Rules,
    pub(crate) allows_unreadable: bool,
    pub(crate) warn_at: u32,
    pub(crate) shadow: bool,
    pub(crate) max_payload_bytes: usize,
}

pub(crate) struct Budget<S> {
    pub(crate) store: S,
    pub(crate) settings: Settings,
    pub(crate) limits: Box<[Kept]>,
    pub(crate) learnt: Learnt,
    pub(crate) counts: Counts,
    /// Some function of the app looks at the head of requests.
    looks_at_parts: bool,
}

/// A limit as it is in use.
pub(crate) struct Kept {
    pub(crate) name: Arc<str>,
    pub(crate) whose: Whose,
    pub(crate) window: Option<Window>,
    pub(crate) unit: Unit,
    amount: AtomicU64,
    pub(crate) enforced: bool,
    warn_at: u32,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) reserved: AtomicU64,
    pub(crate) settled: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) would_refuse: AtomicU64,
    pub(crate) cut: AtomicU64,
}

impl Kept {
    /// The limit, as stores keep it.
    pub(crate) fn amount(&self) -> u64 {
        self.amount.load(Relaxed)
    }

    pub(crate) fn set_amount(&self, amount: Amount) {
        self.amount.store(amount.kept(), Relaxed);
    }

    /// From where on it warns.
    pub(crate) fn is_soft_over(&self, taken: u64, limit: u64) -> bool {
        u128::from(taken) * 100 >= u128::from(limit) * u128::from(self.warn_at)
    }
}

impl<S> Budget<S> {
    pub(crate) fn new(store: S, settings: Settings) -> Self {
        let limits = settings.limits.iter().map(|limit| Kept {
            name: Arc::clone(&limit.name),
            whose: limit.whose.clone(),
            window: limit
                .window
                .clone()
                .map(|window| window.in_zone(&settings.zone)),
            unit: limit.amount.unit(),
            amount: AtomicU64::new(limit.amount.kept()),
            enforced: limit.enforced && !settings.shadow,
            warn_at: limit.warn_at.unwrap_or(settings.warn_at),
        });
        let limits: Box<[Kept]> = limits.collect();
        let looks = |kept: &Kept| matches!(kept.whose, Whose::Other(..));
        Self {
            store,
            looks_at_parts: settings.user.is_some() || limits.iter().any(looks),
            limits,
            settings,
            learnt: Learnt::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn limit(&self, name: &str) -> Option<&Kept> {
        self.limits.iter().find(|kept| *kept.name == *name)
    }

    /// Whether any limit refuses.
    pub(crate) fn is_enforced(&self) -> bool {
        self.limits.iter().any(|kept| kept.enforced)
    }

    /// What is bought, in the unit of a limit. `None`: the price is not known.
    pub(crate) fn amount_of(&self, unit: Unit, purchase: &Purchase<'_>) -> Option<u64> {
        match unit {
            Unit::Tokens => Some(purchase.usage.total().min(crate::account::MOST)),
            Unit::Money => self.known_price(purchase).or_else(|| {
                let price = self.settings.fallback_price.as_ref()?;
                price.price(purchase).map(nanos)
            }),
        }
    }

    /// In nano-dollars, by the prices alone.
    pub(crate) fn known_price(&self, purchase: &Purchase<'_>) -> Option<u64> {
        let price = self.settings.price.as_ref()?;
        price.price(purchase).map(nanos)
    }

    /// Whose accounts a call is charged to.
    pub(crate) fn scopes(
        &self,
        request: Request<Payload>,
        call: &Call,
    ) -> (Request<Payload>, Scopes) {
        if !self.looks_at_parts {
            let user = User::of(&request).cloned();
            let scopes = self.owners(&request, user.as_ref(), |_| None);
            return (request, scopes);
        }
        // the app's functions see the head alone
        let (parts, payload) = request.into_parts();
        let user = match &self.settings.user {
            Some(user) => user(&parts),
            None => parts.extensions.get().cloned(),
        };
        let asked = Asked {
            parts: &parts,
            call,
            user: user.as_ref(),
        };
        let named: Vec<Option<String>> = self
            .limits
            .iter()
            .map(|kept| match &kept.whose {
                Whose::Other(_, owner) => owner(&asked),
                _ => None,
            })
            .collect();
        let request = Request::from_parts(parts, payload);
        let scopes = self.owners(&request, user.as_ref(), |at| named[at].as_deref());
        (request, scopes)
    }

    fn owners<'n>(
        &self,
        request: &Request<Payload>,
        user: Option<&User>,
        named: impl Fn(usize) -> Option<&'n str>,
    ) -> Scopes {
        let mut scopes = Vec::with_capacity(self.limits.len());
        // several limits of one owner share the text
        let mut of_user = None;
        for (at, kept) in self.limits.iter().enumerate() {
            let anonymous = || self.settings.anonymous.clone();
            let owner: Option<Arc<str>> = match &kept.whose {
                Whose::Request => continue,
                Whose::All => Some(Arc::from("")),
                Whose::Model => {
                    let call = Call::of(request);
                    let model = call.and_then(|call| call.model());
                    model.map(bounded).or_else(anonymous)
                }
                Whose::User => {
                    if of_user.is_none() {
                        of_user = user.map(|user| bounded(user.as_str())).or_else(anonymous);
                    }
                    of_user.clone()
                }
                Whose::Key => {
                    let keys = keys::owners(request).ok_or(at)?;
                    if let Some((last, others)) = keys.split_last() {
                        // whichever of them the provider takes
                        for key in others {
                            let owner = Arc::clone(key);
                            scopes.push((at, Scope::new(Arc::clone(&kept.name), owner)));
                        }
                        Some(Arc::clone(last))
                    } else {
                        anonymous()
                    }
                }
                Whose::Other(..) => named(at).map(bounded).or_else(anonymous),
            };
            let owner = match owner {
                Some(owner) => owner,
                None if kept.enforced => return Err(at),
                // it would refuse, but refuses nothing
                None => continue,
            };
            scopes.push((at, Scope::new(Arc::clone(&kept.name), owner)));
        }
        Ok(scopes)
    }
}
