//! Without a configuration: a fake provider in the same process, every layer, and a few calls a second, so
//! that there is something to try and something to look at.

mod load;

use std::{
    error::Error,
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use fake_provider::FakeProvider;
use http::HeaderName;
use llm_exchange::User;
use tokio::task::JoinSet;

use crate::{Config, Gateway, auth::Auth};

/// A gateway in front of a fake provider, both on this machine.
///
/// `Debug` shows no token.
pub struct Demo {
    /// The gateway, with all layers.
    pub gateway: Gateway,
    /// The provider, which needs no key.
    pub fake: FakeProvider,
    /// What calls the gateway meanwhile. It ends when this is dropped.
    pub load: JoinSet<()>,
    /// Where the ledger is. It goes when this is dropped.
    pub folder: Folder,
    /// What the dashboard asks for, if others than this machine can reach it.
    pub admin_token: Option<String>,
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let name = format!("llm-gateway-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // else the system clears its folder some day
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is spent comes to an alert within a minute or two, so that there is one to look at.
const SECTIONS: &str = r#"
[[route]]
model = "gpt-5.5"
failover = true
chain = [
    { provider = "fake", prefill = "last-message" },
    { provider = "fake", model = "gpt-5.4", prefill = "last-message" },
]
[retry]
initial_delay = "200ms"
max_retries = 2
[breaker]
open_for = "20s"
[sse]
max_output_tokens = 4000
keep_alive = "15s"
[cache]
ttl = "1m"
[budget]
per_user_tokens_per_day = 200000
per_user_tokens_per_month = 4000000
[cost]
hourly_threshold_usd = 0.01
"#;

/// Starts all of it. `listen` is the gateway's address, 127.0.0.1:8080 if there is none.
///
/// # Errors
///
/// There is no port for the one or the other, or no folder for the ledger.
pub async fn start(listen: Option<SocketAddr>) -> Result<Demo, Box<dyn Error + Send + Sync>> {
    let fake = FakeProvider::start().await?;
    load::script(&fake);
    let folder = Folder::new()?;
    // a string of JSON is one of TOML
    let ledger = serde_json::to_string(&folder.path().join("costs.db"))?;
    let text = format!(
        "[[provider]]\nname = \"fake\"\nbase_url = \"{}\"\n{SECTIONS}ledger_path = {ledger}\n",
        fake.url()
    );
    let mut config = Config::from_toml(&text, |_| None)?;
    config.auth = Some(Auth {
        keys: None,
        user_header: Some(HeaderName::from_static("x-user-id")),
        anonymous: Some(User::new("you")),
    });
    let mut admin_token = None;
    if let Some(address) = listen {
        if !address.ip().is_loopback() {
            // others may look then, if they are told how
            let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
            config.admin.token = Some(token.clone());
            admin_token = Some(token);
        }
        config = config.listen(address);
    }
    let gateway = Gateway::start(config).await?;
    let mut load = JoinSet::new();
    load.spawn(load::run(gateway.url()));
    Ok(Demo {
        gateway,
        fake,
        load,
        folder,
        admin_token,
    })
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo")
            .field("gateway", &self.gateway)
            .field("admin_token", &self.admin_token.is_some())
            .finish_non_exhaustive()
    }
}

impl Demo {
    /// What to try, for a shell.
    #[must_use]
    pub fn to_try(&self) -> String {
        let (url, fake) = (self.gateway.url(), self.fake.url());
        let json = "-H 'content-type: application/json'";
        let token = self.admin_token.as_ref();
        let token = token.map(|token| format!(" (its token: {token})"));
        let token = token.unwrap_or_default();
        let layers = self.gateway.layers();
        let messages = r#""messages":[{"role":"user","content":"one two three"}]"#;
        format!(
            r#"gateway listens on {url}, in front of a fake provider on {fake}
{layers}

The dashboard, with a few calls a second to look at: {url}/{token}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_token_that_others_need_is_to_try_and_not_in_debug() {
        let demo = start(Some(([0, 0, 0, 0], 0).into())).await.unwrap();
        let token = demo.admin_token.as_deref().unwrap();
        assert!(demo.to_try().contains(token));
        let shown = format!("{demo:?}");
        assert!(!shown.contains(token), "{shown}");
    }
}
