//! Targets of another dialect: the call in theirs, their answer in the caller's.

use http::{HeaderName, Request};
use llm_exchange::{Call, Dialect, NotRewritten, Payload};
pub(crate) use llm_translate::{TranslatedAnswer, Translation, translates};

use crate::{
    Prefill,
    failover::continue_final,
    members::{Members, elements},
    target::Spec,
};

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
    // a beginning that the caller wrote goes only to who is known to go on from it
    let prefill = spec.prefill.filter(|prefill| *prefill != Prefill::Never);
    let begun = Translation::begin_with(request, to, |asked| {
        asked.carry_last_turn(prefill.is_some())
    });
    let translation = begun.map_err(|why| why.to_string())?;
    if let (Some(prefill), Dialect::OpenAiChat) = (prefill, to) {
        mark(request, prefill).map_err(|why| why.to_string())?;
    }
    Ok(Some(Box::new(translation)))
}

/// Where the last message is the assistant's, says that it is to be gone on with.
fn mark(request: &mut Request<Payload>, prefill: Prefill) -> Result<(), NotRewritten> {
    let body = request.body().whole().ok_or(NotRewritten::NotRead)?;
    let body = Members::of(body).ok_or(NotRewritten::NotRead)?;
    let messages = body.get("messages").and_then(elements);
    let mut messages: Vec<_> = messages
        .into_iter()
        .flatten()
        .map(|message| message.get().to_owned())
        .collect();
    let last = messages.pop().unwrap_or_default();
    let last = Members::of(last.as_bytes());
    let role = |last: &Members<'_>| last.read::<String>("role");
    let Some(mut last) = last.filter(|last| role(last).as_deref() == Some("assistant")) else {
        return Ok(());
    };
    match prefill {
        Prefill::ContinueFinalMessage => continue_final(request),
        Prefill::PrefixMember => {
            last.set("prefix", "true".to_owned());
            messages.push(last.to_json());
            Call::set_parameter(request, "messages", &format!("[{}]", messages.join(",")))
        }
        _ => Ok(()),
    }
}
