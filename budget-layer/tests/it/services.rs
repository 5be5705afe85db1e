//! The layer as a tower service: readiness, auto traits, real bodies and sockets.

use std::{convert::Infallible, future::poll_fn};

use axum::{Router, body::Body, routing::post};
use budget_layer::*;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use llm_exchange::{Payload, User};
use testkit::Probe;
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_polled_ready_sends_the_call() {
    for far in [NOW, SECOND] {
        let inner = Probe::<_, BoxError>::new(Script::new().then_always(answered)).pending(2);
        let seen = inner.handle();
        let layer = BudgetLayer::new(Far::new(far)).limit(Limit::per_user().daily().tokens(9_000));
        let service = layer.layer(inner);
        for _ in 0..3 {
            text(service.clone().oneshot(chat("")).await.unwrap()).await;
        }
        assert_eq!((seen.grants(), seen.calls(), seen.unused()), (3, 3, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_ready_once_or_never_or_fails_is_taken_as_it_is() {
    let once = Probe::<_, BoxError>::new(Script::new().then_always(answered)).ready_times(1);
    let mut service = daily(9_000).layer(once);
    poll_fn(|cx| Service::<Request<Full<Bytes>>>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    let call = service.call(chat(""));
    let sibling = tokio::time::timeout(SECOND, service.clone().oneshot(chat("")));
    assert!(sibling.await.is_err(), "it was ready for one call");
    assert_eq!(call.await.unwrap().status(), 200);

    let failing = Probe::<_, BoxError>::new(Script::new()).fail_ready("down");
    let error = daily(9_000)
        .layer(failing)
        .oneshot(chat(""))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "down");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_is_handed_on_as_it_is() {
    let script = Script::new().then(Answer::error("reset"));
    let error = daily(9_000)
        .layer(script)
        .oneshot(chat(""))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "reset");
}

fn all<T: Send + Sync + Unpin + 'static>() {}
fn spawnable<T: Send + 'static>() {}

#[test]
fn public_types_are_send_sync_and_unpin() {
    all::<Account>();
    all::<Amount>();
    all::<BudgetBody<Full<Bytes>>>();
    all::<BudgetError>();
    all::<BudgetHandle>();
    all::<BudgetLayer>();
    all::<BudgetStats>();
    all::<Budgeted<Script>>();
    all::<Limit>();
    all::<LimitFor>();
    all::<OverBudget>();
    all::<Window>();
    all::<Zone>();
    spawnable::<BudgetFuture<Script, ScriptedBody, MemoryStore>>();
    let _: Option<Box<dyn TokenCounter>> = None;
}

async fn provider(_: Request<Body>) -> Response<Body> {
    let chunks = [HELLO, STOP, USAGE, DONE].map(|event| Ok::<_, Infallible>(Bytes::from(event)));
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(futures_util::stream::iter(chunks)))
        .unwrap()
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// axum in front, hyper's client behind, both over sockets.
#[tokio::test]
async fn over_real_connections_a_stream_is_charged_and_a_refusal_has_its_body() {
    let path = "/v1/chat/completions";
    let upstream = serve(Router::new().route(path, post(provider))).await;
    let client: Client<HttpConnector, Payload> = Client::builder(TokioExecutor::new()).build_http();
    let budget = daily(1_300).user(|parts| {
        let name = parts.headers.get("x-user")?.to_str().ok()?;
        Some(User::new(name))
    });
    let handle = budget.handle();
    let stack = ServiceBuilder::new()
        .layer(budget)
        .map_request(move |mut request: Request<Payload>| {
            *request.uri_mut() = format!("{upstream}{path}").parse().unwrap();
            request.headers_mut().remove("host");
            request
        })
        .service(client);
    let app = Router::new().route(
        path,
        post(move |request: Request<Body>| {
            let stack = stack.clone();
            async move { stack.oneshot(request).await.unwrap().map(Body::new) }
        }),
    );
    let gateway = serve(app).await;
    let caller: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let ask = async || {
        let request = Request::post(format!("{gateway}{path}"))
            .header("content-type", "application/json")
            .header("x-user", "alice")
            .body(Full::from(format!(
                "{{\"model\":\"m\",\"stream\":true,{PROMPT}}}"
            )))
            .unwrap();
        let response = caller.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    for call in 1..=7 {
        assert_eq!(ask().await, (200, [HELLO, STOP, DONE].concat()), "{call}");
        // the server has settled before the caller has read the end, or will at once
        while alice(&handle).await.1 > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(alice(&handle).await.0, 150 * call);
    }
    let (status, body) = ask().await;
    assert_eq!(status, 429);
    assert!(body.contains("\"code\":\"budget_exceeded\""), "{body}");
}
