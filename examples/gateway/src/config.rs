//! The configuration file.

use std::{fmt, net::SocketAddr, path::Path, time::Duration};

use http::HeaderValue;
use jiff::SignedDuration;
use retry_layer::{Backoff, RetryLayer};
use serde::{Deserialize, Deserializer, de};

use crate::provider::{Provider, Speaks};

/// Where the gateway listens unless told otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// What the gateway serves. Read from a file or made by [`Demo`](crate::Demo).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) providers: Vec<Provider>,
    /// `None`: off.
    pub(crate) retry: Option<RetryLayer>,
}

/// Why a configuration can't be served; a sentence that names the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig(String);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

impl std::error::Error for InvalidConfig {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    #[serde(default)]
    provider: Vec<ProviderSection>,
    retry: Option<RetrySection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderSection {
    name: String,
    base_url: String,
    api_key_env: Option<String>,
    dialect: Speaks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetrySection {
    max_retries: Option<u32>,
    initial_delay: Option<Span>,
    max_delay: Option<Span>,
    multiplier: Option<f64>,
    jitter: Option<f64>,
}

/// `"1s"`, `"250ms"`, `"1m30s"`.
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let duration = text.parse::<SignedDuration>().ok();
        duration
            .and_then(|duration| Duration::try_from(duration).ok())
            .map(Span)
            .ok_or_else(|| {
                de::Error::custom(format!(
                    "{text:?} is no duration such as \"1s\" or \"250ms\""
                ))
            })
    }
}

impl Config {
    pub(crate) fn of_provider(provider: Provider, listen: Option<SocketAddr>) -> Self {
        Self {
            listen: listen.unwrap_or_else(default_listen),
            providers: vec![provider],
            retry: Some(RetryLayer::new()),
        }
    }

    /// What is served, for people: a line for each provider and one for the layers.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut lines: Vec<_> = self
            .providers
            .iter()
            .map(|provider| format!("provider {}", provider.summary()))
            .collect();
        lines.push(format!(
            "layers: {}",
            if self.retry.is_some() {
                "retry"
            } else {
                "none"
            }
        ));
        lines.join("\n")
    }

    /// Reads a file. `--listen` overrides its `listen`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the key and, where it is about the text, the line.
    pub fn read(path: &Path, listen: Option<SocketAddr>) -> Result<Self, InvalidConfig> {
        let at = |what: &dyn fmt::Display| InvalidConfig(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| at(&error))?;
        Self::parse(&text, listen, |name| std::env::var(name).ok()).map_err(|error| at(&error))
    }

    /// Reads the text of a file; `environment` is asked for the keys.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(
        text: &str,
        listen: Option<SocketAddr>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidConfig> {
        let file: File = toml::from_str(text).map_err(|error| InvalidConfig(error.to_string()))?;
        let listen = listen.or(file.listen).unwrap_or_else(default_listen);
        let mut providers = Vec::with_capacity(file.provider.len());
        for section in file.provider {
            providers.push(provider(section, listen, &environment)?);
        }
        if providers.is_empty() {
            return Err(InvalidConfig("a [[provider]] is needed".to_owned()));
        }
        let retry = file.retry.map(retry).transpose()?;
        Ok(Self {
            listen,
            providers,
            retry,
        })
    }
}

fn default_listen() -> SocketAddr {
    DEFAULT_LISTEN.parse().expect("the default is an address")
}

