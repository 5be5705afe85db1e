//! Which provider's turn comes first.

use std::collections::HashMap;

use llm_exchange::{Call, Dialect};

use crate::provider::Provider;

/// The providers of each `[[route]]`, in the order of its chain.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_model: HashMap<String, Vec<Provider>>,
    default: Vec<Provider>,
}

impl Routes {
    /// The providers of the route for this model, or of the default one.
    pub(crate) fn add(&mut self, model: Option<&str>, providers: Vec<Provider>) {
        match model {
            Some(model) => {
                self.by_model.insert(model.to_owned(), providers);
            }
            None => self.default = providers,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_model.is_empty() && self.default.is_empty()
    }

    /// Where a call sets out: at the first provider of its route that speaks its dialect. There the
    /// caller's own credential is left in place, if there is none of ours. `None`: it has no route.
    pub(crate) fn first(&self, call: &Call) -> Option<&Provider> {
        let spoken = |providers: &[Provider]| {
            let mut at = providers.iter();
            at.position(|one| one.dialect.dialects().contains(&call.dialect()))
        };
        let own = self.by_model.get(call.model()?).map(Vec::as_slice);
        // as fallback-layer has it: no default chain for embeddings
        let default = (call.dialect() != Dialect::OpenAiEmbeddings).then_some(&*self.default);
        [own, default]
            .into_iter()
            .flatten()
            .find_map(|providers| providers.get(spoken(providers)?))
    }
}
