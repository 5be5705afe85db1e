//! Changing a call: its body, wherever a value stands in it, and its path.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, Request, header,
    uri::{PathAndQuery, Uri},
};

use super::{Call, NotRewritten, Unreadable, is_signed};
use crate::{
    Host, NotRedirected, Payload,
    dialect::Place,
    grpc::{self, Messages},
    route::Route,
    splice,
};

impl Call {
    /// Asks for another model: the value is put into the body, the path or the message, wherever the
    /// API has it, every other byte stays as it is, and `content-length` is corrected.
    ///
    /// Over gRPC a name without a slash takes the place of the last segment of the resource's name.
    ///
    /// # Errors
    ///
    /// [`NotRewritten`]; the request is unchanged then. Bedrock's invoked models can't be changed to
    /// those of another vendor, whose format is another.
    pub fn set_model(request: &mut Request<Payload>, model: &str) -> Result<(), NotRewritten> {
        let route = route_of(request)?;
        if route.model.is_some() {
            return path(request, &route, model);
        }
        match route.dialect.wire().model {
            Place::Member(name) => body(request, |body| splice::set_string(body, name, model)),
            Place::Field(field) => body(request, |body| {
                message(body, |message| {
                    let whole = grpc::text_at(message, field).unwrap_or_default();
                    let before = whole.rfind('/').filter(|_| !model.contains('/'));
                    let before = before.map_or("", |at| &whole[..=at]);
                    grpc::set_string(message, field, &[before, model].concat()).ok()
                })
            }),
            Place::Within(..) | Place::WithinSpelt(..) | Place::Nowhere => {
                Err(NotRewritten::NotRead)
            }
        }
    }

    /// Lets the answer have at most so many output tokens, for each choice. Where the API has two
    /// names for the cap, the one that stands there is set, or both; where none does, the newer one
    /// is added, but for hosts that know only the old one (Mistral, DeepSeek, and Ollama at its port,
    /// 11434). TGI knows only the old one too, but nothing in its address says so: it passes over the newer
    /// one, so that only calls that name `max_tokens` themselves are capped there.
    ///
    /// # Errors
    ///
    /// [`NotRewritten`], also of an API that has no cap; the request is unchanged then.
    pub fn set_output_cap(request: &mut Request<Payload>, cap: u64) -> Result<(), NotRewritten> {
        let places = route_of(request)?.dialect.wire().output_cap;
        let (Some(newest), Some(oldest)) = (places.first(), places.last()) else {
            return Err(NotRewritten::NotRead);
        };
        let added = if is_old_fashioned(request.uri()) {
            oldest
        } else {
            newest
        };
        body(request, |body| {
            let mut changed = body.clone();
            let mut any = false;
            for place in places {
                if let Place::Member(name) = place
                    && splice::has(body, name)?
                {
                    changed = splice::set(&changed, name, &cap.to_string())?;
                    any = true;
                }
            }
            if any {
                return Some(changed);
            }
            match *added {
                Place::Member(name) => splice::set(body, name, &cap.to_string()),
                Place::Within(outer, name) => {
                    splice::set_within(body, outer, name, &cap.to_string())
                }
                Place::WithinSpelt(outer, name) => {
                    splice::set_within_spelt(body, outer, name, &cap.to_string())
                }
                Place::Field(path) => {
                    message(body, |message| grpc::set_varint(message, path, cap).ok())
                }
                Place::Nowhere => None,
            }
        })
    }
}

impl Call {
    /// Makes of the request another call, of any dialect: with this path, query and JSON, at the host
    /// where it was going. Its facts are read anew; its [`Attempts`](crate::Attempts) stay the same
    /// ones. `content-type` and `content-length` follow; what else the headers say is the caller's
    /// care.
    ///
    /// # Errors
    ///
    /// [`NotRewritten`], also where path and body are not those of a call that can be read; the request
    /// is unchanged then.
    pub fn replace(
        request: &mut Request<Payload>,
        path: PathAndQuery,
        body: Bytes,
    ) -> Result<(), NotRewritten> {
        readable(request)?;
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        let uri = Uri::from_parts(parts).map_err(|_| NotRewritten::NotRead)?;
        let route = Route::of_request(request.method(), &uri).ok_or(NotRewritten::NotRead)?;
        let before = Self::of(request).ok_or(NotRewritten::NotRead)?;
        let attempts = before.attempts.clone();
        let mut call = Self::read(&route, &uri, &body, attempts);
        call.host.clone_from(&before.host);
        if call.unreadable.is_some() {
            return Err(NotRewritten::NotRead);
        }
        let length = body.len();
        *request.uri_mut() = uri;
        request.body_mut().replace(body, call);
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        if let Some(value) = headers.get_mut(header::CONTENT_LENGTH) {
            *value = length.into();
        }
        Ok(())
    }
}

