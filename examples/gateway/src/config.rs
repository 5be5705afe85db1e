//! The configuration file: read, checked, and every fault named with its line, section and key.

use std::{collections::HashSet, fmt, net::SocketAddr, ops::Range, time::Duration};

use jiff::SignedDuration;
use retry_layer::{Backoff, RetryLayer};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use crate::provider::{Provider, ProviderDialect, ProviderError};

/// Where the gateway listens unless it is told otherwise.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// No duration of the file may be longer: a slip of the unit is told at the start.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a gateway is to do: a file that was read and found to be right.
///
/// `Debug` shows no credential.
#[derive(Debug)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) providers: Vec<Provider>,
    pub(crate) retry: Option<RetryLayer>,
}

/// Why a configuration can't be used. It never shows a value that may be a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, deserialize_with = "address")]
    listen: Option<SocketAddr>,
    #[serde(default)]
    provider: Vec<Spanned<ProviderSection>>,
    retry: Option<RetrySection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderSection {
    name: Spanned<String>,
    base_url: Spanned<String>,
    api_key_env: Option<Spanned<String>>,
    #[serde(default)]
    dialect: ProviderDialect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetrySection {
    max_retries: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    initial_delay: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    max_delay: Option<Duration>,
    #[serde(default, deserialize_with = "multiplier")]
    multiplier: Option<f64>,
    #[serde(default, deserialize_with = "jitter")]
    jitter: Option<f64>,
    #[serde(default, deserialize_with = "duration")]
    max_hint: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    deadline: Option<Duration>,
}

impl Config {
    /// Reads the text of a configuration file. `env` looks an environment variable up; it is asked
    /// for each `api_key_env`.
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
        if file.provider.is_empty() {
            return Err(ConfigError("there is no [[provider]]".into()));
        }
        let mut names = HashSet::new();
        let mut providers = Vec::new();
        for section in file.provider {
            let section = section.into_inner();
            let at = section.name.span();
            if !names.insert(section.name.get_ref().clone()) {
                let message = "another provider has this name";
                return Err(fault(text, Some(at), message));
            }
            providers.push(section.provider(text, &env)?);
        }
        let retry = match file.retry {
            Some(section) => Some(
                section
                    .layer()
                    .map_err(|error| ConfigError(format!("[retry]: {error}")))?,
            ),
            None => None,
        };
        Ok(Self {
            listen: file.listen.unwrap_or(LISTEN),
            providers,
            retry,
        })
    }

    /// Listens elsewhere than the file says. Port 0 is any free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }
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
            Some(variable) => {
                let read = key(variable.get_ref(), env);
                Some(read.map_err(|why| fault(text, Some(variable.span()), &why))?)
            }
            None => None,
        };
        Provider::new(name.get_ref(), base_url.get_ref(), key.as_deref(), dialect).map_err(
            |error| {
                let at = match error {
                    ProviderError::Name => name.span(),
                    ProviderError::BaseUrl(_) => base_url.span(),
                    ProviderError::Key => api_key_env.map_or(name.span(), |key| key.span()),
                };
                fault(text, Some(at), &error.to_string())
            },
        )
    }
}

fn key(variable: &str, env: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let is_name = variable
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && variable
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
    if !is_name {
        // it may be the key itself: it is not shown
        return Err("it takes the name of an environment variable, not the key".into());
    }
    match env(variable) {
        Some(key) if !key.trim().is_empty() => Ok(key.trim().to_owned()),
        Some(_) => Err(format!("the environment variable {variable} is empty")),
        None => Err(format!("the environment variable {variable} is not set")),
    }
}

impl RetrySection {
    fn layer(self) -> Result<RetryLayer, retry_layer::InvalidBackoff> {
        let mut backoff = Backoff::new();
        if let Some(delay) = self.initial_delay {
            backoff = backoff.initial(delay);
        }
        if let Some(delay) = self.max_delay {
            backoff = backoff.max(delay);
        }
        if let Some(factor) = self.multiplier {
            backoff = backoff.multiplier(factor)?;
        }
        if let Some(share) = self.jitter {
            backoff = backoff.jitter(share)?;
        }
        let mut layer = RetryLayer::new().backoff(backoff);
        if let Some(retries) = self.max_retries {
            layer = layer.max_retries(retries);
        }
        if let Some(delay) = self.max_hint {
            layer = layer.max_hint(delay);
        }
        if let Some(deadline) = self.deadline {
            layer = layer.deadline(deadline);
        }
        Ok(layer)
    }
}

