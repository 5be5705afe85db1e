//! The secret with which keys are hashed, and what is hashed with it.

use std::fmt;

use http::Request;
use llm_exchange::{User, with_credentials};

use super::{Key, Tag};

/// The secret with which keys are hashed.
#[derive(Clone)]
pub(crate) struct Secret([u8; 32]);

/// A kind of thing that is hashed: things of two kinds never have the same hash.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A call, whole.
    Answer,
    /// One more answer to a call.
    Another,
    /// A call for embeddings but for its texts.
    Embeddings,
    /// One text of such a call.
    Text,
    /// A call but for its question.
    Space,
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

    /// All in one go: whole chunks of it are hashed side by side.
    pub(super) fn key(&self, parts: &Parts) -> Key {
        Key(blake3::keyed_hash(&self.0, &parts.0).into())
    }

    fn tag(&self, parts: &Parts) -> Tag {
        Tag(self.key(parts).first())
    }

    pub(crate) fn model(&self, model: &str) -> Tag {
        let mut parts = Parts::with_capacity(64);
        self.model_by(model, &mut parts)
    }

    pub(super) fn model_by(&self, model: &str, parts: &mut Parts) -> Tag {
        self.tag(parts.begin(Kind::Model).part(model.as_bytes()))
    }

    pub(crate) fn user(&self, user: &User) -> Tag {
        let mut parts = Parts::with_capacity(64);
        self.user_by(user, &mut parts)
    }

    pub(super) fn user_by(&self, user: &User, parts: &mut Parts) -> Tag {
        self.tag(parts.begin(Kind::User).part(user.as_str().as_bytes()))
    }

    /// The credential of a request. `None`: it has none.
    pub(crate) fn credential<B>(&self, request: &Request<B>) -> Option<Tag> {
        with_credentials(request, |credentials| {
            self.credential_by(credentials, &mut Parts::with_capacity(256))
        })
    }

    pub(super) fn credential_by(
        &self,
        credentials: &[(&str, &[u8])],
        parts: &mut Parts,
    ) -> Option<Tag> {
        let parts = parts.begin(Kind::Credential).fields(credentials);
        (!credentials.is_empty()).then(|| self.tag(parts))
    }

    /// A hash of the prefixes of prompts that this request's provider and credential may share.
    pub(crate) fn prefixes<B>(&self, request: &Request<B>) -> blake3::Hasher {
        let mut parts = Parts::with_capacity(256);
        parts
            .begin(Kind::Prefix)
            .lower_case(request.uri().host().unwrap_or_default().as_bytes());
        with_credentials(request, |credentials| {
            parts.fields(credentials);
        });
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&parts.0);
        hasher
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

/// What is hashed: parts, each with its length, so that none can be written into another.
pub(super) struct Parts(Vec<u8>);

impl Parts {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Begins anew, in the same memory.
    pub(super) fn begin(&mut self, kind: Kind) -> &mut Self {
        self.0.clear();
        self.0.push(kind as u8);
        self
    }

    pub(super) fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Names with values, and how many.
    pub(super) fn fields(&mut self, fields: &[(&str, &[u8])]) -> &mut Self {
        self.number(fields.len() as u64);
        for (name, value) in fields {
            self.part(name.as_bytes()).part(value);
        }
        self
    }

    /// A name that is the same in capitals.
    pub(super) fn lower_case(&mut self, bytes: &[u8]) -> &mut Self {
        self.part(bytes);
        let start = self.0.len() - bytes.len();
        self.0[start..].make_ascii_lowercase();
        self
    }

    /// In as few bytes as it has, seven bits in each, so that where it ends is in itself: what is hashed
    /// costs by its bytes.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let mut rest = number;
        while rest > 127 {
            self.0.push((rest & 127) as u8 | 128);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    /// Where a last part is written, which needs no length.
    pub(super) fn rest(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}
