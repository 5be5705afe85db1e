//! Which provider's turn comes first.

use std::collections::HashMap;

use llm_exchange::{Call, Dialect};
use llm_translate::translates;

use crate::provider::Provider;

/// The providers of each `[[route]]`, in the order of its chain.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_model: HashMap<String, Way>,
    default: Way,
}

#[derive(Debug, Default)]
struct Way {
    providers: Vec<Provider>,
    /// For calls of other dialects too.
    translates: bool,
}

impl Routes {
    /// The providers of the route for this model, or of the default one.
    pub(crate) fn add(&mut self, model: Option<&str>, providers: Vec<Provider>, translates: bool) {
        let way = Way {
            providers,
            translates,
        };
        match model {
            Some(model) => {
                self.by_model.insert(model.to_owned(), way);
            }
            None => self.default = way,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_model.is_empty() && self.default.providers.is_empty()
    }

    /// Where a call sets out: at the first provider of its route that speaks its dialect, else at
    /// the first into whose dialect it can be translated. There the caller's own credential is left in
    /// place, if there is none of ours. `None`: it has no route.
    pub(crate) fn first(&self, call: &Call) -> Option<&Provider> {
        let own = self.by_model.get(call.model()?);
        // as fallback-layer has it: no default chain for embeddings
        let is_embedding = call.dialect() == Dialect::OpenAiEmbeddings;
        let default = (!is_embedding).then_some(&self.default);
        let mut ways = own.into_iter().chain(default);
        ways.find_map(|way| way.first(call.dialect()))
    }
}

impl Way {
    fn first(&self, dialect: Dialect) -> Option<&Provider> {
        let speaks = |one: &&Provider| one.dialect.dialects().contains(&dialect);
        let translated = |one: &&Provider| {
            let to = one.dialect.translated().filter(|_| self.translates);
            to.is_some_and(|to| translates(dialect, to))
        };
        let mut all = self.providers.iter();
        let natively = all.clone().find(speaks);
        natively.or_else(|| all.find(translated))
    }
}