fn address<'de, D: Deserializer<'de>>(value: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(value)?;
    let address = text.parse().map_err(|_| {
        D::Error::custom("it takes an IP address and a port, such as \"127.0.0.1:8080\"")
    })?;
    Ok(Some(address))
}

fn duration<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(value)?;
    let read = text
        .parse::<SignedDuration>()
        .ok()
        .and_then(|signed| Duration::try_from(signed).ok())
        .ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no duration such as \"1s\", \"250ms\" or \"1m30s\""
            ))
        })?;
    if read > LONGEST {
        return Err(D::Error::custom(format!("{text:?} is longer than a day")));
    }
    Ok(Some(read))
}

// what the layer refuses is refused here, where the place in the file is known
fn multiplier<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    let factor = f64::deserialize(value)?;
    Backoff::new()
        .multiplier(factor)
        .map_err(D::Error::custom)?;
    Ok(Some(factor))
}

fn jitter<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    let share = f64::deserialize(value)?;
    Backoff::new().jitter(share).map_err(D::Error::custom)?;
    Ok(Some(share))
}

/// A fault with its place: `line 7, [retry] jitter: the jitter must be within 0 and 1`.
///
/// The line itself is not shown, as somebody may have written a key into it.
fn fault(text: &str, span: Option<Range<usize>>, message: &str) -> ConfigError {
    // parsers explain themselves over several lines
    let message = message.trim().replace('\n', ", ");
    let Some(before) = span.and_then(|span| text.get(..span.start)) else {
        return ConfigError(message);
    };
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    let key = match line.split_once('=') {
        Some((key, _)) if !line.starts_with('[') => format!(" {}", key.trim()),
        _ => String::new(),
    };
    let section = text
        .lines()
        .take(number)
        .filter_map(|line| {
            let line = line.trim();
            line.starts_with('[')
                .then(|| line.split('#').next().unwrap_or(line).trim())
        })
        .last();
    let section = section.map(|name| format!(", {name}")).unwrap_or_default();
    let comma = if section.is_empty() && !key.is_empty() {
        ","
    } else {
        ""
    };
    ConfigError(format!("line {number}{section}{comma}{key}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVIDER: &str = "[[provider]]\nname = \"p\"\nbase_url = \"http://127.0.0.1:9001\"\n";

    fn read(text: &str) -> Result<Config, String> {
        Config::from_toml(text, |name| {
            (name == "OPENAI_API_KEY").then(|| "sk-canary\n".to_owned())
        })
        .map_err(|error| error.to_string())
    }

    fn error(text: &str) -> String {
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
            "#,
        )
        .unwrap();
        assert_eq!(config.listen.port(), 8081);
        assert_eq!(config.providers.len(), 3);
        assert!(config.retry.is_some());
        assert!(!format!("{config:?}").contains("canary"));
    }

    #[test]
    fn a_section_that_is_absent_is_a_layer_that_is_off() {
        let config = read(PROVIDER).unwrap();
        assert!(config.retry.is_none());
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
    fn numbers_that_make_no_sense_are_named() {
        for (line, says) in [
            (
                "jitter = 2.0",
                "[retry] jitter: the jitter must be within 0 and 1",
            ),
            ("jitter = nan", "[retry] jitter: the jitter must be"),
            (
                "multiplier = -1",
                "[retry] multiplier: the multiplier must be",
            ),
            (
                "multiplier = inf",
                "[retry] multiplier: the multiplier must be",
            ),
            ("max_retries = -1", "[retry] max_retries: invalid value"),
            ("max_retries = 1.5", "[retry] max_retries: invalid type"),
            (
                "initial_delay = \"soon\"",
                "[retry] initial_delay: \"soon\" is no duration",
            ),
            (
                "initial_delay = \"-1s\"",
                "[retry] initial_delay: \"-1s\" is no duration",
            ),
            (
                "max_delay = \"1\"",
                "[retry] max_delay: \"1\" is no duration",
            ),
            ("max_delay = 60", "[retry] max_delay: invalid type"),
            (
                "deadline = \"25h\"",
                "[retry] deadline: \"25h\" is longer than a day",
            ),
        ] {
            let text = error(&format!("{PROVIDER}[retry]\n{line}\n"));
            assert!(
                text.starts_with("line 5, ") && text.contains(says),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn durations_are_written_with_their_unit() {
        for (text, millis) in [("1s", 1000), ("250ms", 250), ("1m30s", 90_000), ("0s", 0)] {
            let section: RetrySection =
                toml::from_str(&format!("initial_delay = \"{text}\"")).unwrap();
            assert_eq!(section.initial_delay, Some(Duration::from_millis(millis)));
        }
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
