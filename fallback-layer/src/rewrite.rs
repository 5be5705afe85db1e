//! Making of a call what a target is to be sent.

use http::Request;
use llm_exchange::{Call, NotRewritten, Payload, remove_credentials};

use crate::target::{Spec, Whose};

/// Changes a request for this model into the target's. After an error it is of no use any more.
pub(crate) fn rewrite(
    request: &mut Request<Payload>,
    asked: Option<&str>,
    spec: &Spec,
) -> Result<(), NotRewritten> {
    if let Some(model) = spec.model.as_deref()
        && asked != Some(model)
    {
        Call::set_model(request, model)?;
    }
    for (name, json) in &spec.parameters {
        match json {
            Some(json) => Call::set_parameter(request, name, json)?,
            None => Call::remove_parameter(request, name)?,
        }
    }
    if let Some(host) = &spec.host {
        Call::redirect(request, host).map_err(|_| NotRewritten::NotRead)?;
    }
    match &spec.credential {
        // on the way to another host it was removed
        Whose::Callers | Whose::CallersThere => {}
        Whose::Own(credential) => credential.put(request),
        Whose::Nobodys => remove_credentials(request),
    }
    for (name, value) in &spec.headers {
        request.headers_mut().insert(name, value.clone());
    }
    Ok(())
}