fn provider(
    section: ProviderSection,
    listen: SocketAddr,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<Provider, InvalidConfig> {
    let ProviderSection {
        name,
        base_url,
        api_key_env,
        dialect,
    } = section;
    let wrong = |what: &str| Err(InvalidConfig(format!("provider {name:?}: {what}")));
    let key = match api_key_env {
        None => None,
        Some(variable) => {
            if !listen.ip().is_loopback() {
                return wrong(
                    "api_key_env together with a listen address that others reach would let \
                     anybody spend that key: listen on 127.0.0.1, or leave api_key_env out so that \
                     callers bring their own",
                );
            }
            let Some(key) = environment(&variable).filter(|key| !key.trim().is_empty()) else {
                return wrong(&format!("api_key_env: {variable} is not set"));
            };
            let text = dialect.credential(key.trim());
            let Ok(mut value) = HeaderValue::from_str(&text) else {
                return wrong(&format!("api_key_env: {variable} holds no key"));
            };
            value.set_sensitive(true);
            Some(value)
        }
    };
    match Provider::new(name.clone(), &base_url, dialect, key) {
        Ok(provider) => Ok(provider),
        Err(what) => wrong(&format!("base_url: {what}")),
    }
}

fn retry(section: RetrySection) -> Result<RetryLayer, InvalidConfig> {
    let wrong = |error| InvalidConfig(format!("[retry] {error}"));
    let mut backoff = Backoff::new();
    if let Some(Span(delay)) = section.initial_delay {
        backoff = backoff.initial(delay);
    }
    if let Some(Span(delay)) = section.max_delay {
        backoff = backoff.max(delay);
    }
    if let Some(factor) = section.multiplier {
        backoff = backoff.multiplier(factor).map_err(wrong)?;
    }
    if let Some(share) = section.jitter {
        backoff = backoff.jitter(share).map_err(wrong)?;
    }
    let mut layer = RetryLayer::new().backoff(backoff);
    if let Some(retries) = section.max_retries {
        layer = layer.max_retries(retries);
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVIDER: &str = r#"
        [[provider]]
        name = "openai"
        base_url = "https://api.openai.com"
        dialect = "openai"
    "#;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, None, |name| {
            (name == "KEY").then(|| "sk-1".to_owned())
        })
        .map_err(|error| error.to_string())
    }

    fn wrong(text: &str) -> String {
        parse(text).map(|_| ()).unwrap_err()
    }

    #[test]
    fn the_contract_of_the_file_is_read() {
        let config = parse(
            r#"
            listen = "127.0.0.1:8081"
            [[provider]]
            name = "openai"
            base_url = "http://127.0.0.1:9001"
            api_key_env = "KEY"
            dialect = "openai"
            [[provider]]
            name = "claude"
            base_url = "https://api.anthropic.com"
            dialect = "anthropic"
            [retry]
            max_retries = 5
            initial_delay = "1s"
            max_delay = "60s"
            multiplier = 2.0
            jitter = 0.1
            "#,
        )
        .unwrap();
        assert_eq!(config.listen.port(), 8081);
        assert_eq!(config.providers.len(), 2);
        assert!(config.retry.is_some());
        assert!(!format!("{config:?}").contains("sk-1"));
    }

    #[test]
    fn an_absent_section_is_off_and_listen_overrides() {
        let config =
            Config::parse(PROVIDER, Some("127.0.0.1:0".parse().unwrap()), |_| None).unwrap();
        assert!(config.retry.is_none());
        assert_eq!(config.listen.port(), 0);
        assert_eq!(parse(PROVIDER).unwrap().listen.to_string(), DEFAULT_LISTEN);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |text: &str| wrong(&format!("{text}\n{PROVIDER}"));
        let retry = |line: &str| wrong(&format!("{PROVIDER}\n[retry]\n{line}"));
        let provider = |line: &str| wrong(&format!("{PROVIDER}\n{line}"));
        assert!(with("listn = 1").contains("listn"));
        assert!(with("listen = \"here\"").contains("listen"));
        assert!(wrong("[cache]").contains("cache"));
        assert!(wrong("").contains("[[provider]]"));
        assert!(retry("max_retrys = 1").contains("max_retrys"));
        assert!(retry("initial_delay = \"soon\"").contains("soon"));
        assert!(retry("initial_delay = \"-1s\"").contains("-1s"));
        assert!(retry("initial_delay = 1").contains("initial_delay"));
        assert!(retry("max_retries = -1").contains("max_retries"));
        assert!(retry("jitter = 2.0").contains("jitter"));
        assert!(retry("multiplier = nan").contains("multiplier"));
        assert!(provider("api_key_env = \"NONE\"").contains("NONE is not set"));
        assert!(provider("api_key = \"sk\"").contains("api_key"));
        for url in [
            "ftp://x",
            "api.openai.com",
            "https://",
            "https://h/?key=1",
            "not a url",
        ] {
            let text = PROVIDER.replace("https://api.openai.com", url);
            assert!(wrong(&text).contains("base_url"), "{url}");
        }
        let text = PROVIDER.replace("\"openai\"\n    ", "\"cohere\"\n    ");
        assert!(wrong(&text).contains("cohere"), "{}", wrong(&text));
    }

    #[test]
    fn a_key_of_ours_is_not_offered_to_the_network() {
        let text = format!("listen = \"0.0.0.0:80\"\n{PROVIDER}");
        assert!(parse(&text).is_ok(), "callers bring their own keys");
        let text = format!("{text}\napi_key_env = \"KEY\"");
        assert!(wrong(&text).contains("anybody"));
        let text = text.replace("0.0.0.0", "[::1]");
        assert!(parse(&text).is_ok());
    }
}
