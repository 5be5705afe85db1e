//! The chains of a layer, checked and laid out for looking up.

use std::{collections::HashMap, sync::Arc};

use foldhash::quality::RandomState;
use http::HeaderValue;
use llm_exchange::{Call, Dialect};

use crate::{
    Chain, Chains, InvalidChain, Target,
    chain::{Place, Way},
    invalid::Fault,
    served::Label,
    target::{Spec, Whose},
};

/// The most targets of a chain.
const MOST_TARGETS: usize = 32;

/// A chain by its place in [`Routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChainId(u32);

/// A target by its chain and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetId {
    pub(crate) chain: ChainId,
    pub(crate) at: usize,
}

pub(crate) struct Routes<O> {
    chains: Vec<Box<[Stop<O>]>>,
    /// Of each of them.
    ways: Vec<Way>,
    by_model: HashMap<Arc<str>, ChainId, RandomState>,
    named: HashMap<Arc<str>, ChainId, RandomState>,
    default: Option<ChainId>,
    pub(crate) too_long: Option<ChainId>,
    pub(crate) filtered: Option<ChainId>,
}

/// A target as it stands in its chain.
pub(crate) struct Stop<O> {
    pub(crate) id: TargetId,
    pub(crate) spec: Spec,
    pub(crate) own: Option<O>,
    /// What it is called by; `None`: by the model that was asked for.
    label: Option<Arc<str>>,
    /// `x-llm-model`; `None`: the model that was asked for, or a model that no header can carry.
    model_header: Option<HeaderValue>,
}

impl<O> Routes<O> {
    pub(crate) fn build(chains: Chains<O>) -> Result<Self, InvalidChain> {
        let mut routes = Self {
            chains: Vec::new(),
            ways: Vec::new(),
            by_model: HashMap::default(),
            named: HashMap::default(),
            default: None,
            too_long: None,
            filtered: None,
        };
        if chains.0.is_empty() {
            return Err(InvalidChain::new("the layer", None, Fault::Empty));
        }
        for (place, chain) in chains.0 {
            routes.add(place, chain)?;
        }
        Ok(routes)
    }

    fn add(&mut self, place: Place, chain: Chain<O>) -> Result<(), InvalidChain> {
        let words = in_words(&place, chain.asked.as_deref());
        // what calls of this chain ask for, where they all ask for the same
        let asked = chain.asked.filter(|_| place == Place::Model);
        let id = ChainId(u32::try_from(self.chains.len()).unwrap_or(u32::MAX));
        let taken = match place {
            Place::Model => match &asked {
                Some(model) => self.by_model.insert(model.clone(), id).is_some(),
                None => return Err(InvalidChain::new(&words, None, Fault::NoModel)),
            },
            Place::Named(name) => self.named.insert(name, id).is_some(),
            Place::Default => self.default.replace(id).is_some(),
            Place::PromptTooLong => self.too_long.replace(id).is_some(),
            Place::Filtered => self.filtered.replace(id).is_some(),
        };
        if taken {
            return Err(InvalidChain::new(&words, None, Fault::Duplicate));
        }
        check(&chain.targets, asked.as_deref())
            .map_err(|(target, fault)| InvalidChain::new(&words, target.as_deref(), fault))?;
        let stops = chain.targets.into_iter().enumerate();
        let stops = stops.map(|(at, target)| Stop::new(TargetId { chain: id, at }, target));
        self.chains.push(stops.collect());
        self.ways.push(chain.way);
        Ok(())
    }

    /// The chain of a call that asks for this model and, where any [has a name](Self::has_names),
    /// may name one.
    ///
    /// The outer `None`: it names one that there isn't.
    #[allow(clippy::option_option)] // "refused" and "passed through" are told apart by one caller
    pub(crate) fn chain_of(
        &self,
        call: Dialect,
        model: &str,
        named: Option<&[u8]>,
    ) -> Option<Option<ChainId>> {
        if let Some(name) = named {
            let name = std::str::from_utf8(name).ok()?;
            return self.named.get(name).copied().map(Some);
        }
        let speaks = |chain: &ChainId| {
            let mut stops = self.stops(*chain).iter();
            stops.any(|stop| stop.spec.speaks(call))
        };
        let own = self.by_model.get(model).copied().filter(speaks);
        // vectors of two models have nothing to do with each other: not unasked
        let default = self.default.filter(|_| call != Dialect::OpenAiEmbeddings);
        Some(own.or_else(|| default.filter(speaks)))
    }

