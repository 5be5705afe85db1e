//! `[cost]`: what calls cost, and where that is kept.

use std::{fmt, path::PathBuf};

use cost_layer::{CostLayer, Prices};
use llm_exchange::Money;
use serde::Deserialize;

use super::{
    ConfigError,
    value::{dollars, variable},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CostSection {
    prices: Option<PathBuf>,
    #[serde(default)]
    ledger: LedgerKind,
    ledger_path: Option<PathBuf>,
    ledger_url_env: Option<String>,
    #[serde(default, deserialize_with = "dollars")]
    expensive_request_usd: Option<Money>,
    #[serde(default, deserialize_with = "dollars")]
    hourly_threshold_usd: Option<Money>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LedgerKind {
    #[default]
    Sqlite,
    Memory,
    Postgres,
}

/// What the section asks for. `Debug` shows no credential.
pub(crate) struct CostConfig {
    pub(crate) layer: CostLayer,
    /// The file of the prices, if they are not those built in.
    pub(crate) prices: Option<PathBuf>,
    pub(crate) ledger: LedgerConfig,
}

pub(crate) enum LedgerConfig {
    Memory,
    Sqlite(PathBuf),
    Postgres(String),
}

impl fmt::Debug for CostConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CostConfig")
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl CostSection {
    pub(super) fn read(
        self,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<CostConfig, ConfigError> {
        let fault = |what: String| ConfigError(format!("[cost] {what}"));
        let variable = |key: &str, name: &str| {
            variable(name, env).map_err(|why| fault(format!("{key}: {why}")))
        };
        let prices = match &self.prices {
            None => Prices::builtin(),
            Some(path) => Prices::from_file(path)
                .map_err(|error| fault(format!("prices: {}: {error}", path.display())))?,
        };
        let mut layer = CostLayer::new(prices);
        if let Some(cost) = self.expensive_request_usd {
            layer = layer.alert_request(cost);
        }
        if let Some(cost) = self.hourly_threshold_usd {
            layer = layer.alert_hour(cost);
        }
        if self.ledger != LedgerKind::Sqlite && self.ledger_path.is_some() {
            return Err(fault("ledger_path: is for ledger = \"sqlite\"".into()));
        }
        if self.ledger != LedgerKind::Postgres && self.ledger_url_env.is_some() {
            return Err(fault("ledger_url_env: is for ledger = \"postgres\"".into()));
        }
        let ledger = match self.ledger {
            LedgerKind::Memory => LedgerConfig::Memory,
            LedgerKind::Sqlite => {
                LedgerConfig::Sqlite(self.ledger_path.unwrap_or_else(|| "costs.db".into()))
            }
            LedgerKind::Postgres => {
                let name = self.ledger_url_env.as_deref();
                let name =
                    name.ok_or_else(|| fault("ledger_url_env: is needed for postgres".into()))?;
                LedgerConfig::Postgres(variable("ledger_url_env", name)?)
            }
        };
        Ok(CostConfig {
            layer,
            prices: self.prices,
            ledger,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{PROVIDER, error, read};

    #[test]
    fn the_section_is_read_and_its_faults_are_named() {
        let text = |lines: &str| format!("{PROVIDER}[cost]\n{lines}");
        let whole = "ledger = \"sqlite\"\nledger_path = \"x.db\"\nexpensive_request_usd = 1.0\nhourly_threshold_usd = 50\n";
        assert!(read(&text(whole)).unwrap().cost.is_some());
        assert!(read(PROVIDER).unwrap().cost.is_none());
        for (lines, says) in [
            ("expensive_request_usd = -1.0", "-1 is no amount of dollars"),
            ("ledger = \"postgres\"", "[cost] ledger_url_env: is needed"),
            (
                "ledger_url_env = \"OPENAI_API_KEY\"",
                "[cost] ledger_url_env: is for ledger = \"postgres\"",
            ),
            (
                "ledger = \"memory\"\nledger_url_env = \"OPENAI_API_KEY\"",
                "[cost] ledger_url_env: is for ledger = \"postgres\"",
            ),
            (
                "ledger = \"memory\"\nledger_path = \"x.db\"",
                "[cost] ledger_path: is for ledger = \"sqlite\"",
            ),
            (
                "ledger = \"postgres\"\nledger_url_env = \"OPENAI_API_KEY\"\nledger_path = \"x.db\"",
                "[cost] ledger_path: is for ledger = \"sqlite\"",
            ),
            ("ledger = \"excel\"", "unknown variant"),
            ("prices = \"/none.json\"", "[cost] prices: /none.json"),
        ] {
            let text = error(&text(lines));
            assert!(text.contains(says), "{lines}: {text}");
        }
    }
}
