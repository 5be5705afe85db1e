//! `[cache]`: answers that are known, and the provider's own cache.

use std::{fmt, time::Duration};

use cache_layer::{CacheLayer, Mode, PromptCacheLayer};
use serde::Deserialize;

use super::{
    ConfigError,
    value::{bytes, duration, variable},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CacheSection {
    #[serde(default, deserialize_with = "duration")]
    ttl: Option<Duration>,
    #[serde(default, deserialize_with = "bytes")]
    max_bytes: Option<u64>,
    #[serde(default)]
    store: StoreKind,
    store_url_env: Option<String>,
    store_secret_env: Option<String>,
    #[serde(default)]
    mode: ModeName,
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    prompt_cache: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoreKind {
    #[default]
    Memory,
    Redis,
    /// Memory before Redis.
    Tiered,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ModeName {
    #[default]
    Deterministic,
    All,
}

/// What the section asks for. `Debug` shows no credential.
pub(crate) struct CacheConfig {
    pub(crate) layer: CacheLayer,
    pub(crate) store: StoreConfig,
    pub(crate) prompts: Option<PromptCacheLayer>,
}

pub(crate) enum StoreConfig {
    /// The layer's own.
    Memory,
    Redis(Server),
    /// So many bytes in memory, before the server.
    Tiered(u64, Server),
}

/// A Redis server, with the secret that all gateways on it share.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) secret: String,
}

const MAX_BYTES: u64 = 256 << 20;

impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheConfig")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl CacheSection {
    pub(super) fn read(
        self,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<CacheConfig, ConfigError> {
        let fault = |what: String| ConfigError(format!("[cache] {what}"));
        let needed = |key: &str, name: Option<&str>| {
            let name = name.ok_or_else(|| {
                let store = if self.store == StoreKind::Tiered {
                    "tiered"
                } else {
                    "redis"
                };
                fault(format!("{key}: is needed for {store}"))
            })?;
            variable(name, env).map_err(|why| fault(format!("{key}: {why}")))
        };
        let server = || {
            Ok(Server {
                url: needed("store_url_env", self.store_url_env.as_deref())?,
                secret: needed("store_secret_env", self.store_secret_env.as_deref())?,
            })
        };
        if self.store == StoreKind::Memory {
            for (key, name) in [
                ("store_url_env", &self.store_url_env),
                ("store_secret_env", &self.store_secret_env),
            ] {
                if name.is_some() {
                    return Err(fault(format!("{key}: is for redis and tiered")));
                }
            }
        }
        let max_bytes = self.max_bytes.unwrap_or(MAX_BYTES);
        let store = match self.store {
            StoreKind::Memory => StoreConfig::Memory,
            StoreKind::Redis => StoreConfig::Redis(server()?),
            StoreKind::Tiered => StoreConfig::Tiered(max_bytes, server()?),
        };
        let mut layer = CacheLayer::new().mode(match self.mode {
            ModeName::Deterministic => Mode::Deterministic,
            ModeName::All => Mode::All,
        });
        if let Some(ttl) = self.ttl {
            layer = layer.ttl(ttl);
        }
        if self.store == StoreKind::Memory {
            layer = layer.max_bytes(max_bytes);
        }
        if self.shared {
            layer = layer.shared_by_everybody();
        }
        Ok(CacheConfig {
            layer,
            store,
            prompts: self.prompt_cache.then(PromptCacheLayer::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{PROVIDER, error, read};

    #[test]
    fn an_address_or_a_secret_written_into_the_file_is_not_shown_in_the_error() {
        for lines in [
            "store_url_env = \"redis://:canary@host\"",
            "store_url_env = \"OPENAI_API_KEY\"\nstore_secret_env = \"canary of 16 bytes\"",
        ] {
            let text = error(&format!("{PROVIDER}[cache]\nstore = \"redis\"\n{lines}\n"));
            assert!(
                text.contains("not the key") && !text.contains("canary"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_section_is_read_and_its_faults_are_named() {
        let text = |lines: &str| format!("{PROVIDER}[cache]\n{lines}\n");
        let whole = "ttl = \"1h\"\nmax_bytes = \"256MiB\"\nstore = \"memory\"\nmode = \"deterministic\"\nprompt_cache = true";
        let cache = read(&text(whole)).unwrap().cache.unwrap();
        assert!(cache.prompts.is_some());
        assert!(read(&text("")).unwrap().cache.unwrap().prompts.is_none());
        assert!(read(PROVIDER).unwrap().cache.is_none());
        let redis = "store = \"redis\"\nstore_url_env = \"OPENAI_API_KEY\"\nstore_secret_env = \"OPENAI_API_KEY\"";
        let config = read(&text(redis)).unwrap();
        assert!(!format!("{config:?}").contains("canary"));
        for (lines, says) in [
            (
                "max_bytes = \"256MB\"",
                "[cache] max_bytes: \"256MB\" is no number of bytes",
            ),
            ("max_bytes = \"MiB\"", "is no number of bytes"),
            ("max_bytes = \"0MiB\"", "is no number of bytes"),
            ("max_bytes = \"99999999999GiB\"", "is no number of bytes"),
            ("mode = \"some\"", "unknown variant"),
            ("store = \"disk\"", "unknown variant"),
            (
                "store_url_env = \"OPENAI_API_KEY\"",
                "[cache] store_url_env: is for redis and tiered",
            ),
            (
                "store = \"memory\"\nstore_secret_env = \"OPENAI_API_KEY\"",
                "[cache] store_secret_env: is for redis and tiered",
            ),
            (
                "store = \"redis\"",
                "[cache] store_url_env: is needed for redis",
            ),
            (
                "store = \"tiered\"",
                "[cache] store_url_env: is needed for tiered",
            ),
            (
                "store = \"redis\"\nstore_url_env = \"OPENAI_API_KEY\"",
                "[cache] store_secret_env: is needed for redis",
            ),
            (
                "store = \"redis\"\nstore_url_env = \"NONE\"",
                "[cache] store_url_env: the environment variable NONE is not set",
            ),
        ] {
            let text = error(&text(lines));
            assert!(text.contains(says), "{lines}: {text}");
        }
    }
}
