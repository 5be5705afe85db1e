//! `[auth]`: who may call, and who they are.

use http::{HeaderName, HeaderValue, Request};
use llm_exchange::User;
use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, error::fault, value::variable};
use crate::auth::{Auth, Keys, LONGEST_NAME, is_name};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthSection {
    keys_env: Option<Spanned<String>>,
    user_header: Option<Spanned<String>>,
}

impl AuthSection {
    pub(super) fn read(
        self,
        text: &str,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<Auth, ConfigError> {
        if self.keys_env.is_none() && self.user_header.is_none() {
            let message = "[auth]: it takes keys_env or user_header";
            return Err(ConfigError(message.into()));
        }
        let keys = self.keys_env.map(|name| {
            let read = variable(name.get_ref(), env).and_then(|list| keys(name.get_ref(), &list));
            read.map_err(|why| fault(text, Some(name.span()), &why))
        });
        let header = self
            .user_header
            .map(|name| header(name.get_ref()).map_err(|why| fault(text, Some(name.span()), why)));
        Ok(Auth {
            keys: keys.transpose()?,
            user_header: header.transpose()?,
            anonymous: None,
        })
    }

    /// Whether callers' keys are the gateway's own, and so no provider's.
    pub(super) const fn has_keys(&self) -> bool {
        self.keys_env.is_some()
    }
}

/// Reads `alice=sk-a,bob=sk-b`. What is wrong is told by its place: no key is shown, nor what may
/// be one.
fn keys(variable: &str, list: &str) -> Result<Keys, String> {
    let mut keys = Keys::new();
    let entries = list.split(',').map(str::trim);
    for (at, entry) in entries.enumerate().filter(|(_, entry)| !entry.is_empty()) {
        let wrong = |what: &str| Err(format!("{variable}, entry {}: {what}", at + 1));
        let Some((name, key)) = entry.split_once('=') else {
            return wrong("it takes NAME=KEY");
        };
        let (name, key) = (name.trim(), key.trim());
        if !is_name(name) {
            return wrong(&format!("a name has 1 to {LONGEST_NAME} bytes"));
        }
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("a key is made of visible ASCII characters");
        }
        if !keys.add(key, User::new(name)) {
            return wrong("the key is there already");
        }
    }
    if keys.is_empty() {
        return Err(format!("{variable}: it has no key"));
    }
    Ok(keys)
}

fn header(name: &str) -> Result<HeaderName, &'static str> {
    let name = name
        .parse::<HeaderName>()
        .map_err(|_| "it is no name of a header")?;
    let mut request = Request::new(());
    let value = HeaderValue::from_static("x");
    request.headers_mut().insert(name.clone(), value);
    if !llm_exchange::credentials(&request).is_empty() {
        return Err("it takes a header of its own, not one that has a credential");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use crate::config::{
        Config,
        tests::{PROVIDER, error, read},
    };

    const KEYED: &str = "api_key_env = \"OPENAI_API_KEY\"\n";

    fn with(list: &str) -> Result<String, String> {
        let text = format!("{PROVIDER}{KEYED}[auth]\nkeys_env = \"GATEWAY_KEYS\"\n");
        let read = Config::from_toml(&text, |name| match name {
            "GATEWAY_KEYS" => Some(list.to_owned()),
            _ => Some("sk-ours".into()),
        });
        read.map(|config| format!("{config:?}"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_read_and_never_shown() {
        let shown = with("alice=sk-canary-a, bob=sk-canary-b=,alice=sk-canary-c,\n").unwrap();
        assert!(shown.contains("keys: Some(3)"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
        for (list, says) in [
            ("sk-canary", "GATEWAY_KEYS, entry 1: it takes NAME=KEY"),
            ("alice=a,sk-canary", "entry 2: it takes NAME=KEY"),
            ("alice=canary,=canary", "entry 2: a name has 1 to 256 bytes"),
            ("alice=", "entry 1: a key is made of visible ASCII"),
            (
                "alice=the canary",
                "entry 1: a key is made of visible ASCII",
            ),
            (
                "alice=canary,bob=canary",
                "entry 2: the key is there already",
            ),
            (" ", "line 6, [auth] keys_env: the environment variable"),
            (",", "GATEWAY_KEYS: it has no key"),
        ] {
            let text = with(list).unwrap_err();
            assert!(text.contains(says) && !text.contains("canary"), "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let section = |lines: &str| format!("{PROVIDER}{KEYED}[auth]\n{lines}\n");
        assert!(read(&section("user_header = \"X-User-Id\"")).is_ok());
        // callers' own keys go through: the proxy in front knows them
        assert!(read(&format!("{PROVIDER}[auth]\nuser_header = \"x-user-id\"")).is_ok());
        for (lines, says) in [
            ("", "[auth]: it takes keys_env or user_header"),
            (
                "keys_env = \"NONE\"",
                "line 6, [auth] keys_env: the environment variable NONE is not set",
            ),
            (
                "keys_env = \"alice=sk-canary\"",
                "[auth] keys_env: it takes the name",
            ),
            (
                "user_header = \"x user\"",
                "line 6, [auth] user_header: it is no name of a header",
            ),
            ("user_header = \"Authorization\"", "a header of its own"),
            ("users = 1", "[auth] users: unknown field"),
        ] {
            let text = error(&section(lines));
            assert!(text.contains(says) && !text.contains("canary"), "{text}");
        }
    }

    #[test]
    fn with_keys_a_provider_without_a_key_of_its_own_is_refused() {
        let text = format!("{PROVIDER}[auth]\nkeys_env = \"OPENAI_API_KEY\"\n");
        let text = error(&text);
        assert!(
            text.starts_with("line 2, [[provider]] name: it needs api_key_env"),
            "{text}"
        );
    }
}