impl Call {
    /// Sends the call to this host instead of its own ([`Host::redirect`]), and keeps it with the call:
    /// whoever keeps books of it further out learns who answered
    /// ([`Meter::asked_host`](crate::Meter::asked_host)).
    ///
    /// # Errors
    ///
    /// [`NotRedirected`]; the request is unchanged then.
    pub fn redirect(request: &mut Request<Payload>, host: &Host) -> Result<(), NotRedirected> {
        host.redirect(request)?;
        if let Some(call) = Self::of(request) {
            let mut call = Self::clone(call);
            call.host = Some(host.authority().as_str().into());
            request.body_mut().call_is(call);
        }
        Ok(())
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Hosts that take no `max_completion_tokens`.
fn is_old_fashioned(uri: &Uri) -> bool {
    let is_ollama = uri.port_u16() == Some(11434);
    let is_host = uri.host().is_some_and(|host| {
        [".mistral.ai", ".deepseek.com"]
            .iter()
            .any(|end| host.ends_with(end))
    });
    is_ollama || is_host
}

fn route_of(request: &Request<Payload>) -> Result<Route, NotRewritten> {
    Route::of_request(request.method(), request.uri()).ok_or(NotRewritten::NotRead)
}

/// The bytes of a call whose facts were read.
pub(super) fn whole(request: &Request<Payload>) -> Option<&Bytes> {
    Call::of(request)?
        .unreadable
        .is_none()
        .then(|| request.body().whole())?
}

pub(super) fn readable(request: &Request<Payload>) -> Result<&Bytes, NotRewritten> {
    let call = Call::of(request).ok_or(NotRewritten::NotRead)?;
    if call.unreadable.is_some() {
        return Err(NotRewritten::NotRead);
    }
    if is_signed(request.headers()) {
        return Err(NotRewritten::Signed);
    }
    request.body().whole().ok_or(NotRewritten::NotRead)
}

/// Changes the body, and reads the facts of the call anew.
pub(super) fn body(
    request: &mut Request<Payload>,
    change: impl FnOnce(&Bytes) -> Option<Bytes>,
) -> Result<(), NotRewritten> {
    let body = change(readable(request)?).ok_or(NotRewritten::NotRead)?;
    let before = Call::of(request).ok_or(NotRewritten::NotRead)?;
    let attempts = before.attempts.clone();
    let mut call = Call::read(&route_of(request)?, request.uri(), &body, attempts);
    call.host.clone_from(&before.host);
    if call.unreadable.is_some() {
        return Err(NotRewritten::NotRead);
    }
    let length = body.len();
    request.body_mut().replace(body, call);
    if let Some(value) = request.headers_mut().get_mut(header::CONTENT_LENGTH) {
        *value = length.into();
    }
    Ok(())
}

/// Changes the model in the path.
fn path(request: &mut Request<Payload>, route: &Route, model: &str) -> Result<(), NotRewritten> {
    let body = readable(request)?.clone();
    let uri = request.uri();
    let path = route
        .with_model(uri.path(), model)
        .ok_or(NotRewritten::NotRead)?;
    let query = uri
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    let whole = PathAndQuery::try_from(format!("{path}{query}"));
    parts.path_and_query = Some(whole.map_err(|_| NotRewritten::NotRead)?);
    let uri = Uri::from_parts(parts).map_err(|_| NotRewritten::NotRead)?;
    let mut call = Call::clone(Call::of(request).ok_or(NotRewritten::NotRead)?);
    call.path = super::path_of(&uri);
    call.facts.model = Some(model.into());
    *request.uri_mut() = uri;
    request.body_mut().replace(body, call);
    Ok(())
}

/// The one message of a gRPC request's body.
pub(super) fn only_message(body: &[u8]) -> Result<&[u8], Unreadable> {
    match Messages::only(body) {
        Some((false, message)) => Ok(message),
        Some((true, _)) => Err(Unreadable::Encoded),
        None => Err(Unreadable::Syntax),
    }
}

fn message(body: &Bytes, change: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Bytes> {
    let changed = change(only_message(body).ok()?)?;
    let mut body = BytesMut::with_capacity(changed.len() + 5);
    body.extend_from_slice(&[0]);
    body.extend_from_slice(&u32::try_from(changed.len()).ok()?.to_be_bytes());
    body.extend_from_slice(&changed);
    Some(body.freeze())
}
