//! What a path says of a call: which API it is, which model, whether a stream is wanted.
//!
//! Whatever stands before the part that is recognised is a prefix of the provider's or of a proxy.

use std::{borrow::Cow, ops::Range};

use http::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::Dialect;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) dialect: Dialect,
    /// Where the model stands in the path, percent-encoded.
    pub(crate) model: Option<Range<usize>>,
    /// `None`: the body says.
    pub(crate) stream: Option<bool>,
}

/// Everything but RFC 3986's unreserved characters: what clients' libraries encode in a segment.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Route {
    /// Reads a request's method and path.
    pub(crate) fn of_request(method: &Method, uri: &Uri) -> Option<Self> {
        (method == Method::POST).then(|| Self::of(uri.path()))?
    }

    /// Reads the path of a POST. `None`: it is no call of an API that is known here.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let path = Path::new(path)?;
        Dialect::ALL.iter().find_map(|&dialect| {
            let Asked { model, stream } = (dialect.wire().route)(&path)?;
            Some(Self {
                dialect,
                model,
                stream,
            })
        })
    }

    /// Whether two paths are of the same API, and name the same model where they name one.
    pub(crate) fn ask_the_same(one: &str, other: &str) -> bool {
        let read = |path| {
            let route = Self::of(path)?;
            let model = route.model.and_then(|at| path.get(at));
            Some((route.dialect, model, route.stream))
        };
        read(one).is_some_and(|one| read(other) == Some(one))
    }

    /// The model that the path names, decoded. A name that is not UTF-8 is none.
    pub(crate) fn model_in<'p>(&self, path: &'p str) -> Option<Cow<'p, str>> {
        percent_decode_str(path.get(self.model.clone()?)?)
            .decode_utf8()
            .ok()
    }

    /// The same path with another model. `None`: the path names none, the name is empty, or it would
    /// be another API's (Bedrock invokes each vendor's models in the vendor's format).
    pub(crate) fn with_model(&self, path: &str, model: &str) -> Option<String> {
        let at = self.model.clone()?;
        if model.is_empty() {
            return None;
        }
        let encoded = utf8_percent_encode(model, NOT_UNRESERVED).to_string();
        // a segment of dots would climb in the path
        let encoded = if encoded.bytes().all(|byte| byte == b'.') {
            encoded.replace('.', "%2E")
        } else {
            encoded
        };
        let path = [path.get(..at.start)?, &encoded, path.get(at.end..)?].concat();
        (Self::of(&path)?.dialect == self.dialect).then_some(path)
    }
}

/// What `rsplit_once` does, several times as fast for the few bytes of a segment: every layer reads
/// the path of every call.
fn split_last(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == at)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// A path, with the shapes that several dialects look for in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'p> {
    /// What stands before the last slash.
    pub(crate) before: &'p str,
    pub(crate) last: &'p str,
}

/// What a path says to the dialect whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// As in [`Route`].
    pub(crate) model: Option<Range<usize>>,
    pub(crate) stream: Option<bool>,
}

impl<'p> Path<'p> {
    fn new(path: &'p str) -> Option<Self> {
        // "/" alone at the end is nothing to servers that are lenient about it
        let path = path.strip_suffix('/').unwrap_or(path);
        let (before, last) = split_last(path, b'/')?;
        Some(Self { before, last })
    }

    /// A path that ends in these two, perhaps of a deployment: Azure's classic ones are
    /// `.../openai/deployments/NAME/END`.
    pub(crate) fn openai(&self, end: &str, last: &str) -> Option<Asked> {
        if self.last != last {
            return None;
        }
        let before = self.before.strip_suffix(end)?;
        let deployment = || {
            let (parent, _) = split_last(before, b'/')?;
            (parent.ends_with("/openai/deployments") && parent.len() + 1 < before.len())
                .then_some(parent.len() + 1..before.len())
        };
        Some(Asked {
            model: deployment(),
            stream: None,
        })
    }

    /// Bedrock's `.../model/ID/VERB`, of the models that are `known` by their names as they stand there.
    pub(crate) fn bedrock(
        &self,
        unary: &str,
        streaming: &str,
        known: impl FnOnce(&str) -> bool,
    ) -> Option<Asked> {
        let stream = is_streaming(self.last, unary, streaming)?;
        let (prefix, id) = split_last(self.before, b'/')?;
        if !prefix.ends_with("/model") || id.is_empty() {
            return None;
        }
        known(id).then(|| Asked {
            model: Some(prefix.len() + 1..self.before.len()),
            stream: Some(stream),
        })
    }

    /// Google's `.../models/NAME:VERB` and the like.
    pub(crate) fn google(&self, unary: &str, streaming: &str) -> Option<Asked> {
        let (name, verb) = split_last(self.last, b':')?;
        let stream = is_streaming(verb, unary, streaming)?;
        let collection = self.before.rsplit('/').next()?;
        let known = matches!(collection, "models" | "tunedModels" | "endpoints");
        (known && !name.is_empty()).then(|| Asked {
            model: Some(self.before.len() + 1..self.before.len() + 1 + name.len()),
            stream: Some(stream),
        })
    }

    /// Whether it is of Anthropic's models at Google.
    pub(crate) fn is_of_anthropic(&self) -> bool {
        self.before.ends_with("/publishers/anthropic/models")
    }

    /// gRPC's `/SERVICE/METHOD`.
    pub(crate) fn grpc(
        &self,
        service: &str,
        unary: &str,
        streaming: Option<&str>,
    ) -> Option<Asked> {
        let stream = self.last != unary;
        if stream && streaming != Some(self.last) {
            return None;
        }
        let before = self.before.strip_suffix(service)?;
        before.ends_with('/').then_some(Asked {
            model: None,
            stream: Some(stream),
        })
    }
}

fn is_streaming(verb: &str, unary: &str, streaming: &str) -> Option<bool> {
    match verb {
        verb if verb == unary => Some(false),
        verb if verb == streaming => Some(true),
        _ => None,
    }
}

/// What is read of a path is found again after it was changed, and nothing else changes.
#[cfg(any(test, fuzzing))]
pub(crate) fn check(path: &str, model: &str) {
    let claimed = Path::new(path).map_or(0, |path| {
        let routes = Dialect::ALL.iter().map(|dialect| dialect.wire().route);
        routes.filter(|route| route(&path).is_some()).count()
    });
    assert!(claimed <= 1, "the order of the table must not matter");
    let Some(route) = Route::of(path) else {
        return;
    };
    let Some(changed) = route.with_model(path, model) else {
        return;
    };
    let again = Route::of(&changed).expect("it is the same API still");
    assert_eq!((again.dialect, again.stream), (route.dialect, route.stream));
    assert_eq!(again.model_in(&changed).as_deref(), Some(model));
    let (before, after) = (route.model.expect("a place"), again.model.expect("a place"));
    assert_eq!(path[..before.start], changed[..after.start]);
    assert_eq!(path[before.end..], changed[after.end..]);
}

#[cfg(test)]
mod tests;
