//! The key of an answer: what it depends on, hashed.

mod canonical;
mod place;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
};

use http::{HeaderMap, HeaderName, Request};
use llm_exchange::{Call, Payload, User, credentials, query_without_credentials};

use self::canonical::{Canonical, canonical};

/// The key of an answer: a hash, with a secret, of everything that the answer depends on.
///
/// It is made of the address without keys, the dialect, the model, the headers that shape answers
/// (`anthropic-*`, `openai-*`, `x-goog-*` and those that the layer is told), the request's JSON in a
/// canonical form, and whose answer it is: the credential and the [`User`]. Each part is hashed with
/// its length, so that none can be written into another.
///
/// An answer that passed the layer's lookup carries it in its extensions (`Cached`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub(crate) [u8; 32]);

/// What several entries have in common, hashed like a key: a model, a credential, a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub(crate) u64);

/// What an entry belongs to, so that it can be removed with its like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    /// The model asked for.
    pub model: Option<Tag>,
    /// The credential.
    pub credential: Option<Tag>,
    /// The user.
    pub user: Option<Tag>,
}

impl Tags {
    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = Tag> {
        [self.model, self.credential, self.user]
            .into_iter()
            .flatten()
    }
}

/// The secret with which keys are hashed.
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

/// A kind of thing that is hashed: things of two kinds never have the same hash.
#[derive(Clone, Copy)]
enum Kind {
    Answer,
    Scope,
    Model,
    Credential,
    User,
    Prefix,
}

