//! `[[route]]`: another model or another provider when one fails.

use std::time::Duration;

use fallback_layer::{Chain, Chains, Failover, FallbackLayer, Inner, Prefill, Target};
use jiff::SignedDuration;
use llm_exchange::{Money, Price, Standard};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IntoDeserializer, value::StringDeserializer},
};
use toml::Spanned;

use super::{
    ConfigError,
    error::fault,
    value::{dollars, duration, some_time},
};
use crate::{provider::Provider, routes::Routes};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteSection {
    /// `*` is every model without a route of its own.
    model: String,
    chain: Vec<TargetSection>,
    /// A stream that breaks after its first content is gone on with.
    #[serde(default)]
    failover: bool,
    /// Over so long a silence of the first target the next one is asked as well.
    hedge_after: Option<Spanned<HedgeAfter>>,
    /// Of the route's calls at most this part.
    hedge_share: Option<Spanned<f64>>,
}

/// How long the first target may be silent.
enum HedgeAfter {
    Time(Duration),
    /// The time in which 95 of 100 of its answers begin.
    Usual,
}

impl<'de> Deserialize<'de> for HedgeAfter {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let text = String::deserialize(value)?;
        if text == "p95" {
            return Ok(Self::Usual);
        }
        if text.parse::<SignedDuration>().is_err() {
            let what = format!("{text:?} is neither \"p95\" nor a duration such as \"2s\"");
            return Err(D::Error::custom(what));
        }
        let text: StringDeserializer<D::Error> = text.into_deserializer();
        some_time(text).map(|time| Self::Time(time.unwrap_or_default()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetSection {
    provider: Spanned<String>,
    model: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    max_latency: Option<Duration>,
    #[serde(default, deserialize_with = "dollars")]
    max_cost_usd: Option<Money>,
    context_window: Option<u64>,
    #[serde(default)]
    disabled: bool,
    prefill: Option<PrefillSection>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PrefillSection {
    Never,
    LastMessage,
    PrefixMember,
    ContinueFinalMessage,
}

/// Each route says for itself whether it goes on with streams.
pub(crate) type Fallback = FallbackLayer<Inner, Standard, (), Failover>;

/// All of them. `None`: there are none.
pub(super) fn routes(
    sections: Vec<RouteSection>,
    providers: &[Provider],
    prices: impl Price + Clone + 'static,
    text: &str,
) -> Result<Option<(Fallback, Routes)>, ConfigError> {
    if sections.is_empty() {
        return Ok(None);
    }
    let (mut chains, mut routes) = (Chains::new(), Routes::default());
    for section in sections {
        let model = Some(&*section.model).filter(|model| *model != "*");
        let mut way: Vec<Provider> = Vec::new();
        for target in &section.chain {
            let name = target.provider.get_ref();
            let provider = providers.iter().find(|one| *one.name == **name);
            let provider = provider.ok_or_else(|| {
                let what = format!("there is no provider {name:?}");
                fault(text, Some(target.provider.span()), &what)
            })?;
            way.push(provider.clone());
        }
        // a default route of one dialect is none for callers of others, who have a provider of their own
        let translates = model.is_some() || is_mixed(&way);
        let empty = model.map_or_else(Chain::new, Chain::for_model);
        let targets = section.chain.into_iter().zip(&way);
        let chain = targets.fold(empty, |chain, (target, provider)| {
            chain.then(target.target(provider, &way, translates, prices.clone()))
        });
        let chain = if section.failover {
            chain
        } else {
            chain.no_failover()
        };
        let chain = hedge(
            chain,
            section.hedge_after,
            section.hedge_share,
            way.len(),
            text,
        )?;
        chains = match model {
            Some(_) => chains.chain(chain),
            None => chains.default_chain(chain),
        };
        routes.add(model, way, translates);
    }
    let layer = FallbackLayer::new(chains);
    let layer = layer.map_err(|error| ConfigError(format!("[[route]] {error}")))?;
    Ok(Some((layer.failover(Failover::new()), routes)))
}

fn hedge(
    chain: Chain,
    after: Option<Spanned<HedgeAfter>>,
    share: Option<Spanned<f64>>,
    targets: usize,
    text: &str,
) -> Result<Chain, ConfigError> {
    let not = |span, what| Err(fault(text, Some(span), what));
    let chain = match (after, &share) {
        (None, None) => return Ok(chain),
        (None, Some(share)) => {
            return not(share.span(), "it is of no use without hedge_after");
        }
        (Some(after), _) if targets < 2 => {
            return not(after.span(), "the chain has no second target to ask");
        }
        (Some(after), _) => match after.into_inner() {
            HedgeAfter::Time(silence) => chain.hedge_after(silence),
            HedgeAfter::Usual => chain.hedge_after_usual(),
        },
    };
    let Some(share) = share else {
        return Ok(chain);
    };
    match percent(*share.get_ref()) {
        Some(percent) => Ok(chain.hedge_share(percent)),
        None => not(
            share.span(),
            "it is a part of the calls from 0.01 to 1, in hundredths",
        ),
    }
}

/// `None`: it is no whole number of hundredths from 1 to 100.
fn percent(share: f64) -> Option<u8> {
    (1..=100).find(|percent| (f64::from(*percent) / 100.0 - share).abs() < 1e-9)
}

fn is_mixed(way: &[Provider]) -> bool {
    way.windows(2).any(|two| two[0].dialect != two[1].dialect)
}

impl TargetSection {
    fn target(
        self,
        provider: &Provider,
        way: &[Provider],
        translates: bool,
        prices: impl Price + 'static,
    ) -> Target {
        let model = self.model.as_deref();
        let target = model.map_or_else(Target::as_asked, Target::model);
        let label = format!("{}/{}", provider.name, model.unwrap_or("as asked"));
        let mut target = target
            .label(label)
            .dialects(provider.dialect.dialects())
            .disabled(self.disabled);
        if translates && let Some(dialect) = provider.dialect.translated() {
            target = target.dialect(dialect);
        }
        // where all speak the same, every call sets out at the first one
        let is_mixed = is_mixed(way);
        if is_mixed || way[0].name != provider.name {
            target = target.at(&provider.host.to_string());
            target = match &provider.credential {
                Some(credential) => target.own_credential(credential.clone()),
                None if is_mixed => target.callers_credential_there(),
                None => target.without_credential(),
            };
        }
        if let Some(limit) = self.max_latency {
            target = target.max_latency(limit);
        }
        if let Some(limit) = self.max_cost_usd {
            target = target.max_cost(limit, prices);
        }
        if let Some(tokens) = self.context_window {
            target = target.context_window(tokens);
        }
        if let Some(prefill) = self.prefill {
            target = target.prefill(match prefill {
                PrefillSection::Never => Prefill::Never,
                PrefillSection::LastMessage => Prefill::LastMessage,
                PrefillSection::PrefixMember => Prefill::PrefixMember,
                PrefillSection::ContinueFinalMessage => Prefill::ContinueFinalMessage,
            });
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{PROVIDER, error, read};

    const OTHER: &str = "[[provider]]\nname = \"q\"\nbase_url = \"http://127.0.0.1:9002\"\n";

    fn with(routes: &str) -> String {
        format!("{PROVIDER}{OTHER}{routes}")
    }

    #[test]
    fn routes_are_read_as_the_contract_has_them() {
        let config = read(&with(
            r#"
            [[route]]
            model = "gpt-4o"                     # "*" is the default chain
            chain = [
              { provider = "p", model = "gpt-4o", max_latency = "3s", max_cost_usd = 0.10 },
              { provider = "p", model = "gpt-4o-mini", context_window = 128_000 },
              { provider = "q", model = "llama3", disabled = false },
            ]
            [[route]]
            model = "*"
            failover = true
            hedge_after = "p95"
            hedge_share = 0.1
            chain = [{ provider = "p" }, { provider = "q", model = "llama3", prefill = "last-message" }]
            "#,
        ))
        .unwrap();
        assert!(config.fallback.is_some());
        assert!(read(PROVIDER).unwrap().fallback.is_none());
    }

    #[test]
    fn what_is_wrong_with_a_route_is_named() {
        for (routes, says) in [
            (
                "[[route]]\nmodel = \"m\"\nchain = [{ provider = \"x\" }]",
                "line 9, [[route]] chain: there is no provider \"x\"",
            ),
            (
                "[[route]]\nmodel = \"m\"\nchain = []",
                "[[route]] the chain for m: it has no target",
            ),
            (
                "[[route]]\nmodel = \"m\"\nchain = [{ provider = \"p\" }, { provider = \"p\", model = \"m\" }]",
                "[[route]] the chain for m, target p/m: it is there twice",
            ),
            (
                "[[route]]\nmodel = \"*\"\nchain = [{ provider = \"p\" }]\n[[route]]\nmodel = \"*\"\nchain = [{ provider = \"q\" }]",
                "[[route]] the default chain: there is another one",
            ),
            (
                "[[route]]\nmodel = \"m\"\nchain = [{ provider = \"p\", max_latency = \"3\" }]",
                "\"3\" is no duration",
            ),
            (
                "[[route]]\nmodel = \"m\"\nchain = [{ provider = \"p\", max_cost_usd = -1 }]",
                "no amount of dollars",
            ),
            ("[[route]]\nchain = []", "missing field `model`"),
            (
                "[[route]]\nmodel = \"m\"\nchain = [{ provider = \"p\", prefill = \"yes\" }]",
                "unknown variant `yes`",
            ),
            (
                "[[route]]\nmodel = \"m\"\nhedge_after = \"2\"\nchain = [{ provider = \"p\" }]",
                "line 9, [[route]] hedge_after: \"2\" is neither \"p95\" nor a duration",
            ),
            (
                "[[route]]\nmodel = \"m\"\nhedge_after = \"0s\"\nchain = [{ provider = \"p\" }]",
                "no time at all is no setting",
            ),
            (
                "[[route]]\nmodel = \"m\"\nhedge_after = \"p95\"\nchain = [{ provider = \"p\" }]",
                "line 9, [[route]] hedge_after: the chain has no second target to ask",
            ),
            (
                "[[route]]\nmodel = \"m\"\nhedge_share = 0.1\nchain = [{ provider = \"p\" }, { provider = \"q\" }]",
                "line 9, [[route]] hedge_share: it is of no use without hedge_after",
            ),
            (
                "[[route]]\nmodel = \"m\"\nhedge_after = \"2s\"\nhedge_share = 10.0\nchain = [{ provider = \"p\" }, { provider = \"q\" }]",
                "line 10, [[route]] hedge_share: it is a part of the calls from 0.01 to 1, in hundredths",
            ),
            (
                "[[route]]\nmodel = \"m\"\nhedge_after = \"2s\"\nhedge_share = 0.0\nchain = [{ provider = \"p\" }, { provider = \"q\" }]",
                "from 0.01 to 1",
            ),
            (
                "[[route]]\nmodel = \"m\"\nchain = [{ provider = \"p\", cap = 1 }]",
                "unknown field `cap`",
            ),
        ] {
            let text = error(&with(routes));
            assert!(text.contains(says), "{routes}: {text}");
        }
    }
}
