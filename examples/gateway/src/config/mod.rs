//! The configuration file: read, checked, and every fault named with its line, section and key.
//!
//! One file for each section. A layer that is added adds its file here, and its line in `File`, in
//! [`Config`] and in `Config::from_toml`; the `stack` has the order.

mod admin;
mod auth;
mod breaker;
mod budget;
mod cache;
mod cost;
mod error;
mod listen;
mod provider;
mod retry;
mod route;
mod sse;
mod value;

use std::net::SocketAddr;

use breaker_layer::BreakerLayer;
use cost_layer::Prices;
use retry_layer::RetryLayer;
use serde::Deserialize;
use toml::Spanned;

pub use self::error::ConfigError;
pub(crate) use self::{
    admin::AdminConfig,
    budget::{BudgetConfig, BudgetStore},
    cache::{CacheConfig, Server, StoreConfig},
    cost::{CostConfig, LedgerConfig},
    route::Fallback,
    sse::SseConfig,
};
use self::{
    admin::AdminSection,
    auth::AuthSection,
    breaker::BreakerSection,
    budget::BudgetSection,
    cache::CacheSection,
    cost::CostSection,
    error::fault,
    listen::{LISTEN, address},
    provider::{ProviderSection, providers},
    retry::RetrySection,
    route::{RouteSection, routes},
    sse::SseSection,
};
use crate::{auth::Auth, provider::Provider, routes::Routes};

/// What a gateway is to do: a file that was read and found to be right.
///
/// `Debug` shows no credential.
#[derive(Debug)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: AdminConfig,
    pub(crate) auth: Option<Auth>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) routes: Routes,
    pub(crate) retry: Option<RetryLayer>,
    pub(crate) sse: Option<SseConfig>,
    pub(crate) cost: Option<CostConfig>,
    pub(crate) breaker: Option<BreakerLayer>,
    pub(crate) cache: Option<CacheConfig>,
    pub(crate) budget: Option<BudgetConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, deserialize_with = "address")]
    listen: Option<SocketAddr>,
    auth: Option<AuthSection>,
    #[serde(default)]
    admin: AdminSection,
    #[serde(default)]
    provider: Vec<Spanned<ProviderSection>>,
    #[serde(default)]
    route: Vec<RouteSection>,
    retry: Option<RetrySection>,
    sse: Option<SseSection>,
    cost: Option<CostSection>,
    breaker: Option<BreakerSection>,
    cache: Option<CacheSection>,
    budget: Option<BudgetSection>,
}

impl Config {
    /// Reads the text of a configuration file. `env` looks an environment variable up; it is asked
    /// for each `api_key_env` and the like.
    ///
    /// # Errors
    ///
    /// The text is no TOML, has an unknown key or a value that can't be used, names no provider,
    /// or a variable that is not set.
    pub fn from_toml(
        text: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let file: File =
            toml::from_str(text).map_err(|error| fault(text, error.span(), error.message()))?;
        let needs_keys = file.auth.as_ref().is_some_and(AuthSection::has_keys);
        let providers = providers(file.provider, needs_keys, text, &env)?;
        let auth = file.auth.map(|section| section.read(text, &env));
        let cost = file.cost.map(|section| section.read(&env)).transpose()?;
        let routes = match &cost {
            Some(cost) => routes(file.route, &providers, cost.layer.pricing(), text)?,
            None => routes(file.route, &providers, Prices::builtin(), text)?,
        };
        let (fallback, routes) = routes.unzip();
        Ok(Self {
            listen: file.listen.unwrap_or(LISTEN),
            admin: file.admin.read(&env)?,
            auth: auth.transpose()?,
            providers,
            fallback,
            routes: routes.unwrap_or_default(),
            retry: file.retry.map(RetrySection::layer).transpose()?,
            sse: file.sse.map(SseSection::layers),
            cost,
            breaker: file.breaker.map(BreakerSection::layer).transpose()?,
            cache: file.cache.map(|section| section.read(&env)).transpose()?,
            budget: file.budget.map(|section| section.read(&env)).transpose()?,
        })
    }

    /// Listens elsewhere than the file says. Port 0 is any free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const PROVIDER: &str =
        "[[provider]]\nname = \"p\"\nbase_url = \"http://127.0.0.1:9001\"\n";

    pub(super) fn read(text: &str) -> Result<Config, String> {
        Config::from_toml(text, |name| {
            (name == "OPENAI_API_KEY").then(|| "sk-canary\n".to_owned())
        })
        .map_err(|error| error.to_string())
    }

