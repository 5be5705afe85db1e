//! Targets in the order in which they are tried, and which calls they are for.

use std::{fmt, sync::Arc, time::Duration};

use crate::{Inner, Join, Target, hedge::When};

/// Targets in the order in which they are tried.
///
/// ```
/// use fallback_layer::{Chain, Target};
///
/// // for calls that ask for gpt-4o
/// let chain = Chain::of("gpt-4o")
///     .then("gpt-4o-mini")
///     .then(Target::model("llama3").at("http://127.0.0.1:11434").without_credential());
/// # let _ = chain;
/// ```
#[derive(Clone)]
pub struct Chain<O = Inner> {
    pub(crate) asked: Option<Arc<str>>,
    pub(crate) targets: Vec<Target<O>>,
    pub(crate) way: Way,
}

/// How a chain is walked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) fails_over: bool,
    /// `None`: as the layer says.
    pub(crate) hedge: Option<Option<When>>,
    pub(crate) hedge_share: Option<u8>,
}

impl Way {
    const fn new() -> Self {
        Self {
            fails_over: true,
            hedge: None,
            hedge_share: None,
        }
    }
}

impl Chain {
    /// A chain without a target yet, for a place in [`Chains`] that does not ask which model it is
    /// for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            asked: None,
            targets: Vec::new(),
            way: Way::new(),
        }
    }

    /// A chain without a target yet, for calls that ask for this model.
    #[must_use]
    pub fn for_model(model: impl Into<Arc<str>>) -> Self {
        Self {
            asked: Some(model.into()),
            targets: Vec::new(),
            way: Way::new(),
        }
    }

    /// A chain that begins with this target, for calls that ask for its model.
    #[must_use]
    pub fn of<U>(first: impl Into<Target<U>>) -> Chain<U> {
        let first = first.into();
        Chain {
            asked: first.spec.model.clone(),
            targets: vec![first],
            way: Way::new(),
        }
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl<O> Chain<O> {
    /// Then this target, once those before it were left.
    #[must_use]
    pub fn then<U>(self, target: impl Into<Target<U>>) -> Chain<O::Out>
    where
        O: Join<U>,
    {
        let mut chain = self.map(O::this);
        chain.targets.push(target.into().map(O::that));
        chain
    }

    /// For calls of this chain, what
    /// [`FallbackLayer::hedge_after`](crate::FallbackLayer::hedge_after) is for all.
    #[must_use]
    pub const fn hedge_after(mut self, silence: Duration) -> Self {
        self.way.hedge = Some(Some(When::After(silence)));
        self
    }

    /// For calls of this chain, what
    /// [`FallbackLayer::hedge_after_usual`](crate::FallbackLayer::hedge_after_usual) is for all.
    #[must_use]
    pub const fn hedge_after_usual(mut self) -> Self {
        self.way.hedge = Some(Some(When::Usual));
        self
    }

    /// The most of a hundred calls of this chain of which a second target is asked, counted by itself. Default:
    /// the share of all calls together,
    /// [`FallbackLayer::hedge_share`](crate::FallbackLayer::hedge_share).
    #[must_use]
    pub fn hedge_share(mut self, percent: u8) -> Self {
        self.way.hedge_share = Some(percent.min(100));
        self
    }

    /// Asks one target at a time for calls of this chain, whatever the layer does for others.
    #[must_use]
    pub const fn no_hedge(mut self) -> Self {
        self.way.hedge = Some(None);
        self
    }

    /// Does not go on with a stream of this chain that breaks, though the layer does
    /// ([`FallbackLayer::failover`](crate::FallbackLayer::failover)).
    #[must_use]
    pub const fn no_failover(mut self) -> Self {
        self.way.fails_over = false;
        self
    }

    fn map<U>(self, own: impl Fn(O) -> U) -> Chain<U> {
        Chain {
            asked: self.asked,
            way: self.way,
            targets: self
                .targets
                .into_iter()
                .map(|target| target.map(&own))
                .collect(),
        }
    }
}

impl<O> fmt::Debug for Chain<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("for_model", &self.asked)
            .field("targets", &self.targets)
            .finish()
    }
}

