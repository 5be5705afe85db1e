//! Targets of another dialect: the call in theirs, their answer in the caller's.

use http::{HeaderName, Request};
use llm_exchange::{Call, Payload};
pub(crate) use llm_translate::{TranslatedAnswer, Translation, translates};

use crate::target::Spec;

const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Makes of a call the target's, if that is of another dialect.
///
/// # Errors
///
/// What cannot be carried over, in words.
pub(crate) fn begin(
    request: &mut Request<Payload>,
    spec: &Spec,
) -> Result<Option<Box<Translation>>, String> {
    let Some(to) = spec.dialect else {
        return Ok(None);
    };
    if Call::of(request).is_none_or(|call| spec.speaks_natively(call.dialect())) {
        return Ok(None);
    }
    // what can be carried over depends on it
    if let Some(version) = spec.headers.get(VERSION) {
        request.headers_mut().insert(VERSION, version.clone());
    }
    let begun = Translation::begin(request, to);
    begun
        .map(|translation| Some(Box::new(translation)))
        .map_err(|why| why.to_string())
}
