//! What may be replaced while the gateway runs, and the layers that stay.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use cost_layer::{NotReplaced, Pricing};

use crate::{
    auth::Auth,
    config::Config,
    provider::Provider,
    routes::Routes,
    stack::{Layers, Stack},
};

/// What a call is served by: it keeps to what it began with.
#[derive(Debug)]
pub(crate) struct Now {
    pub(crate) auth: Option<Auth>,
    pub(crate) providers: Vec<Provider>,
    pub(crate) routes: Routes,
    pub(crate) stack: Stack,
    /// The file of the prices, and those of the routes.
    prices: Option<(PathBuf, Pricing)>,
}

#[derive(Debug)]
pub(crate) struct Live {
    layers: Layers,
    now: RwLock<Arc<Now>>,
}

impl Live {
    pub(crate) fn new(layers: Layers, config: Config) -> Self {
        let now = Arc::new(now(&layers, config));
        Self {
            layers,
            now: RwLock::new(now),
        }
    }

    pub(crate) fn now(&self) -> Arc<Now> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now)
    }

    /// Providers and layers, a line each.
    pub(crate) fn summary(&self) -> String {
        let now = self.now();
        let providers = now.providers.iter().map(|provider| {
            let key = if provider.has_key() {
                "with a key of ours"
            } else {
                "with the callers' keys"
            };
            format!("{} at {}, {key}", provider.name, provider.host)
        });
        format!(
            "providers: {}\n{}",
            providers.collect::<Vec<_>>().join("; "),
            self.layers()
        )
    }

    /// The layers that are switched on, in a line.
    pub(crate) fn layers(&self) -> String {
        let layers = &self.layers;
        let on = [
            ("sse", layers.sse.is_some()),
            ("cost", layers.cost.is_some()),
            ("cache", layers.answers.is_some()),
            ("budget", layers.budgets.is_some()),
            ("fallback", !self.now().routes.is_empty()),
            ("retry", layers.retry.is_some()),
            ("breaker", layers.breaker.is_some()),
            ("prompt cache", layers.prompts.is_some()),
        ];
        let on = on.into_iter().filter(|(_, on)| *on).map(|(name, _)| name);
        format!("layers: {}", on.collect::<Vec<_>>().join(", "))
    }

    /// Serves calls by this from now on. The layers stay, with all that they keep, but for the routes: what
    /// they remember of failures begins anew. Where the new prices lack most models nothing changes.
    pub(crate) fn replace(&self, config: Config) -> Result<(), NotReplaced> {
        if let (Some(cost), Some(new)) = (&self.layers.cost, &config.cost) {
            let prices = Arc::unwrap_or_clone(new.layer.pricing().prices());
            cost.pricing().replace(prices)?;
        }
        match (&self.layers.budgets, &config.budget) {
            (Some(budgets), Some(new)) => budgets.set_limits(&new.limits),
            (None, None) => {}
            _ => tracing::warn!("[budget] is switched on or off at a restart only"),
        }
        let new = Arc::new(now(&self.layers, config));
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The file of the prices in force, and what is charged by it: the books, and the routes with their
    /// limits of cost.
    pub(crate) fn prices(&self) -> Option<(PathBuf, [Pricing; 2])> {
        let now = self.now();
        let (path, routes) = now.prices.clone()?;
        Some((path, [self.layers.cost.as_ref()?.pricing(), routes]))
    }
}

fn now(layers: &Layers, config: Config) -> Now {
    Now {
        stack: layers.stack(config.fallback.as_ref()),
        prices: config
            .cost
            .and_then(|cost| Some((cost.prices?, cost.layer.pricing()))),
        auth: config.auth,
        providers: config.providers,
        routes: config.routes,
    }
}
