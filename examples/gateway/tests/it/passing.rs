//! What goes upstream, and what does not.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use crate::common::*;

#[tokio::test]
async fn the_callers_own_key_passes_through_if_we_have_none() {
    let world = World::new().await;
    world.chat("gpt-4o", false).await;
    assert_eq!(
        world.fake.log()[0].headers["authorization"],
        "Bearer sk-caller"
    );
}

#[tokio::test]
async fn our_key_takes_the_place_of_the_callers() {
    let world = World::with("api_key_env = \"KEY\"", |_| Some("sk-ours".into())).await;
    let mut request = world.post("/v1/chat/completions?key=secret&a=1", chat("gpt-4o", false));
    request
        .headers_mut()
        .insert("x-api-key", "caller".parse().unwrap());
    world.send(request).await;
    let call = &world.fake.log()[0];
    assert_eq!(call.headers["authorization"], "Bearer sk-ours");
    assert!(!call.headers.contains_key("x-api-key"));
    assert_eq!(call.query.as_deref(), Some("a=1"));
}

#[tokio::test]
async fn cookies_and_what_is_between_neighbours_stays_here() {
    let world = World::new().await;
    let mut request = world.post("/v1/chat/completions", chat("gpt-4o", false));
    for (name, value) in [
        ("cookie", "session=1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("proxy-authorization", "Basic x"),
        ("te", "trailers"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("x-kept", "1"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    world.send(request).await;
    let headers = &world.fake.log()[0].headers;
    for name in [
        "cookie",
        "x-forwarded-for",
        "proxy-authorization",
        "te",
        "x-hop",
    ] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(headers["x-kept"], "1");
    assert_eq!(headers["host"], world.fake.addr().to_string().as_str());
}

#[tokio::test]
async fn the_body_goes_upstream_byte_for_byte() {
    let world = World::new().await;
    let body = "{ \"model\" : \"gpt-4o\",\n\t\"messages\":[{\"role\":\"user\",\"content\":\"\u{e9}\\u00e9\"}], \"x\":1.0e1 }";
    world.send(world.post("/v1/chat/completions", body)).await;
    assert_eq!(world.fake.log()[0].body, body);
}

#[tokio::test]
async fn other_paths_and_methods_under_v1_pass_through() {
    let world = World::new().await;
    let get = Request::get(world.url("/v1/models"))
        .body(Full::default())
        .unwrap();
    assert!(json(world.send(get).await).await["data"].is_array());
    for method in [Method::OPTIONS, Method::DELETE, Method::HEAD] {
        let mut request = world.post("/v1/unknown/thing", "");
        *request.method_mut() = method.clone();
        let response = world.send(request).await;
        assert_eq!(world.fake.log().last().unwrap().method, method);
        assert!(!response.headers().contains_key("x-llm-attempts"));
    }
}

#[tokio::test]
async fn a_large_upload_that_is_no_llm_call_streams_through() {
    let world = World::new().await;
    let mut request = world.post("/v1/files", vec![b'x'; 6 << 20]);
    request
        .headers_mut()
        .insert("content-type", "application/octet-stream".parse().unwrap());
    let response = world.send(request).await;
    // the fake knows no files; what counts is that it was asked
    assert_eq!(response.status(), 404);
    assert_eq!(world.fake.log()[0].path, "/v1/files");
}

#[tokio::test]
async fn a_client_that_speaks_http_2_at_once_is_served() {
    let world = World::new().await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let request = world.post("/v1/chat/completions", chat("gpt-4o", true));
    let response = within(client.request(request)).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert!(text(response).await.ends_with("data: [DONE]\n\n"));
}
