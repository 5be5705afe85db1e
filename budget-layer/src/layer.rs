use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use http::request::Parts;
use llm_exchange::{Payload, Price, User};
use tower_layer::Layer;

use crate::{
    BudgetHandle, Budgeted, Limit, TokenCounter,
    budget::{Budget, Settings},
    plan::Rules,
    store::{MemoryStore, Store},
    tokens::Estimated,
    window::Zone,
};

/// Reserves for every LLM call before it is sent, and settles it when its answer has ended; see the
/// [crate](crate) for what it does.
///
/// What was learnt and, in the default store, all accounts are shared by every service made from one
/// layer and its clones. Take [`handle`](Self::handle) after the last setter.
#[derive(Clone)]
pub struct BudgetLayer<S: Store = MemoryStore> {
    store: S,
    settings: Settings,
    /// Made when a handle or a service is.
    budget: Arc<OnceLock<Arc<Budget<S>>>>,
}

impl Default for BudgetLayer {
    fn default() -> Self {
        Self::new(MemoryStore::new())
    }
}

impl<S: Store> BudgetLayer<S> {
    /// A layer whose accounts are in this store. Without a [`limit`](Self::limit) it passes every call
    /// through.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store,
            settings: Settings {
                limits: Vec::new(),
                zone: Zone::UTC,
                price: None,
                fallback_price: None,
                user: None,
                anonymous: None,
                counter: Arc::new(Estimated),
                rules: Rules {
                    output_reserve: 4_096,
                    least_output: 256,
                    strict: false,
                    tells_provider: true,
                },
                allows_unreadable: false,
                warn_at: 80,
                shadow: false,
                max_payload_bytes: Payload::DEFAULT_MAX_BYTES,
            },
            budget: Arc::default(),
        }
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self.budget = Arc::default();
        self
    }

    fn rule(self, set: impl FnOnce(&mut Rules)) -> Self {
        self.set(|settings| set(&mut settings.rules))
    }

    /// Adds a limit. A call is admitted by all limits or by none. One of the same
    /// [name](Limit::name) takes the place of the one before.
    #[must_use]
    pub fn limit(self, limit: Limit) -> Self {
        self.set(|settings| {
            settings.limits.retain(|other| other.name != limit.name);
            settings.limits.push(limit);
        })
    }

    /// By whose calendar days, months and hours begin. Default UTC.
    #[must_use]
    pub fn time_zone(self, zone: Zone) -> Self {
        self.set(|settings| settings.zone = zone)
    }

    /// What tokens cost, for limits of money. Default: no price is known, and a limit of money refuses
    /// every call.
    #[must_use]
    pub fn priced_by(self, price: impl Price + 'static) -> Self {
        self.set(|settings| settings.price = Some(Arc::new(price)))
    }

    /// What tokens cost of models whose price is not known. Default: a limit of money refuses them.
    #[must_use]
    pub fn fallback_price(self, price: impl Price + 'static) -> Self {
        self.set(|settings| settings.fallback_price = Some(Arc::new(price)))
    }

    /// Who is spending. Default: the [`User`] in the request's extensions.
    #[must_use]
    pub fn user(self, user: impl Fn(&Parts) -> Option<User> + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.user = Some(Arc::new(user)))
    }

    /// All calls of which nobody knows whose they are share accounts of this name. Default: where a
    /// limit is for each user, key or the like, such a call is refused (403).
    #[must_use]
    pub fn anonymous(self, name: &str) -> Self {
        self.set(|settings| settings.anonymous = Some(name.into()))
    }

    /// Counts prompts before they are sent. Default: [`Estimated`], without a vocabulary.
    #[must_use]
    pub fn counted_by(self, counter: impl TokenCounter) -> Self {
        self.set(|settings| settings.counter = Arc::new(counter))
    }

    /// What is reserved for an answer in one piece, and sent as its cap, where the caller gives none:
    /// at least so many tokens. Default 4,096. It is more where the model's answers are longer: four
    /// times their 95th percentile, once that is known of 20 calls.
    #[must_use]
    pub fn output_reserve(self, tokens: u64) -> Self {
        self.rule(|rules| rules.output_reserve = tokens)
    }

    /// A call for whose answer less than this is left is refused, unless it asks for less. Default 256
    /// tokens of each choice.
    #[must_use]
    pub fn least_output(self, tokens: u64) -> Self {
        self.rule(|rules| rules.least_output = tokens)
    }

    /// Sends a cap with streams too, so that what a provider generates and does not show, such as
    /// reasoning, can't pass a budget either. Off by default: a stream goes on for as long as there is
    /// something left, and is ended then.
    #[must_use]
    pub fn strict(self) -> Self {
        self.rule(|rules| rules.strict = true)
    }

    /// Whether the provider is told how long an answer may be: the request's cap is set, or lowered, to
    /// what was reserved. Default true. Without it a request passes unchanged: a caller's cap is
    /// reserved whole or the call is refused, and an answer in one piece without a cap may overspend.
    #[must_use]
    pub fn enforce_at_provider(self, tells: bool) -> Self {
        self.rule(|rules| rules.tells_provider = tells)
    }

    /// Passes LLM calls that can't be read on, which nothing limits then: other content types,
    /// compressed bodies, bodies over [`max_payload_bytes`](Self::max_payload_bytes), and what is no
    /// JSON. Default: they are refused.
    #[must_use]
    pub fn allow_unreadable(self) -> Self {
        self.set(|settings| settings.allows_unreadable = true)
    }

    /// Warns from so many hundredths of a limit on: in a header of each answer, and by an event when an
    /// account comes to it. Default 80.
    #[must_use]
    pub fn warn_at(self, percent: u32) -> Self {
        self.set(|settings| settings.warn_at = percent)
    }

    /// Counts and reports, and refuses, changes and cuts nothing. Default: it does.
    #[must_use]
    pub fn shadow(self) -> Self {
        self.set(|settings| settings.shadow = true)
    }

    /// The largest request body that is kept in memory, in bytes. Default 16 MiB. It counts only where
    /// this is the outermost layer that reads the request.
    #[must_use]
    pub fn max_payload_bytes(self, bytes: usize) -> Self {
        self.set(|settings| settings.max_payload_bytes = bytes)
    }

    /// Looks at accounts and changes them while calls run.
    #[must_use]
    pub fn handle(&self) -> BudgetHandle<S> {
        BudgetHandle(self.shared())
    }

    fn shared(&self) -> Arc<Budget<S>> {
        let budget = self
            .budget
            .get_or_init(|| Arc::new(Budget::new(self.store.clone(), self.settings.clone())));
        Arc::clone(budget)
    }
}

impl<I, S: Store> Layer<I> for BudgetLayer<S> {
    type Service = Budgeted<I, S>;

    fn layer(&self, inner: I) -> Budgeted<I, S> {
        Budgeted::new(inner, self.shared())
    }
}

impl<S: Store> fmt::Debug for BudgetLayer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetLayer")
            .field("limits", &self.settings.limits)
            .field("rules", &self.settings.rules)
            .field("shadow", &self.settings.shadow)
            .finish_non_exhaustive()
    }
}
