//! `[admin]`: where operators look, and what they need for it.

use std::{fmt, net::SocketAddr};

use serde::Deserialize;

use super::{ConfigError, listen::address, value::variable};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminSection {
    #[serde(default, deserialize_with = "address")]
    listen: Option<SocketAddr>,
    token_env: Option<String>,
    metric_users: Option<usize>,
}

/// Users who are told apart in the metrics.
const METRIC_USERS: usize = 20;

/// The most of them.
const MOST_METRIC_USERS: usize = 1_000;

/// What the section asks for. `Debug` shows no token.
pub(crate) struct AdminConfig {
    /// An address of its own; else it is the gateway's.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) token: Option<String>,
    /// Users with metrics of their own; all others together are one.
    pub(crate) metric_users: usize,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: None,
            token: None,
            metric_users: METRIC_USERS,
        }
    }
}

impl fmt::Debug for AdminConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminConfig")
            .field("listen", &self.listen)
            .field("token", &self.token.is_some())
            .field("metric_users", &self.metric_users)
            .finish()
    }
}

impl AdminSection {
    pub(super) fn read(
        self,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<AdminConfig, ConfigError> {
        let token = self.token_env.map(|name| variable(&name, env)).transpose();
        let metric_users = self.metric_users.unwrap_or(METRIC_USERS);
        if metric_users > MOST_METRIC_USERS {
            return Err(ConfigError(format!(
                "[admin] metric_users: {metric_users} is more than {MOST_METRIC_USERS}"
            )));
        }
        Ok(AdminConfig {
            listen: self.listen,
            token: token.map_err(|why| ConfigError(format!("[admin] token_env: {why}")))?,
            metric_users,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PROVIDER, error, read};

    #[test]
    fn the_section_has_an_address_and_the_name_of_a_token() {
        let whole = "[admin]\nlisten = \"127.0.0.1:9090\"\ntoken_env = \"OPENAI_API_KEY\"";
        let config = read(&format!("{PROVIDER}{whole}")).unwrap();
        assert_eq!(config.admin.listen.unwrap().port(), 9090);
        assert!(config.admin.token.is_some());
        assert!(!format!("{config:?}").contains("canary"));
        assert!(read(PROVIDER).unwrap().admin.token.is_none());
        let text = error(&format!("{PROVIDER}[admin]\ntoken_env = \"NONE\""));
        assert!(text.starts_with("[admin] token_env: "), "{text}");
        let text = error(&format!("{PROVIDER}[admin]\nmetric_users = 1001"));
        assert!(text.starts_with("[admin] metric_users: "), "{text}");
        let text = error(&format!("{PROVIDER}[admin]\nlisten = \"here\""));
        assert!(text.contains("it takes an IP address"), "{text}");
    }
}
