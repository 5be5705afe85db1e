//! The table of prices, and finding a model in it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{
    names::{prefix_of_host, tails, without_date},
    rates::ModelPrice,
};

/// Prices by the model's name as the list writes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    models: HashMap<Box<str>, ModelPrice, RandomState>,
    /// Names without their provider's prefix, and the model that is meant by it.
    bare: HashMap<Box<str>, Box<str>, RandomState>,
}

/// Where one name stands under several providers and the call's host says nothing, the makers of
/// models come before those who resell them.
const MAKERS: [&str; 8] = [
    "openai",
    "anthropic",
    "gemini",
    "mistral",
    "deepseek",
    "xai",
    "cohere",
    "voyage",
];

impl Table {
    pub(crate) fn new(models: impl IntoIterator<Item = (String, ModelPrice)>) -> Self {
        let mut table = Self::default();
        for (name, price) in models {
            table.models.insert(name.into(), price);
        }
        let mut names: Vec<&str> = table.models.keys().map(AsRef::as_ref).collect();
        names.sort_unstable_by_key(|name| (rank(name), *name));
        let mut bare = HashMap::default();
        for name in names {
            for tail in tails(name).skip(1) {
                bare.entry(tail.into()).or_insert_with(|| name.into());
            }
        }
        table.bare = bare;
        table
    }

    pub(crate) fn len(&self) -> usize {
        self.models.len()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(AsRef::as_ref)
    }

    pub(crate) fn exact(&self, name: &str) -> Option<&ModelPrice> {
        self.models.get(name)
    }

    /// The price of a model: under the prefix of the host's provider, as it is written, and then
    /// without its date and without the prefix of a provider.
    pub(crate) fn find(&self, model: &str, host: Option<&str>) -> Option<&ModelPrice> {
        let prefix = host.and_then(prefix_of_host);
        let dated = without_date(model);
        let names = || std::iter::once(model).chain(dated);
        for name in names() {
            let prefixed = prefix.and_then(|prefix| self.exact(&format!("{prefix}/{name}")));
            if let Some(price) = prefixed.or_else(|| self.exact(name)) {
                return Some(price);
            }
        }
        // the caller's prefix off, then the table's
        let mut tails = names().flat_map(tails);
        tails.find_map(|name| {
            self.exact(name)
                .or_else(|| self.exact(self.bare.get(name)?))
        })
    }
}

fn rank(name: &str) -> usize {
    let prefix = name.split('/').next().unwrap_or_default();
    let maker = MAKERS.iter().position(|maker| *maker == prefix);
    maker.unwrap_or(MAKERS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> Table {
        Table::new(names.iter().map(|name| {
            let price = ModelPrice {
                provider: (*name).into(),
                ..ModelPrice::default()
            };
            ((*name).to_owned(), price)
        }))
    }

    #[test]
    fn a_model_is_found_exactly_then_without_date_then_without_prefix() {
        let table = table(&[
            "gpt-4o",
            "gpt-4o-2024-05-13",
            "azure/gpt-4o",
            "groq/openai/gpt-oss-20b",
            "gemini/gemini-3.8-flash",
            "vertex_ai/gemini-3.8-flash",
        ]);
        let find = |model, host| table.find(model, host).map(|price| &*price.provider);
        for (model, host, found) in [
            ("gpt-4o-2024-05-13", None, "gpt-4o-2024-05-13"),
            ("gpt-4o-2024-08-06", None, "gpt-4o"),
            ("openai/gpt-4o", None, "gpt-4o"),
            ("openai/gpt-4o-2024-08-06", None, "gpt-4o"),
            ("gpt-4o", Some("team.openai.azure.com"), "azure/gpt-4o"),
            (
                "gpt-4o-2024-08-06",
                Some("team.openai.azure.com"),
                "azure/gpt-4o",
            ),
            (
                "openai/gpt-oss-20b",
                Some("api.groq.com"),
                "groq/openai/gpt-oss-20b",
            ),
            ("gpt-oss-20b", None, "groq/openai/gpt-oss-20b"),
            // the maker before the reseller
            ("gemini-3.8-flash", None, "gemini/gemini-3.8-flash"),
            ("models/gemini-3.8-flash", None, "gemini/gemini-3.8-flash"),
            (
                "gemini-3.8-flash",
                Some("us-aiplatform.googleapis.com"),
                "vertex_ai/gemini-3.8-flash",
            ),
        ] {
            assert_eq!(find(model, host), Some(found), "{model} at {host:?}");
        }
        for unknown in ["gpt-4", "gpt-4o-mini", "", "/", "openai/", "flash"] {
            assert_eq!(find(unknown, None), None, "{unknown}");
        }
    }
}