    /// Whether calls may name a chain.
    pub(crate) fn has_names(&self) -> bool {
        !self.named.is_empty()
    }

    /// How this chain is walked.
    pub(crate) fn way(&self, chain: ChainId) -> &Way {
        &self.ways[chain.0 as usize]
    }

    pub(crate) fn stops(&self, chain: ChainId) -> &[Stop<O>] {
        &self.chains[chain.0 as usize]
    }

    pub(crate) fn stop(&self, target: TargetId) -> &Stop<O> {
        &self.stops(target.chain)[target.at]
    }
}

impl<O> Stop<O> {
    fn new(id: TargetId, target: Target<O>) -> Self {
        let Target { spec, own } = target;
        let model_header = spec
            .model
            .as_ref()
            .and_then(|model| HeaderValue::from_bytes(model.as_bytes()).ok());
        Self {
            id,
            label: spec.label.clone().or_else(|| spec.model.clone()),
            model_header,
            spec,
            own,
        }
    }
}

impl<O> Stop<O> {
    /// What the target is called by, for this call.
    pub(crate) fn label(&self, call: &Arc<Call>) -> Label {
        match &self.label {
            Some(label) => Label::Given(Arc::clone(label)),
            None => Label::Asked(Arc::clone(call)),
        }
    }

    /// `x-llm-model` of its answer to this call; `None`: a name that no header can carry.
    pub(crate) fn model_header(&self, call: &Call) -> Option<HeaderValue> {
        self.model_header.clone().or_else(|| {
            let model = self.spec.model_for(call.model())?;
            HeaderValue::from_bytes(model.as_bytes()).ok()
        })
    }
}

type TargetFault = (Option<Box<str>>, Fault);

fn check<O>(targets: &[Target<O>], asked: Option<&str>) -> Result<(), TargetFault> {
    if targets.is_empty() {
        return Err((None, Fault::Empty));
    }
    if targets.len() > MOST_TARGETS {
        return Err((None, Fault::TooLong));
    }
    for (at, target) in targets.iter().enumerate() {
        let spec = &target.spec;
        let name = spec.label.as_deref().or(spec.model.as_deref());
        let fault = |fault| (Some(name.unwrap_or("as asked").into()), fault);
        if let Some(why) = &spec.fault {
            return Err(fault(why.clone()));
        }
        if spec.host.is_some() && spec.credential == Whose::Callers {
            return Err(fault(Fault::NoCredential));
        }
        // two services of one's own cannot be compared: they are taken for different ones
        let before = targets[..at].iter().rposition(|other| {
            other.own.is_none() && target.own.is_none() && other.spec.is_same(spec, asked)
        });
        match before {
            Some(before) if before + 1 == at => return Err(fault(Fault::TargetTwice)),
            Some(_) => return Err(fault(Fault::Cycle)),
            None => {}
        }
    }
    Ok(())
}

