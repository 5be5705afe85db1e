//! The key of an answer: what it depends on, hashed.

mod canonical;
mod hash;
mod place;
mod secret;
#[cfg(test)]
mod tests;

use std::ops::Range;

use http::{HeaderMap, HeaderName, Request};
use llm_exchange::{Call, Payload, User, query_without_credentials, with_credentials};
use smallvec::SmallVec;

pub(crate) use self::hash::BuildAsItIs;
pub use self::hash::{InvalidKey, Key};
use self::secret::{Kind, Parts};
pub(crate) use self::{
    canonical::{Seen, canonical},
    secret::Secret,
};

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
    pub(crate) key: Key,
    pub(crate) tags: Tags,
    pub(crate) seen: Seen,
}

impl KeySettings {
    /// Reads a call's request. `None`: its answer belongs to nobody who could be known again, or it
    /// can't be read.
    pub(crate) fn read(&self, request: &Request<Payload>, call: &Call) -> Option<Keyed> {
        let body = request.body().whole()?;
        self.read_as(Kind::Answer, request, call, body, None)
    }

    /// The key of one of several answers to the call of this key.
    pub(crate) fn another(&self, key: Key, answer: u32) -> Key {
        if answer == 0 {
            return key;
        }
        let mut parts = Parts::with_capacity(64);
        parts
            .begin(Kind::Another)
            .number(u64::from(answer))
            .part(&key.0);
        self.secret.key(&parts)
    }

    /// Reads a call for embeddings but for its texts, of which each has a key of its own.
    pub(crate) fn read_but_texts(&self, request: &Request<Payload>, call: &Call) -> Option<Keyed> {
        let body = request.body().whole()?;
        self.read_as(Kind::Embeddings, request, call, body, Some(b"input"))
    }

    /// What calls have in common that are equal but for a question, which stands here in this one.
    pub(crate) fn space(
        &self,
        request: &Request<Payload>,
        call: &Call,
        question: &Range<usize>,
    ) -> Option<Key> {
        let body = request.body().whole()?;
        let (before, after) = (body.get(..question.start)?, body.get(question.end..)?);
        let without = [before, b"\"\"", after].concat();
        let keyed = self.read_as(Kind::Space, request, call, &without, None)?;
        Some(keyed.key)
    }

    /// The key of one text of a call, as it is written.
    pub(crate) fn text(&self, call: Key, text: &[u8]) -> Key {
        let mut parts = Parts::with_capacity(text.len() + 64);
        parts.begin(Kind::Text).part(&call.0).part(text);
        self.secret.key(&parts)
    }

    /// A request, with this body and without this member of it.
    fn read_as(
        &self,
        kind: Kind,
        request: &Request<Payload>,
        call: &Call,
        body: &[u8],
        without: Option<&[u8]>,
    ) -> Option<Keyed> {
        if call.unreadable().is_some() || is_signed_anew(request.headers()) {
            return None;
        }
        with_credentials(request, |credentials| {
            self.read_of(credentials, kind, request, call, body, without)
        })
    }

    /// The same, with whatever says who pays.
    fn read_of(
        &self,
        credentials: &[(&str, &[u8])],
        kind: Kind,
        request: &Request<Payload>,
        call: &Call,
        body: &[u8],
        without: Option<&[u8]>,
    ) -> Option<Keyed> {
        let user = User::of(request);
        let shared = self.sharing == Sharing::Everybody;
        if !shared && credentials.is_empty() && user.is_none() {
            return None;
        }
        // a sorted object of the body is written behind the unsorted one first
        let mut parts = Parts::with_capacity(body.len() * 2 + 1024);
        let tags = Tags {
            model: call
                .model()
                .map(|model| self.secret.model_by(model, &mut parts)),
            credential: self.secret.credential_by(credentials, &mut parts),
            user: user.map(|user| self.secret.user_by(user, &mut parts)),
        };
        parts.begin(kind);
        // in full length, as nobody's answer may ever be another's
        parts.number(u64::from(shared));
        if !shared {
            parts.fields(credentials);
            parts.number(u64::from(user.is_some()));
            parts.part(user.map_or("", User::as_str).as_bytes());
        }
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
        // of one address whether it is streamed or not
        match uri.path().strip_suffix(":streamRawPredict") {
            Some(model) => parts.part([model, ":rawPredict"].concat().as_bytes()),
            None => parts.part(uri.path().as_bytes()),
        };
        parts.part(query_without_credentials(uri).as_bytes());
        parts.part(call.model().unwrap_or_default().as_bytes());
        self.headers(request.headers(), credentials, &mut parts);
        let seen = canonical(body, call.dialect(), without, parts.rest())?;
        Some(Keyed {
            key: self.secret.key(&parts),
            tags,
            seen,
        })
    }

    fn headers(&self, headers: &HeaderMap, credentials: &[(&str, &[u8])], parts: &mut Parts) {
        // who pays is in the key already, or is to be in none
        let is_credential = |name: &HeaderName| credentials.iter().any(|(other, _)| name == *other);
        let mut shaping: SmallVec<[_; 8]> = headers
            .iter()
            .filter(|(name, _)| self.shapes_answers(name, is_credential(name)))
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        shaping.sort_by_key(|(name, _)| *name);
        parts.fields(&shaping);
    }

    fn shapes_answers(&self, name: &HeaderName, is_credential: bool) -> bool {
        let starts = |start| name.as_str().starts_with(start);
        let known = starts("anthropic-") || starts("openai-") || starts("x-goog-");
        (known && !is_credential) || self.vary.contains(name)
    }
}

/// AWS signs each request anew, so that none is known again.
fn is_signed_anew(headers: &HeaderMap) -> bool {
    let authorization = headers.get(http::header::AUTHORIZATION);
    headers.contains_key("x-amz-date")
        || authorization.is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
}
