//! One request: read, written down, and answered as its behaviour says.

use std::{future, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    ask::Ask,
    behaviour::{Behaviour, Fault},
    body::{Cut, FakeBody},
    conn::Line,
    control,
    dialect::Dialect,
    failure::Failure,
    log::{Outcome, Received, Ticket},
    state::{State, credential},
    writing,
};

/// Longest request body: 16 MiB. A longer one gets a 413.
const MOST_REQUEST_BYTES: usize = 16 << 20;

/// What the list of models names.
const MODELS: [&str; 6] = [
    "fake-model",
    "throttled-2",
    "overloaded-1",
    "slow-50",
    "break-3",
    "err-0",
];

/// Answers a request; `Err` closes the connection without a head.
pub(crate) async fn answer(
    state: Arc<State>,
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<FakeBody>, Cut> {
    let (head, body) = request.into_parts();
    if let Some(response) = control::answer(&state, &head) {
        return Ok(response);
    }
    let body = Limited::new(body, MOST_REQUEST_BYTES)
        .collect()
        .await
        .map(|body| body.to_bytes());
    let bytes = body.as_ref().cloned().unwrap_or_default();
    let json: Option<Value> = serde_json::from_slice(&bytes).ok();
    let model = json.as_ref().and_then(|json| json["model"].as_str());
    let ticket = state.log.add(Received {
        number: 0,
        connection: line.number,
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers.clone(),
        body: bytes,
        model: model.map(str::to_owned),
        at: Instant::now(),
        status: None,
        outcome: Outcome::Open,
    });
    let route = Route::of(&head);
    let reply = Reply {
        dialect: route.dialect,
        number: state.number(),
        ticket,
    };
    match body {
        Ok(_) => {}
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(reply.failure(&Failure::status(413), &Behaviour::ok()));
        }
        // the upload broke off: the ticket says that the client is gone
        Err(_) => return Err(Cut),
    }
    match route.to {
        To::Models => Ok(reply.json(route.dialect.models(&MODELS))),
        To::Nowhere => {
            let what = format!("Unknown request URL: {} {}.", head.method, head.uri.path());
            Ok(reply.failure(&Failure::unknown_path(what), &Behaviour::ok()))
        }
        To::Wrong => Ok(reply.failure(&Failure::status(405), &Behaviour::ok())),
        To::Chat => {
            let behaviour = match state.choose(model.unwrap_or_default(), &head.headers) {
                Ok(behaviour) => behaviour,
                Err(error) => {
                    let failure = Failure::invalid(format!("x-fake: {error}"));
                    return Ok(reply.failure(&failure, &Behaviour::ok()));
                }
            };
            let allowed = [&state.key, &behaviour.key].into_iter().flatten();
            let given = credential(&head.headers);
            if !allowed.into_iter().all(|key| given == Some(key.0.as_str())) {
                return Ok(reply.failure(&Failure::missing_key(), &behaviour));
            }
            chat(reply, behaviour, json, &line).await
        }
    }
}

/// Where a request goes.
struct Route {
    dialect: Dialect,
    to: To,
}

enum To {
    Chat,
    Models,
    /// The path is known, the method is not.
    Wrong,
    Nowhere,
}

impl Route {
    fn of(head: &Parts) -> Self {
        let path = head.uri.path();
        let of_anthropic = head.headers.contains_key("anthropic-version");
        let told = if of_anthropic {
            Dialect::Anthropic
        } else {
            Dialect::OpenAi
        };
        let (dialect, method, to) = if path.ends_with("/chat/completions") {
            (Dialect::OpenAi, Method::POST, To::Chat)
        } else if path.ends_with("/v1/messages") {
            (Dialect::Anthropic, Method::POST, To::Chat)
        } else if path.ends_with("/models") {
            (told, Method::GET, To::Models)
        } else {
            return Self {
                dialect: told,
                to: To::Nowhere,
            };
        };
        Self {
            dialect,
            to: if head.method == method { to } else { To::Wrong },
        }
    }
}

async fn chat(
    mut reply: Reply,
    behaviour: Behaviour,
    json: Option<Value>,
    line: &Line,
) -> Result<Response<FakeBody>, Cut> {
    sleep(behaviour.pace.head).await;
    match &behaviour.fault {
        Some(Fault::Close) => {
            reply.ticket.settle(Outcome::Broken);
            return Err(Cut);
        }
        Some(Fault::Reset) => {
            reply.ticket.settle(Outcome::Broken);
            line.reset();
            return future::pending().await;
        }
        Some(Fault::Hang) => return future::pending().await,
        Some(Fault::Fail(failure)) => return Ok(reply.failure(failure, &behaviour)),
        Some(Fault::Body(..)) | None => {}
    }
    let json = json.ok_or_else(|| "The body is not valid JSON.".to_owned());
    match json.and_then(|json| reply.dialect.read(&json)) {
        Err(wrong) => Ok(reply.failure(&Failure::invalid(wrong), &behaviour)),
        Ok(ask) if ask.stream => Ok(reply.streamed(ask, behaviour)),
        Ok(ask) => Ok(reply.whole(ask, behaviour).await),
    }
}

/// An answer on its way.
struct Reply {
    dialect: Dialect,
    number: u64,
    ticket: Ticket,
}

impl Reply {
    fn failure(self, failure: &Failure, behaviour: &Behaviour) -> Response<FakeBody> {
        let (status, content_type, bytes) = self.dialect.failure(self.number, failure);
        let mut headers = HeaderMap::new();
        self.dialect.headers(self.number, false, &mut headers);
        failure
            .hints
            .iter()
            .for_each(|hint| hint.write(&mut headers));
        for (name, value) in &failure.headers {
            headers.append(name, value.clone());
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.ticket.status(status);
        let body = FakeBody::cut_into(self.ticket, behaviour.shape.segment, bytes);
        response(status, &content_type, headers, body)
    }

    fn json(self, json: String) -> Response<FakeBody> {
        let headers = self.healthy();
        let body = FakeBody::plain(self.ticket, json.into());
        response(StatusCode::OK, "application/json", headers, body)
    }

    fn healthy(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.dialect.headers(self.number, true, &mut headers);
        self.ticket.status(StatusCode::OK);
        headers
    }

    fn streamed(self, ask: Ask, behaviour: Behaviour) -> Response<FakeBody> {
        let headers = self.healthy();
        let answer = ask.answer(self.number, &behaviour);
        let (dialect, number, segment) = (self.dialect, self.number, behaviour.shape.segment);
        let body = FakeBody::new(self.ticket, None, segment, |writer| {
            writing::stream(writer, dialect, number, answer, behaviour)
        });
        response(
            StatusCode::OK,
            "text/event-stream; charset=utf-8",
            headers,
            body,
        )
    }

    async fn whole(self, ask: Ask, behaviour: Behaviour) -> Response<FakeBody> {
        let answer = ask.answer(self.number, &behaviour);
        let deltas = u32::try_from(answer.deltas()).unwrap_or(u32::MAX);
        sleep(behaviour.pace.think + behaviour.pace.delta.saturating_mul(deltas)).await;
        let headers = self.healthy();
        let json = self.dialect.json(&answer);
        let body = writing::whole(self.dialect, self.number, self.ticket, json, &behaviour);
        response(StatusCode::OK, "application/json", headers, body)
    }
}

pub(crate) fn response(
    status: StatusCode,
    content_type: &str,
    headers: HeaderMap,
    body: FakeBody,
) -> Response<FakeBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        // a header of the script wins
        response
            .headers_mut()
            .entry(header::CONTENT_TYPE)
            .or_insert(value);
    }
    response
}
