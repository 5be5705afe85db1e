//! Without a configuration: a fake provider in the same process, so that there is something to try.

use std::net::SocketAddr;

use fake_provider::FakeProvider;

use crate::{Config, Gateway};

/// A gateway in front of a fake provider, both on this machine.
#[derive(Debug)]
pub struct Demo {
    /// The gateway, its retries on.
    pub gateway: Gateway,
    /// The provider, which needs no key.
    pub fake: FakeProvider,
}

/// Starts both. `listen` is the gateway's address, 127.0.0.1:8080 if there is none.
///
/// # Errors
///
/// There is no port for the one or the other.
pub async fn start(
    listen: Option<SocketAddr>,
) -> Result<Demo, Box<dyn std::error::Error + Send + Sync>> {
    let fake = FakeProvider::start().await?;
    let text = format!(
        "[[provider]]\nname = \"fake\"\nbase_url = \"{}\"\n[retry]\n\
         [sse]\nmax_output_tokens = 4000\nkeep_alive = \"15s\"\n",
        fake.url()
    );
    let mut config = Config::from_toml(&text, |_| None)?;
    if let Some(address) = listen {
        config = config.listen(address);
    }
    let gateway = Gateway::start(config).await?;
    Ok(Demo { gateway, fake })
}

impl Demo {
    /// What to try, for a shell.
    #[must_use]
    pub fn to_try(&self) -> String {
        let (url, fake) = (self.gateway.url(), self.fake.url());
        let json = "-H 'content-type: application/json'";
        let messages = r#""messages":[{"role":"user","content":"one two three"}]"#;
        format!(
            r#"gateway listens on {url}, in front of a fake provider on {fake}

A call:

  curl {url}/v1/chat/completions {json} \
    -d '{{"model":"gpt-4o",{messages}}}'

A streamed one, word by word:

  curl -N {url}/v1/chat/completions {json} \
    -d '{{"model":"gpt-4o+slow-500","stream":true,{messages}}}'

One that is throttled twice and then answered, after some 3 seconds (see x-llm-attempts):

  curl -i {url}/v1/chat/completions {json} \
    -d '{{"model":"throttled-2",{messages}}}'

SDKs take any key: base_url {url}/v1 for OpenAI's, {url} for Anthropic's.
What the provider received: curl {fake}/fake/log    Real providers: gateway --config FILE
"#
        )
    }
}
