//! Whose a call is, in texts that stores may see.

use std::{borrow::Cow, sync::Arc};

use http::Request;
use llm_exchange::{credentials, without_signature};
use percent_encoding::percent_decode;

/// Whose accounts of limits [per key](crate::Limit::per_key) this key's calls are charged to: a hash,
/// the same in every process.
#[must_use]
pub fn owner_of_key(key: &str) -> Arc<str> {
    of_key(key.as_bytes())
}

fn of_key(key: &[u8]) -> Arc<str> {
    hex(blake3::derive_key("budget-layer 1 key", key))
}

/// More keys than any caller has need of in one request.
const MOST_KEYS: usize = 4;

/// Those of all keys in a request: a key is the same whichever header it is in, and of several nobody
/// knows which the provider will take. `None`: there are more than anybody needs.
pub(crate) fn owners<B>(request: &Request<B>) -> Option<Vec<Arc<str>>> {
    let mut owners: Vec<Arc<str>> = Vec::new();
    for (name, value) in credentials(request) {
        let Some(key) = key(name, value) else {
            continue;
        };
        let owner = of_key(&key);
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    (owners.len() <= MOST_KEYS).then_some(owners)
}

/// The key in a credential. `None`: it is an account of a key, or changes with each call, so that who
/// adds one to a call is still the same.
fn key<'v>(name: &str, value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
    match name {
        "anthropic-user-profile-id"
        | "anthropic-workspace-id"
        | "cookie"
        | "cookie2"
        | "openai-organization"
        | "openai-project"
        | "x-goog-user-project"
        | "@" => None,
        "?" => {
            let mut parts = value.splitn(2, |byte| *byte == b'=');
            let (name, value) = (parts.next()?, parts.next()?);
            let is_signature = name.to_ascii_lowercase().starts_with(b"x-amz-");
            (!is_signature).then(|| percent_decode(value).into())
        }
        _ if name.starts_with("x-amz-") => None,
        _ => {
            let value = without_signature(value).trim_ascii();
            let scheme = value.get(..7);
            let is_bearer = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
            Some(
                if is_bearer {
                    value[7..].trim_ascii()
                } else {
                    value
                }
                .into(),
            )
        }
    }
}

/// Longer names are kept as their hash.
const LONGEST: usize = 256;

pub(crate) fn bounded(name: &str) -> Arc<str> {
    if name.len() <= LONGEST {
        return name.into();
    }
    hex(blake3::derive_key("budget-layer 1 owner", name.as_bytes()))
}

fn hex(hash: [u8; 32]) -> Arc<str> {
    blake3::Hash::from_bytes(hash).to_hex()[..32].into()
}