fn in_words(place: &Place, asked: Option<&str>) -> String {
    match (place, asked) {
        (Place::Model, Some(model)) => format!("the chain for {model}"),
        (Place::Model, None) => "a chain".into(),
        (Place::Default, _) => "the default chain".into(),
        (Place::Named(name), _) => format!("the chain named {name}"),
        (Place::PromptTooLong, _) => "the chain for prompts that are too long".into(),
        (Place::Filtered, _) => "the chain for filtered content".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Inner;

    fn fault<O>(chains: impl Into<Chains<O>>) -> String {
        Routes::build(chains.into()).err().unwrap().to_string()
    }

    #[test]
    fn a_chain_needs_a_target() {
        assert_eq!(
            fault::<Inner>(Chain::for_model("m")),
            "the chain for m: it has no target"
        );
        assert_eq!(fault(Chain::new()), "the default chain: it has no target");
        assert_eq!(fault(Chains::new()), "the layer: it has no target");
    }

    #[test]
    fn a_chain_does_not_come_back_to_a_target() {
        let twice = fault(Chain::of("a").then("b").then("b"));
        assert_eq!(
            twice,
            "the chain for a, target b: it is there twice in a row"
        );
        let cycle = fault(Chain::of("a").then("b").then("a"));
        assert!(cycle.starts_with("the chain for a, target a: the chain comes back"));
        // the model that is asked for, in other words
        let cycle = fault(Chain::of("a").then("b").then(Target::as_asked()));
        assert!(cycle.contains("target as asked: the chain comes back"));
        let other = || Target::model("a").at("http://h").without_credential();
        let chain = Chain::of("a").then(other()).then(other().parameter("n", 2));
        assert!(Routes::build(chain.clone().into()).is_ok());
        assert!(fault(chain.then("b").then(other())).contains("target a: the chain comes back"));
        // two keys of one account are two targets, and so are two services
        let keys = Chain::of("a")
            .then(Target::model("a").credential("1"))
            .then(Target::model("a").credential("2"));
        assert!(Routes::build(keys.into()).is_ok());
        let own = Chain::of(Target::model("a").via(1)).then(Target::model("a").via(2));
        assert!(Routes::build(own.into()).is_ok());
    }

    #[test]
    fn two_chains_for_the_same_calls_are_refused() {
        let chain = || Chain::of("a").then("b");
        let chains = || Chains::new();
        assert!(fault(chains().chain(chain()).chain(chain())).starts_with("the chain for a: "));
        assert!(fault(chains().default_chain(chain()).default_chain(chain())).contains("default"));
        assert!(fault(chains().named("n", chain()).named("n", chain())).contains("named n"));
        for twice in [
            chains().on_filtered(chain()).on_filtered(chain()),
            chains()
                .on_prompt_too_long(chain())
                .on_prompt_too_long(chain()),
        ] {
            assert!(Routes::build(twice).err().unwrap().is_repeated());
        }
        assert!(fault(chains().chain(Chain::new().then("a"))).contains("which model"));
    }

    #[test]
    fn another_host_without_a_credential_of_its_own_is_refused() {
        let elsewhere = Target::model("b").at("https://api.example.com");
        let error = Routes::build(Chain::of("a").then(elsewhere.clone()).into()).err();
        assert!(error.unwrap().lacks_credential());
        for fine in [
            elsewhere.clone().credential("sk"),
            elsewhere.clone().without_credential(),
        ] {
            assert!(Routes::build(Chain::of("a").then(fine).into()).is_ok());
        }
    }

    #[test]
    fn what_is_wrong_with_a_target_is_told_without_its_key() {
        for (target, says) in [
            (
                Target::model("b").at("api.example.com"),
                "its address: it takes http",
            ),
            (
                Target::model("b").credential("can\nary"),
                "a header can't carry",
            ),
            (
                Target::model("b").parameter("model", "c"),
                "the parameter model",
            ),
            (
                Target::model("b").without_parameter("stream"),
                "the parameter stream",
            ),
            (
                Target::model("b").max_latency(std::time::Duration::ZERO),
                "latency is zero",
            ),
        ] {
            let text = fault(Chain::of("a").then(target));
            assert!(
                text.starts_with("the chain for a, target b: ") && text.contains(says),
                "{text}"
            );
        }
    }

    #[test]
    fn a_chain_has_at_most_32_targets() {
        let chain = |count| {
            (0..count).fold(Chain::for_model("m"), |chain, n| {
                chain.then(format!("m{n}"))
            })
        };
        assert!(Routes::build(chain(32).into()).is_ok());
        assert!(fault(chain(33)).contains("more than 32"));
    }

    #[test]
    fn a_call_takes_the_chain_it_names_or_its_models_or_the_default() {
        let chains = Chains::new()
            .chain(Chain::of("a").then("b"))
            .default_chain(Chain::of(Target::as_asked()).then("c"))
            .named("cheap", Chain::of("d"));
        let routes = Routes::build(chains).unwrap();
        let chat = Dialect::OpenAiChat;
        let of = |model, named| {
            routes
                .chain_of(chat, model, named)
                .map(|chain| chain.unwrap().0)
        };
        assert_eq!(of("a", None), Some(0));
        assert_eq!(of("x", None), Some(1));
        assert_eq!(of("a", Some(b"cheap")), Some(2));
        assert_eq!(of("a", Some(b"a")), None);
        assert_eq!(of("a", Some(b"\xff")), None);
        let embeddings = Dialect::OpenAiEmbeddings;
        assert_eq!(routes.chain_of(embeddings, "x", None), Some(None));
        assert_eq!(
            routes.chain_of(embeddings, "a", None),
            Some(Some(ChainId(0)))
        );
        assert!(routes.has_names());
        let routes = Routes::build(Chain::of("a").into()).unwrap();
        assert!(!routes.has_names());
        assert_eq!(routes.chain_of(chat, "x", None), Some(None));
    }
}
