//! One call through the gateway.

use std::sync::Arc;

use axum::{body::Body, extract::State};
use http::{Method, Request, Response, Uri, Version, header};
use llm_exchange::{Call, Dialect, Payload, Unreadable};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::{answers, headers, provider::Provider, stack::Stack, upload::Upload};

/// The largest body of an LLM call, in bytes, kept whole to be sent again. Anthropic takes 32 MiB.
/// Other requests, such as file uploads, stream through and have no limit.
pub(crate) const MAX_CALL_BYTES: usize = 32 << 20;

pub(crate) struct App {
    pub(crate) providers: Vec<Provider>,
    pub(crate) stack: Stack,
}

/// Proxies a request and logs one line about it: no body, credential or query string.
pub(crate) async fn proxy(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    let start = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let (model, response) = app.answer(request).await;
    let attempts = response
        .headers()
        .get("x-llm-attempts")
        .and_then(|value| value.to_str().ok());
    tracing::info!(
        method = method.as_str(),
        path,
        status = response.status().as_u16(),
        model = model.as_deref(),
        attempts,
        ms = start.elapsed().as_millis() as u64,
        "answered"
    );
    response
}

impl App {
    /// The answer, and the model asked for.
    async fn answer(&self, request: Request<Body>) -> (Option<Box<str>>, Response<Body>) {
        let dialect = Dialect::of(request.method(), request.uri());
        if let Some(dialect) = dialect
            && announced(&request).is_some_and(|bytes| bytes > MAX_CALL_BYTES as u64)
        {
            return (None, answers::too_large(dialect));
        }
        let (mut parts, body) = request.into_parts();
        let (body, cut) = Upload::new(body);
        let asked = std::mem::take(&mut parts.uri);
        let Some(provider) = Provider::of_path(&self.providers, asked.path()) else {
            return (None, answers::not_found());
        };
        let Some(uri) = provider.uri(&asked) else {
            return (None, answers::not_found());
        };
        parts.uri = uri;
        // the connection to the provider has a version of its own
        parts.version = Version::HTTP_11;
        headers::clean_request(&mut parts.headers);
        provider.authorize(&mut parts.headers);

        let request = Request::from_parts(parts, body);
        let request = Payload::read(request, MAX_CALL_BYTES).await;
        if let Some(why) = cut.get() {
            return (None, answers::cut(*why, dialect));
        }
        let model = Call::of(&request).and_then(|call| call.model().map(Box::from));
        if let Some(refused) = check(&request) {
            return (model, refused);
        }
        let mut response = match self.stack.clone().oneshot(request).await {
            Ok(response) => response,
            Err(error) => match cut.get() {
                // a body that streamed through broke on its way
                Some(why) => answers::cut(*why, dialect),
                None => answers::unreachable(provider.name(), &error, dialect),
            },
        };
        headers::clean_answer(response.headers_mut());
        *response.version_mut() = Version::default();
        (model, response)
    }
}

/// An LLM call that no provider could make sense of is answered here, in its own dialect.
fn check(request: &Request<Payload>) -> Option<Response<Body>> {
    let call = Call::of(request)?;
    match call.unreadable() {
        Some(Unreadable::TooLarge) => Some(answers::too_large(call.dialect())),
        Some(why @ (Unreadable::Syntax | Unreadable::Fields)) => {
            Some(answers::invalid(call.dialect(), why.to_string()))
        }
        None if call.model().is_none_or(str::is_empty) => Some(answers::invalid(
            call.dialect(),
            "the request names no model".to_owned(),
        )),
        _ => None,
    }
}

fn announced(request: &Request<Body>) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Whatever is not under `/v1/`.
pub(crate) async fn unknown(method: Method, uri: Uri) -> Response<Body> {
    tracing::info!(
        method = method.as_str(),
        path = uri.path(),
        status = 404,
        "answered"
    );
    answers::not_found()
}
