//! One call: looked at at the door, sent through the layers, handed back.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use cache_layer::Cached;
use http::{Extensions, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use llm_exchange::{AnswerBody, Call, Dialect, Payload, Unreadable, Watch};
use tower::ServiceExt;

use crate::{
    board::Board,
    errors, headers,
    live::{Live, Now},
    log::CallLog,
    priced,
    provider::{self, Provider},
    upload::{self, Upload},
    upstream,
};

/// On an answer of ours after retries: OpenAI's and Anthropic's SDKs do not retry in their turn.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// On an answer that is or may be cached: by what operators remove it.
const CACHE_KEY: HeaderName = HeaderName::from_static("x-llm-cache-key");

/// What every call needs.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) live: Live,
    pub(crate) board: Arc<Board>,
}

/// Proxies a call, whatever its path: what is not served is told so in the caller's dialect.
pub(crate) async fn proxy(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let path = request.uri().path();
    let mut log = CallLog::begin(request.method(), path, Arc::clone(&proxy.board));
    let response = proxy.live.now().answer(request, &mut log).await;
    log.answered(&response);
    response.map(|body| Body::new(Watch::new(AnswerBody::inner(body), log)))
}

impl Now {
    async fn answer(&self, mut request: Request, log: &mut CallLog) -> Response {
        let path = request.uri().path();
        let dialect = errors::dialect(request.uri(), request.headers());
        let refuse = |answer, body| {
            upload::discard(body);
            errors::response(answer, dialect)
        };
        // TRACE would show the caller the credential that we put in
        if matches!(*request.method(), Method::TRACE | Method::CONNECT) {
            return refuse(errors::method_not_allowed(), request.into_body());
        }
        if !provider::is_served(path) {
            return refuse(errors::not_found(), request.into_body());
        }
        if headers::has_dot_segments(path) {
            return refuse(errors::bad_path(), request.into_body());
        }
        let Some(mut provider) =
            provider::choose(&self.providers, request.uri(), request.headers())
        else {
            return refuse(errors::not_found(), request.into_body());
        };
        log.provider(&provider.name);
        // of any provider: a call may go on to another one
        let has_keys = self.providers.iter().any(Provider::has_key);
        if has_keys && headers::is_from_foreign_page(request.headers()) {
            return refuse(errors::foreign_page(), request.into_body());
        }

        let user = match self.auth.as_ref().map(|auth| auth.admit(&mut request)) {
            // of a stranger nothing is read
            Some(Err(stranger)) => return refuse(stranger, request.into_body()),
            Some(Ok(user)) => Some(user),
            None => None,
        };

        let (parts, body) = request.into_parts();
        // only what may have to be kept is limited; uploads of files stream through
        let is_call =
            Dialect::of(&parts.method, &parts.uri).is_some_and(|dialect| !dialect.goes_both_ways());
        let most = if is_call {
            upload::MOST_BYTES
        } else {
            u64::MAX
        };
        let (body, fault) = match Upload::new(body, most) {
            Ok(limited) => limited,
            Err(fault) => return errors::response(errors::upload(fault), dialect),
        };
        let request = Request::from_parts(parts, body);
        let mut request = Payload::read(request, Payload::DEFAULT_MAX_BYTES).await;
        if let Some(fault) = fault.get() {
            return errors::response(errors::upload(fault), dialect);
        }
        if let Some(call) = Call::of(&request) {
            log.call(call);
            match call.unreadable() {
                Some(why @ (Unreadable::Syntax | Unreadable::Fields)) => {
                    return errors::response(errors::unreadable(why), dialect);
                }
                None if call.model().is_none_or(str::is_empty) => {
                    return errors::response(errors::no_model(), dialect);
                }
                // compressed, or too large to be kept: the provider reads it
                _ => {}
            }
            if let Some(first) = self.routes.first(call) {
                provider = first;
                log.provider(&provider.name);
            }
        }

        let Some(uri) = provider.uri(request.method(), request.uri()) else {
            return errors::response(errors::bad_path(), dialect);
        };
        *request.uri_mut() = uri;
        // each connection has its own; the client refuses HTTP/2 where the provider has 1.1
        *request.version_mut() = Version::HTTP_11;
        *request.extensions_mut() = Extensions::new();
        if let Some(user) = user {
            log.user(&user);
            request.extensions_mut().insert(user);
        }
        let grpc = upstream::is_grpc(request.headers());
        headers::clean_request(request.headers_mut());
        if grpc {
            // hop by hop, and yet what gRPC servers ask for
            let trailers = HeaderValue::from_static("trailers");
            request.headers_mut().insert(header::TE, trailers);
        }
        headers::hide_credentials(&mut request);
        provider.put_credential(&mut request);
        let call = Call::of(&request).cloned();
        match self.stack.clone().oneshot(request).await {
            Ok(response) => {
                let mut response = priced::with_cost(response).await;
                let cached = Cached::of(&response).and_then(|cached| cached.key);
                if let Some(key) = cached.and_then(|key| key.to_string().parse().ok()) {
                    response.headers_mut().insert(CACHE_KEY, key);
                }
                headers::clean_answer(response.headers_mut());
                *response.version_mut() = Version::HTTP_11;
                response
            }
            Err(error) => {
                if let Some(fault) = fault.get() {
                    return errors::response(errors::upload(fault), dialect);
                }
                log.error(&error);
                let answer = errors::upstream(&error, &provider.name);
                let mut response = errors::response(answer, dialect);
                if call.is_some_and(|call| call.attempts().count() > 1) {
                    let no = HeaderValue::from_static("false");
                    response.headers_mut().insert(SHOULD_RETRY, no);
                }
                response
            }
        }
    }
}

/// `GET /health`: the gateway serves. It says nothing of the providers.
pub(crate) async fn health() -> (StatusCode, [(HeaderName, &'static str); 1], &'static str) {
    let json = (http::header::CONTENT_TYPE, "application/json");
    (StatusCode::OK, [json], "{\"status\":\"ok\"}")
}