impl Secret {
    /// One that nobody knows, for keys that stay in this process.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        // seeded by the system's randomness for each process
        let state = std::hash::RandomState::new();
        for (index, part) in bytes.chunks_mut(8).enumerate() {
            let hash = std::hash::BuildHasher::hash_one(&state, (index, fastrand::u64(..)));
            part.copy_from_slice(&hash.to_ne_bytes());
        }
        Self(bytes)
    }

    pub(crate) fn of(text: &[u8]) -> Self {
        Self(blake3::derive_key("cache-layer 1 secret", text))
    }

    fn hasher(&self, kind: Kind) -> Parts {
        let mut parts = Parts(blake3::Hasher::new_keyed(&self.0));
        parts.number(kind as u64);
        parts
    }

    pub(crate) fn model(&self, model: &str) -> Tag {
        self.hasher(Kind::Model).part(model.as_bytes()).tag()
    }

    pub(crate) fn user(&self, user: &User) -> Tag {
        self.hasher(Kind::User).part(user.as_str().as_bytes()).tag()
    }

    /// The credential of a request. `None`: it has none.
    pub(crate) fn credential<B>(&self, request: &Request<B>) -> Option<Tag> {
        self.credential_of(&credentials(request))
    }

    fn credential_of(&self, credentials: &[(&str, &[u8])]) -> Option<Tag> {
        let mut parts = self.hasher(Kind::Credential);
        for (name, value) in credentials {
            parts.part(name.as_bytes()).part(value);
        }
        (!credentials.is_empty()).then(|| parts.tag())
    }

    /// A hash of the prefixes of prompts that this request's provider and credential may share.
    pub(crate) fn prefixes<B>(&self, request: &Request<B>) -> blake3::Hasher {
        let mut parts = self.hasher(Kind::Prefix);
        parts.lower_case(request.uri().host().unwrap_or_default().as_bytes());
        for (name, value) in credentials(request) {
            parts.part(name.as_bytes()).part(value);
        }
        parts.0
    }

    /// An authentication code of these bytes, with that key.
    #[cfg(feature = "redis")]
    pub(crate) fn seal(&self, key: &Key, bytes: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher
            .update(b"cache-layer 1 seal")
            .update(&key.0)
            .update(bytes);
        let mut seal = [0; 16];
        seal.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        seal
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A hash of parts, each with its length.
struct Parts(blake3::Hasher);

impl Parts {
    fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    /// A name that is the same in capitals.
    fn lower_case(&mut self, bytes: &[u8]) -> &mut Self {
        if bytes.iter().any(u8::is_ascii_uppercase) {
            return self.part(&bytes.to_ascii_lowercase());
        }
        self.part(bytes)
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    fn key(&self) -> Key {
        Key(self.0.finalize().into())
    }

    fn tag(&self) -> Tag {
        Tag(self.key().first())
    }
}

/// Whose answers a caller may be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Those of calls with the same credential and the same user.
    #[default]
    Scoped,
    /// Everybody's.
    Everybody,
}

/// What the key of a call is made of, beside the call itself.
#[derive(Clone, Debug)]
pub(crate) struct KeySettings {
    pub(crate) secret: Secret,
    pub(crate) sharing: Sharing,
    /// Headers, beside the known ones, that shape the answer.
    pub(crate) vary: Vec<HeaderName>,
}

/// What was read of a request for its key.
pub(crate) struct Keyed {
    pub(crate) tags: Tags,
    pub(crate) temperature_zero: bool,
    pub(crate) stateful: bool,
    pub(crate) looks_up: bool,
    parts: Parts,
}

impl Keyed {
    /// The key of one of several answers to the call.
    pub(crate) fn key(&self, answer: u32) -> Key {
        let mut parts = Parts(self.parts.0.clone());
        parts.number(u64::from(answer)).key()
    }
}

impl KeySettings {
    /// Reads a call's request. `None`: its answer belongs to nobody who could be known again, or it
    /// can't be read.
    pub(crate) fn read(&self, request: &Request<Payload>, call: &Call) -> Option<Keyed> {
        if call.unreadable().is_some() || is_signed_anew(request.headers()) {
            return None;
        }
        let body = request.body().whole()?;
        let user = User::of(request);
        let credentials = credentials(request);
        let scope = self.scope(&credentials, user)?;
        let tags = Tags {
            model: call.model().map(|model| self.secret.model(model)),
            credential: self.secret.credential_of(&credentials),
            user: user.map(|user| self.secret.user(user)),
        };
        let Canonical {
            text,
            temperature_zero,
            stateful,
            looks_up,
        } = canonical(body, call.dialect())?;
        let mut parts = self.secret.hasher(Kind::Answer);
        parts.part(&scope);
        let uri = request.uri();
        let host = uri.host().map_or_else(
            || {
                request
                    .headers()
                    .get(http::header::HOST)
                    .map_or(&b""[..], |host| host.as_bytes())
            },
            str::as_bytes,
        );
        parts.lower_case(host);
        parts.number(uri.port_u16().map_or(0, |port| u64::from(port) + 1));
        parts.part(call.dialect().as_str().as_bytes());
        parts.part(uri.path().as_bytes());
        parts.part(query_without_credentials(uri).as_bytes());
        parts.part(call.model().unwrap_or_default().as_bytes());
        self.headers(request.headers(), &mut parts);
        parts.part(&text);
        Some(Keyed {
            tags,
            temperature_zero,
            stateful,
            looks_up,
            parts,
        })
    }

    /// In full length, as nobody's answer may ever be another's. `None`: nobody's.
    fn scope(&self, credentials: &[(&str, &[u8])], user: Option<&User>) -> Option<[u8; 32]> {
        let mut parts = self.secret.hasher(Kind::Scope);
        if self.sharing == Sharing::Everybody {
            return Some(parts.key().0);
        }
        if credentials.is_empty() && user.is_none() {
            return None;
        }
        parts.number(credentials.len() as u64);
        for (name, value) in credentials {
            parts.part(name.as_bytes()).part(value);
        }
        parts.number(u64::from(user.is_some()));
        parts.part(user.map_or("", User::as_str).as_bytes());
        Some(parts.key().0)
    }

    fn headers(&self, headers: &HeaderMap, parts: &mut Parts) {
        let mut shaping: Vec<_> = headers
            .iter()
            .filter(|(name, _)| self.shapes_answers(name))
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        shaping.sort_by_key(|(name, _)| *name);
        parts.number(shaping.len() as u64);
        for (name, value) in shaping {
            parts.part(name.as_bytes()).part(value);
        }
    }

    fn shapes_answers(&self, name: &HeaderName) -> bool {
        let starts = |start| name.as_str().starts_with(start);
        starts("anthropic-") || starts("openai-") || starts("x-goog-") || self.vary.contains(name)
    }
}

/// AWS signs each request anew, so that none is known again.
fn is_signed_anew(headers: &HeaderMap) -> bool {
    let authorization = headers.get(http::header::AUTHORIZATION);
    headers.contains_key("x-amz-date")
        || authorization.is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
}

impl Key {
    /// A hash is as good as any other hash of it.
    fn first(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(first)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.first());
    }
}

/// Beginnings of the hash, for a log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:08x}..)", self.first() >> 32)
    }
}

/// Hashes what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs(u64);

pub(crate) type BuildAsItIs = BuildHasherDefault<AsItIs>;

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(5) ^ number;
    }
}
