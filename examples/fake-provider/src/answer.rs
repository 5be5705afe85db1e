//! One request: read, written down, and answered as its behaviour says.

use std::{future, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    ask::Ask,
    behaviour::{Behaviour, Fault},
    body::{Cut, FakeBody},
    conn::Line,
    control,
    dialect::{self, Dialect},
    failure::Failure,
    grpc::{self, GrpcBody},
    log::{Outcome, Received, Ticket},
    route::{Route, To},
    state::{State, credential},
    writing,
};

/// The body of any answer.
pub(crate) type AnyBody = Either<FakeBody, GrpcBody>;

/// Longest request body: 16 MiB. A longer one gets a 413.
const MOST_REQUEST_BYTES: usize = 16 << 20;
/// So much more is read of it, so that the client gets to see its 413: 256 MiB.
const MOST_DISCARDED_BYTES: usize = 256 << 20;

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
) -> Result<Response<AnyBody>, Cut> {
    let (head, mut upload) = request.into_parts();
    if let Some(response) = control::answer(&state, &head) {
        return Ok(response.map(Either::Left));
    }
    let mut limited = Limited::new(&mut upload, MOST_REQUEST_BYTES);
    let (body, rest) = if grpc::goes_both_ways(&head) {
        (grpc::first_message(&mut limited).await, Some(upload))
    } else {
        let body = limited.collect().await.map(|body| body.to_bytes());
        discard(upload).await;
        (body, None)
    };
    let bytes = body.as_ref().cloned().unwrap_or_default();
    let call = grpc::Call::of(&head, &bytes, rest);
    let route = Route::of(&head);
    let json: Option<Value> = serde_json::from_slice(&bytes).ok();
    let of_body = || json.as_ref().and_then(|json| json["model"].as_str());
    let model = match &call {
        Some(call) => Some(call.model()),
        None => route.model.as_deref().or_else(of_body),
    };
    let model = model.map(str::to_owned);
    let ticket = state.log.add(Received {
        number: 0,
        connection: line.number,
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers.clone(),
        body: bytes,
        model: model.clone(),
        at: Instant::now(),
        status: None,
        outcome: Outcome::Open,
    });
    let mut reply = Reply {
        dialect: route.dialect,
        number: state.number(),
        ticket,
    };
    match body {
        Ok(_) => {}
        Err(error) if error.is::<LengthLimitError>() => {
            let failure = Failure::status(413);
            return Ok(reply.failure(&failure, &Behaviour::ok()).map(Either::Left));
        }
        // the upload broke off: the ticket says that the client is gone
        Err(_) => return Err(Cut),
    }
    let chosen = || {
        let behaviour = state
            .choose(model.as_deref().unwrap_or_default(), &head.headers)
            .map_err(|error| Box::new(Failure::invalid(format!("x-fake: {error}"))))?;
        let allowed = [&state.key, &behaviour.key].into_iter().flatten();
        let given = credential(&head.headers);
        if allowed.into_iter().all(|key| given == Some(key.0.as_str())) {
            Ok(behaviour)
        } else {
            Err(Box::new(Failure::missing_key()))
        }
    };
    if let Some(call) = call {
        let behaviour = chosen().unwrap_or_else(|failure| Behaviour::fails(*failure));
        reply.before_the_head(&behaviour, &line).await?;
        let response = grpc::answer(call, reply.number, behaviour, reply.ticket).await;
        return Ok(response.map(Either::Right));
    }
    let response = match route.to {
        To::Models => reply.json(route.dialect.models(&MODELS)),
        To::Nowhere => {
            let what = format!("Unknown request URL: {} {}.", head.method, head.uri.path());
            reply.failure(&Failure::unknown_path(what), &Behaviour::ok())
        }
        To::Wrong => reply.failure(&Failure::status(405), &Behaviour::ok()),
        To::Call => match chosen() {
            Err(failure) => reply.failure(&failure, &Behaviour::ok()),
            Ok(behaviour) => {
                reply.before_the_head(&behaviour, &line).await?;
                reply.call(&route, behaviour, json).await
            }
        },
    };
    Ok(response.map(Either::Left))
}

/// Reads what is left. A connection that is closed with something unread is reset, and takes the
/// answer with it.
async fn discard(mut upload: Incoming) {
    let mut left = MOST_DISCARDED_BYTES;
    while let Some(Ok(frame)) = upload.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// An answer on its way.
struct Reply {
    dialect: Dialect,
    number: u64,
    ticket: Ticket,
}

impl Reply {
    /// Waits as long as the head is to take, or for ever; closes the connection if that is asked for.
    async fn before_the_head(&mut self, behaviour: &Behaviour, line: &Line) -> Result<(), Cut> {
        sleep(behaviour.pace.head).await;
        match &behaviour.fault {
            Some(Fault::Close) => {
                self.ticket.settle(Outcome::Broken);
                Err(Cut)
            }
            Some(Fault::Reset) => {
                self.ticket.settle(Outcome::Broken);
                line.reset();
                future::pending().await
            }
            Some(Fault::Hang) => future::pending().await,
            Some(Fault::Fail(_) | Fault::Body(..)) | None => Ok(()),
        }
    }

    async fn call(
        self,
        route: &Route,
        behaviour: Behaviour,
        json: Option<Value>,
    ) -> Response<FakeBody> {
        if let Some(Fault::Fail(failure)) = &behaviour.fault {
            return self.failure(failure, &behaviour);
        }
        let json = json.ok_or_else(|| "The body is not valid JSON.".to_owned());
        match json.and_then(|json| self.dialect.read(route, &json)) {
            Err(wrong) => self.failure(&Failure::invalid(wrong), &behaviour),
            Ok(ask) if ask.stream => self.streamed(route, ask, behaviour),
            Ok(ask) => self.whole(ask, behaviour).await,
        }
    }

    fn failure(self, failure: &Failure, behaviour: &Behaviour) -> Response<FakeBody> {
        let shape = &behaviour.shape;
        let (status, mut headers, content_type, bytes) =
            dialect::failure(self.dialect, self.number, failure, shape);
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

    fn streamed(self, route: &Route, ask: Ask, behaviour: Behaviour) -> Response<FakeBody> {
        let headers = self.healthy();
        let answer = ask.answer(self.number, &behaviour);
        let (dialect, number, segment) = (self.dialect, self.number, behaviour.shape.segment);
        let body = FakeBody::new(self.ticket, None, segment, |writer| {
            writing::stream(writer, dialect, number, answer, behaviour)
        });
        response(StatusCode::OK, dialect.stream_type(route), headers, body)
    }

    async fn whole(self, ask: Ask, behaviour: Behaviour) -> Response<FakeBody> {
        let answer = ask.answer(self.number, &behaviour);
        let deltas = u32::try_from(answer.deltas()).unwrap_or(u32::MAX);
        let pause = behaviour.pace.think + behaviour.pace.delta.saturating_mul(deltas);
        let blank = answer.server.before_json();
        if blank.is_empty() {
            sleep(pause).await;
        }
        let headers = self.healthy();
        let json = self.dialect.json(&answer);
        let body = writing::whole(
            self.dialect,
            self.number,
            self.ticket,
            json,
            &behaviour,
            (blank, pause),
        );
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