    pub(super) fn error(text: &str) -> String {
        read(text).map(|_| ()).unwrap_err()
    }

    #[test]
    fn the_file_of_the_contract_is_read() {
        let config = read(
            r#"
            listen = "127.0.0.1:8081"
            [[provider]]
            name = "openai"
            base_url = "https://api.openai.com"
            api_key_env = "OPENAI_API_KEY"
            dialect = "openai"
            [[provider]]
            name = "anthropic"
            base_url = "https://api.anthropic.com"
            dialect = "anthropic"
            [[provider]]
            name = "gemini"
            base_url = "https://generativelanguage.googleapis.com"
            dialect = "gemini"
            [retry]
            max_retries = 5
            initial_delay = "1s"
            max_delay = "1m"
            multiplier = 2
            jitter = 0.1
            max_hint = "250ms"
            deadline = "1m30s"
            [breaker]
            failure_threshold = 5
            success_threshold = 2
            open_for = "30s"
            "#,
        )
        .unwrap();
        assert_eq!(config.listen.port(), 8081);
        assert_eq!(config.providers.len(), 3);
        assert!(config.retry.is_some() && config.breaker.is_some());
        assert!(!format!("{config:?}").contains("canary"));
    }

    #[test]
    fn the_file_that_comes_with_the_gateway_is_right() {
        let text = include_str!("../../gateway.toml");
        let env = |name: &str| match name {
            "GATEWAY_KEYS" => Some("alice=sk-a,bob=sk-b".to_owned()),
            _ => Some("sk-canary".to_owned()),
        };
        let config = Config::from_toml(text, env).unwrap();
        assert_eq!(config.providers.len(), 2);
        assert!(config.auth.is_some() && config.fallback.is_some() && config.budget.is_some());
    }

    #[test]
    fn every_recipe_of_the_readmes_is_a_configuration() {
        let env = |name: &str| match name {
            "GATEWAY_KEYS" => Some("alice=sk-a,bob=sk-b".to_owned()),
            _ => Some("sk-canary".to_owned()),
        };
        let readmes = [
            include_str!("../../../../README.md"),
            include_str!("../../README.md"),
            include_str!("../../CONFIGURATION.md"),
        ];
        let texts = readmes
            .iter()
            .flat_map(|readme| readme.split("```toml\n").skip(1));
        let recipes: Vec<_> = texts
            .map(|text| text.split("```").next().unwrap())
            .collect();
        assert!(recipes.len() >= 6, "{}", recipes.len());
        // a part of a file goes with the providers of the whole one
        let providers = r#"
            [[provider]]
            name = "openai"
            base_url = "https://api.openai.com"
            api_key_env = "OPENAI_API_KEY"
            [[provider]]
            name = "anthropic"
            base_url = "https://api.anthropic.com"
            api_key_env = "ANTHROPIC_API_KEY"
            dialect = "anthropic"
        "#;
        for recipe in recipes {
            let is_whole = recipe.contains("[[provider]]");
            let text = format!("{}{recipe}", if is_whole { "" } else { providers });
            let config = Config::from_toml(&text, env);
            let config = config.unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(
                config.fallback.is_some() || config.retry.is_some(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_section_that_is_absent_is_a_layer_that_is_off() {
        let config = read(PROVIDER).unwrap();
        assert!(config.retry.is_none() && config.breaker.is_none());
        assert_eq!(config.listen, LISTEN);
        assert!(read(&format!("{PROVIDER}[retry]")).unwrap().retry.is_some());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_section() {
        let text = error(&format!("{PROVIDER}[retry]\nmax_retires = 3\n"));
        assert!(
            text.starts_with("line 5, [retry] max_retires: unknown field"),
            "{text}"
        );
        let text = error(&format!("lisen = \"127.0.0.1:1\"\n{PROVIDER}"));
        assert!(
            text.starts_with("line 1, lisen: unknown field `lisen`"),
            "{text}"
        );
        let text = error(&format!("{PROVIDER}modle = 1\n"));
        assert!(
            text.starts_with("line 4, [[provider]] modle: unknown"),
            "{text}"
        );
        let text = error(&format!("{PROVIDER}[fallbak]\n"));
        assert!(
            text.contains("line 4") && text.contains("`fallbak`"),
            "{text}"
        );
    }
}
