//! `[[provider]]`: where calls go, and with whose key.

use std::collections::HashSet;

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, error::fault, value::variable};
use crate::provider::{Provider, ProviderDialect, ProviderError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderSection {
    name: Spanned<String>,
    base_url: Spanned<String>,
    api_key_env: Option<Spanned<String>>,
    #[serde(default)]
    dialect: ProviderDialect,
}

/// All of them, in the order of the file. With `needs_keys` none may lack a key of its own.
pub(super) fn providers(
    sections: Vec<Spanned<ProviderSection>>,
    needs_keys: bool,
    text: &str,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<Vec<Provider>, ConfigError> {
    if sections.is_empty() {
        return Err(ConfigError("there is no [[provider]]".into()));
    }
    let mut names = HashSet::new();
    let mut providers = Vec::new();
    for section in sections {
        let section = section.into_inner();
        if !names.insert(section.name.get_ref().clone()) {
            let message = "another provider has this name";
            return Err(fault(text, Some(section.name.span()), message));
        }
        if needs_keys && section.api_key_env.is_none() {
            let message = "it needs api_key_env: with keys_env in [auth] a caller's key is the gateway's \
                           and never goes to a provider (one that asks for none takes any)";
            return Err(fault(text, Some(section.name.span()), message));
        }
        providers.push(section.provider(text, env)?);
    }
    Ok(providers)
}

impl ProviderSection {
    fn provider(
        self,
        text: &str,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<Provider, ConfigError> {
        let Self {
            name,
            base_url,
            api_key_env,
            dialect,
        } = self;
        let key = match &api_key_env {
            Some(name) => {
                let read = variable(name.get_ref(), env);
                Some(read.map_err(|why| fault(text, Some(name.span()), &why))?)
            }
            None => None,
        };
        Provider::new(name.get_ref(), base_url.get_ref(), key.as_deref(), dialect).map_err(
            |error| {
                let at = match error {
                    ProviderError::Name => name.span(),
                    ProviderError::BaseUrl(_) => base_url.span(),
                    ProviderError::Key(_) => api_key_env.map_or(name.span(), |key| key.span()),
                };
                fault(text, Some(at), &error.to_string())
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{PROVIDER, error};

    #[test]
    fn a_key_written_into_the_file_is_not_shown_in_the_error() {
        let text = error(&format!("{PROVIDER}api_key = \"sk-canary\"\n"));
        assert!(
            text.contains("api_key") && !text.contains("canary"),
            "{text}"
        );
        let text = error(&format!("{PROVIDER}api_key_env = \"sk-canary\"\n"));
        assert!(
            text.contains("not the key") && !text.contains("canary"),
            "{text}"
        );
    }

    #[test]
    fn providers_need_a_name_of_their_own_an_address_and_a_key_that_is_there() {
        for (text, says) in [
            ("", "there is no [[provider]]"),
            ("[[provider]]\nname = \"p\"\n", "missing field `base_url`"),
            (
                &format!("{PROVIDER}{PROVIDER}"),
                "line 5, [[provider]] name: another",
            ),
            (
                &PROVIDER.replace("\"p\"", "\"\""),
                "line 2, [[provider]] name: ",
            ),
            (
                &PROVIDER.replace("http:", "ftp:"),
                "line 3, [[provider]] base_url: ",
            ),
            (
                &format!("{PROVIDER}dialect = \"grok\""),
                "dialect: unknown variant `grok`",
            ),
            (
                &format!("{PROVIDER}api_key_env = \"NO_SUCH_KEY\""),
                "api_key_env: the environment variable NO_SUCH_KEY is not set",
            ),
            (
                &format!("listen = \"localhost\"\n{PROVIDER}"),
                "line 1, listen: it takes an IP",
            ),
            ("provider = 1", "line 1"),
            ("[[provider", "line 1"),
        ] {
            let found = error(text);
            assert!(found.contains(says), "{text:?}: {found}");
        }
    }
}