/// All the chains of a layer. Where there is only one, it can be given as it is.
///
/// A call takes the chain that it names (see [`named`](Self::named)), else the one of the model it
/// asks for, else the default chain. Without any it passes through the layer.
///
/// ```
/// use fallback_layer::{Chain, Chains, Target};
///
/// let chains = Chains::new()
///     .chain(Chain::of("gpt-4o").then("gpt-4o-mini"))
///     .chain(Chain::of("gpt-4.1").then("gpt-4o"))
///     .default_chain(Chain::of(Target::as_asked()).then("gpt-4o-mini"))
///     .on_prompt_too_long(Chain::of("gpt-4.1"));
/// # let _ = chains;
/// ```
#[derive(Clone)]
pub struct Chains<O = Inner>(pub(crate) Vec<(Place, Chain<O>)>);

/// What a chain is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Model,
    Default,
    Named(Arc<str>),
    PromptTooLong,
    Filtered,
}

impl Chains {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }
}

impl Default for Chains {
    fn default() -> Self {
        Self::new()
    }
}

impl<O> Chains<O> {
    /// For calls that ask for the chain's model.
    #[must_use]
    pub fn chain<U>(self, chain: Chain<U>) -> Chains<O::Out>
    where
        O: Join<U>,
    {
        self.with(Place::Model, chain)
    }

    /// For calls whose model has no chain of its own. Embeddings take only chains of their model: the
    /// vectors of another one have nothing to do with its.
    #[must_use]
    pub fn default_chain<U>(self, chain: Chain<U>) -> Chains<O::Out>
    where
        O: Join<U>,
    {
        self.with(Place::Default, chain)
    }

    /// For calls that name it in the header `x-llm-chain`. With any such chain configured, a call
    /// that names another one is refused with a 400; the header does not go upstream.
    #[must_use]
    pub fn named<U>(self, name: impl Into<Arc<str>>, chain: Chain<U>) -> Chains<O::Out>
    where
        O: Join<U>,
    {
        self.with(Place::Named(name.into()), chain)
    }

    /// Where a call goes on when a target says that its prompt is too long, or all of its chain are
    /// skipped for their context windows. Default: with the next target of its own chain.
    #[must_use]
    pub fn on_prompt_too_long<U>(self, chain: Chain<U>) -> Chains<O::Out>
    where
        O: Join<U>,
    {
        self.with(Place::PromptTooLong, chain)
    }

    /// Where a call goes on when a provider's filter blocks its content. Default: nowhere, the
    /// answer is handed back; see also
    /// [`FallbackLayer::leave_filtered`](crate::FallbackLayer::leave_filtered).
    #[must_use]
    pub fn on_filtered<U>(self, chain: Chain<U>) -> Chains<O::Out>
    where
        O: Join<U>,
    {
        self.with(Place::Filtered, chain)
    }

    fn with<U>(self, place: Place, chain: Chain<U>) -> Chains<O::Out>
    where
        O: Join<U>,
    {
        let mut all: Vec<_> = self
            .0
            .into_iter()
            .map(|(place, chain)| (place, chain.map(O::this)))
            .collect();
        all.push((place, chain.map(O::that)));
        Chains(all)
    }
}

/// For its model if it has one, else for every call.
impl<O> From<Chain<O>> for Chains<O> {
    fn from(chain: Chain<O>) -> Self {
        let place = match &chain.asked {
            Some(_) => Place::Model,
            None => Place::Default,
        };
        Self(vec![(place, chain)])
    }
}

impl<O> fmt::Debug for Chains<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.iter().map(|(place, chain)| (place, chain));
        f.debug_map().entries(all).finish()
    }
}
