//! Who calls: by a key that the gateway gave out, or by a header that a proxy in front of it sets.

use std::{borrow::Cow, collections::HashMap, fmt, hash::BuildHasher};

use http::{HeaderMap, HeaderName, Request, header};
use llm_exchange::{ErrorAnswer, User};
use percent_encoding::percent_decode_str;

use crate::errors;

/// Where APIs have their keys besides `authorization` and the query. gRPC's metadata are headers too.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// The longest name of a user, in bytes.
pub(crate) const LONGEST_NAME: usize = 256;

/// What `[auth]` asks for. `Debug` shows no key and no user.
pub(crate) struct Auth {
    pub(crate) keys: Option<Keys>,
    pub(crate) user_header: Option<HeaderName>,
    /// Who calls where nobody is named; without it such a call is refused.
    pub(crate) anonymous: Option<User>,
}

/// The keys of the callers, kept as hashes with a key of this process: a lookup takes no time that
/// tells how much of a key was right.
pub(crate) struct Keys {
    secret: [u8; 32],
    users: HashMap<[u8; 32], User>,
}

impl Auth {
    /// Whether a call needs a key, so that the gateway knows its callers wherever it listens.
    pub(crate) const fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Whose call it is, after what said so was removed from the request.
    ///
    /// With keys and a header the key decides whether the call goes through, and the header, if it is
    /// there, whose it is: the key is then the proxy's own.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>) -> Result<User, ErrorAnswer> {
        let of_key = match &self.keys {
            Some(keys) => Some(keys.user_of(request).ok_or_else(errors::no_key)?),
            None => None,
        };
        let Some(header) = &self.user_header else {
            return of_key.ok_or_else(errors::no_key);
        };
        let named = named(request.headers(), header)?;
        request.headers_mut().remove(header);
        let anonymous = || self.anonymous.clone();
        named
            .or(of_key)
            .or_else(anonymous)
            .ok_or_else(errors::no_user)
    }
}

/// The user whom the proxy names. Two names, or one that is none, are an error: one of them may be
/// the caller's.
fn named(headers: &HeaderMap, header: &HeaderName) -> Result<Option<User>, ErrorAnswer> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let name = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
    if values.next().is_some() || !is_name(name) {
        return Err(errors::no_user());
    }
    Ok(Some(User::new(name)))
}

/// Whether a user may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

impl Keys {
    pub(crate) fn new() -> Self {
        // seeded by the system's randomness
        let state = std::hash::RandomState::new();
        let mut hasher = blake3::Hasher::new_derive_key("gateway 1 callers' keys");
        for part in 0..4_u64 {
            hasher.update(&state.hash_one(part).to_le_bytes());
        }
        Self {
            secret: hasher.finalize().into(),
            users: HashMap::new(),
        }
    }

    /// Adds a key. False: there is such a key.
    pub(crate) fn add(&mut self, key: &str, user: User) -> bool {
        let hash = self.hash(key.as_bytes());
        self.users.insert(hash, user).is_none()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn hash(&self, key: &[u8]) -> [u8; 32] {
        blake3::keyed_hash(&self.secret, key).into()
    }

    /// SDKs put a placeholder beside a key that is given in another way: any of them may be right.
    fn user_of<B>(&self, request: &Request<B>) -> Option<User> {
        let headers = request.headers();
        let bearers = headers.get_all(header::AUTHORIZATION).iter();
        let bearers = bearers.filter_map(|value| bearer(value.as_bytes()));
        let plain = KEY_HEADERS.iter().flat_map(|name| headers.get_all(*name));
        let plain = plain.map(|value| value.as_bytes());
        let query = request.uri().query().unwrap_or_default().split('&');
        let query = query.filter_map(|pair| pair.strip_prefix("key="));
        bearers
            .chain(plain)
            .map(Cow::Borrowed)
            .chain(query.map(|key| percent_decode_str(key).into()))
            .find_map(|key| self.users.get(&self.hash(key.trim_ascii())))
            .cloned()
    }
}

/// The token of an `authorization` header.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("keys", &self.keys.as_ref().map(|keys| keys.users.len()))
            .field("user_header", &self.user_header)
            .finish()
    }
}
