//! Without arguments: a provider of one's own in the same process.

use std::{io, net::SocketAddr};

use fake_provider::FakeProvider;

use crate::{
    Config,
    provider::{Provider, Speaks},
};

/// The fake provider in this process. It goes when this is dropped.
#[derive(Debug)]
pub struct Demo {
    _provider: FakeProvider,
    config: Config,
}

impl Demo {
    /// Starts the fake provider.
    ///
    /// # Errors
    ///
    /// If no port of the loopback address is free.
    pub async fn start(listen: Option<SocketAddr>) -> io::Result<Self> {
        let fake = FakeProvider::start().await?;
        let provider = Provider::new("fake".to_owned(), &fake.url(), Speaks::Openai, None)
            .map_err(io::Error::other)?;
        Ok(Self {
            _provider: fake,
            config: Config::of_provider(provider, listen),
        })
    }

    /// What to serve.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// Three things to try on a gateway at this address.
    #[must_use]
    pub fn to_try(address: SocketAddr) -> String {
        let call = |options: &str, fields: &str| {
            format!(
                "  curl {options} http://{address}/v1/chat/completions \\\n    \
                 -H 'content-type: application/json' \\\n    \
                 -d '{{{fields},\"messages\":[{{\"role\":\"user\",\"content\":\"What colour is a ripe lemon?\"}}]}}'"
            )
        };
        [
            "a normal call",
            &call("-s", "\"model\":\"gpt-4o\""),
            "a streamed one, a word each fifth of a second",
            &call("-N", "\"model\":\"slow-200\",\"stream\":true"),
            "one that is throttled twice and then answered; see x-llm-attempts",
            &call("-si", "\"model\":\"throttled-2\""),
        ]
        .join("\n")
    }
}
