//! `[budget]`: what callers may spend.

use std::{fmt, path::PathBuf};

use budget_layer::{Limit, Zone};
use llm_exchange::Money;
use serde::Deserialize;

use super::{
    ConfigError,
    value::{dollars, variable},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetSection {
    per_request_tokens: Option<u64>,
    per_user_tokens_per_day: Option<u64>,
    per_user_tokens_per_month: Option<u64>,
    #[serde(default, deserialize_with = "dollars")]
    per_user_usd_per_day: Option<Money>,
    #[serde(default)]
    store: StoreKind,
    store_url_env: Option<String>,
    snapshot_path: Option<PathBuf>,
    time_zone: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoreKind {
    #[default]
    Memory,
    Redis,
}

/// What the section asks for. `Debug` shows no credential.
pub(crate) struct BudgetConfig {
    pub(crate) limits: Vec<Limit>,
    pub(crate) zone: Zone,
    pub(crate) store: BudgetStore,
}

pub(crate) enum BudgetStore {
    /// With a file that it is read from and written to.
    Memory(Option<PathBuf>),
    /// At this address.
    Redis(String),
}

impl fmt::Debug for BudgetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetConfig")
            .field("limits", &self.limits)
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}

impl BudgetSection {
    pub(super) fn read(
        self,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<BudgetConfig, ConfigError> {
        let fault = |what: String| ConfigError(format!("[budget] {what}"));
        let day = Limit::per_user().daily();
        let limits = [
            self.per_request_tokens
                .map(|tokens| Limit::per_request().tokens(tokens)),
            self.per_user_tokens_per_day
                .map(|tokens| day.clone().tokens(tokens)),
            self.per_user_tokens_per_month
                .map(|tokens| Limit::per_user().monthly().tokens(tokens)),
            self.per_user_usd_per_day
                .map(|money| day.clone().money(money)),
        ];
        let limits: Vec<Limit> = limits.into_iter().flatten().collect();
        if limits.is_empty() {
            return Err(fault(
                "names no limit: per_request_tokens, per_user_tokens_per_day, \
                per_user_tokens_per_month or per_user_usd_per_day"
                    .into(),
            ));
        }
        let zone = match &self.time_zone {
            None => Zone::UTC,
            Some(name) => {
                Zone::named(name).map_err(|error| fault(format!("time_zone: {name:?}: {error}")))?
            }
        };
        if self.store == StoreKind::Memory && self.store_url_env.is_some() {
            return Err(fault("store_url_env: is for store = \"redis\"".into()));
        }
        let store = match self.store {
            StoreKind::Memory => BudgetStore::Memory(self.snapshot_path),
            StoreKind::Redis if self.snapshot_path.is_some() => {
                return Err(fault("snapshot_path: is for the store in memory".into()));
            }
            StoreKind::Redis => {
                let name = self.store_url_env.as_deref();
                let name =
                    name.ok_or_else(|| fault("store_url_env: is needed for redis".into()))?;
                let url = variable(name, env);
                BudgetStore::Redis(url.map_err(|why| fault(format!("store_url_env: {why}")))?)
            }
        };
        Ok(BudgetConfig {
            limits,
            zone,
            store,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{PROVIDER, error, read};

    #[test]
    fn an_address_written_into_the_file_is_not_shown_in_the_error() {
        let url =
            "per_request_tokens = 1\nstore = \"redis\"\nstore_url_env = \"redis://:canary@host\"";
        let text = error(&format!("{PROVIDER}[budget]\n{url}\n"));
        assert!(
            text.contains("store_url_env") && !text.contains("canary"),
            "{text}"
        );
    }

    #[test]
    fn the_section_is_read_and_its_faults_are_named() {
        let text = |lines: &str| format!("{PROVIDER}[budget]\n{lines}\n");
        let whole = "per_request_tokens = 8000\nper_user_tokens_per_day = 200000\nper_user_tokens_per_month = 4000000\nper_user_usd_per_day = 5.0\nstore = \"memory\"\ntime_zone = \"UTC\"";
        let budget = read(&text(whole)).unwrap().budget.unwrap();
        let names: Vec<_> = budget
            .limits
            .iter()
            .map(|limit| limit.name().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "request-tokens",
                "user-day-tokens",
                "user-month-tokens",
                "user-day-usd"
            ]
        );
        assert!(read(PROVIDER).unwrap().budget.is_none());
        let redis = "per_request_tokens = 1\nstore = \"redis\"\nstore_url_env = \"OPENAI_API_KEY\"";
        let config = read(&text(redis)).unwrap();
        assert!(!format!("{config:?}").contains("canary"));
        for (lines, says) in [
            ("", "[budget] names no limit"),
            ("per_request_tokens = -1", "invalid value"),
            ("per_user_usd_per_day = -5.0", "-5 is no amount of dollars"),
            (
                "per_request_tokens = 1\ntime_zone = \"Mars/Olympus\"",
                "[budget] time_zone: \"Mars/Olympus\": there is no time zone",
            ),
            (
                "per_request_tokens = 1\nstore = \"disk\"",
                "unknown variant",
            ),
            (
                "per_request_tokens = 1\nstore = \"redis\"",
                "[budget] store_url_env: is needed for redis",
            ),
            (
                "per_request_tokens = 1\nstore = \"redis\"\nstore_url_env = \"NONE\"",
                "[budget] store_url_env: the environment variable NONE is not set",
            ),
            (
                "per_request_tokens = 1\nstore = \"redis\"\nsnapshot_path = \"x\"",
                "snapshot_path: is for the store in memory",
            ),
        ] {
            let text = error(&text(lines));
            assert!(text.contains(says), "{lines}: {text}");
        }
    }
}
