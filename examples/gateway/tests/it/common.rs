//! A gateway in front of a fake provider, and a client.

use std::time::Duration;

use bytes::Bytes;
use fake_provider::FakeProvider;
use gateway::{Config, Gateway};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) fake: FakeProvider,
    pub(crate) gateway: Gateway,
    pub(crate) client: Client<HttpConnector, Full<Bytes>>,
}

const RETRY: &str = "[retry]\ninitial_delay = \"1ms\"";

impl World {
    /// Callers bring their own keys.
    pub(crate) async fn new() -> Self {
        Self::with("", |_| None).await
    }

    /// With more lines for the provider's section.
    pub(crate) async fn with(lines: &str, environment: fn(&str) -> Option<String>) -> Self {
        let fake = FakeProvider::start().await.unwrap();
        let text = format!(
            "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"fake\"\nbase_url = \"{}\"\n\
             dialect = \"openai\"\n{lines}\n{RETRY}",
            fake.url()
        );
        let config = Config::parse(&text, None, environment).unwrap();
        let gateway = Gateway::start(config).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            fake,
            gateway,
            client,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.address())
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        Request::post(self.url(path))
            .header("content-type", "application/json")
            .header("authorization", "Bearer sk-caller")
            .body(Full::new(body.into()))
            .unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        within(self.client.request(request)).await.unwrap()
    }

    pub(crate) async fn chat(&self, model: &str, stream: bool) -> Response<Incoming> {
        self.send(self.post("/v1/chat/completions", chat(model, stream)))
            .await
    }
}

pub(crate) fn chat(model: &str, stream: bool) -> String {
    json!({
        "model": model,
        "stream": stream,
        "messages": [{"role": "user", "content": "one two three four"}],
    })
    .to_string()
}

pub(crate) fn messages(model: &str, stream: bool) -> String {
    json!({
        "model": model,
        "max_tokens": 64,
        "stream": stream,
        "messages": [{"role": "user", "content": "one two three four"}],
    })
    .to_string()
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let bytes = within(response.into_body().collect())
        .await
        .unwrap()
        .to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) async fn json(response: Response<Incoming>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("within 30 s")
}
