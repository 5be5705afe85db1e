//! A gateway in front of a fake provider, and callers.

use std::time::Duration;

use bytes::Bytes;
use fake_provider::FakeProvider;
use gateway::{Config, Gateway};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The key that the environment has, and no caller.
pub(crate) const OUR_KEY: &str = "sk-ours-4711";

/// The callers' keys.
pub(crate) const GATEWAY_KEYS: &str = "alice=sk-a-4711,bob=sk-b-4711,bob=sk-b/new+";

pub(crate) struct House {
    pub(crate) fake: FakeProvider,
    pub(crate) gateway: Gateway,
    pub(crate) caller: Client<HttpConnector, Full<Bytes>>,
}

/// Retries are on.
pub(crate) async fn house() -> House {
    house_with("", "[retry]").await
}

/// With these lines in the provider's section, and these sections.
pub(crate) async fn house_with(of_provider: &str, sections: &str) -> House {
    let fake = FakeProvider::start().await.unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"fake\"\nbase_url = \"{}\"\n{of_provider}\n{sections}\n",
        fake.url()
    );
    House {
        fake,
        gateway: start(&text).await,
        caller: Client::builder(TokioExecutor::new()).build_http(),
    }
}

pub(crate) async fn start(text: &str) -> Gateway {
    Gateway::start(config(text)).await.unwrap()
}

pub(crate) fn config(text: &str) -> Config {
    let env = |name: &str| match name {
        "OUR_KEY" => Some(OUR_KEY.into()),
        "GATEWAY_KEYS" => Some(GATEWAY_KEYS.into()),
        _ => None,
    };
    Config::from_toml(text, env).unwrap()
}

pub(crate) fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "one two three"}]})
}

pub(crate) fn streamed(model: &str) -> Value {
    let mut chat = chat(model);
    chat["stream"] = true.into();
    chat["max_tokens"] = 99.into();
    chat
}

impl House {
    pub(crate) fn post(&self, path: &str, body: impl ToString) -> Request<Full<Bytes>> {
        Request::post(format!("{}{path}", self.gateway.url()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, "Bearer sk-caller")
            .body(Full::from(body.to_string()))
            .unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.caller.request(request).await.unwrap()
    }

    /// The whole answer.
    pub(crate) async fn ask(&self, path: &str, body: impl ToString) -> Answer {
        Answer::of(self.send(self.post(path, body)).await).await
    }

    pub(crate) async fn method(&self, method: Method, path: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.gateway.url()))
            .body(Full::default())
            .unwrap();
        Answer::of(self.send(request).await).await
    }

    /// What operators see under this path.
    pub(crate) async fn look(&self, path: &str) -> Value {
        let request = Request::get(format!("{}{path}", self.gateway.admin_url()));
        let request = request.body(Full::default()).unwrap();
        let answer = Answer::of(self.send(request).await).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// A connection on which a test writes what it likes.
    pub(crate) async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.gateway.addr()).await.unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Self {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.into()).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Writes, and reads what comes until the connection is closed.
pub(crate) async fn exchange(mut tcp: TcpStream, bytes: &[u8]) -> String {
    tcp.write_all(bytes).await.unwrap();
    until_closed(&mut tcp).await
}

pub(crate) async fn until_closed(tcp: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // a reset ends it too
    let _ = tcp.read_to_end(&mut all).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until this text is there.
pub(crate) async fn read_until(tcp: &mut TcpStream, text: &str) -> String {
    let mut all = String::new();
    while !all.contains(text) {
        let mut piece = [0; 4096];
        let read = tcp.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "closed after {all:?}");
        all.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    all
}

/// A provider that answers, with this status and `{}`, as soon as it has read so many bytes; it
/// reads on after that. Returns its address.
pub(crate) async fn reader(answers_after: usize, status: u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut piece = vec![0; 1 << 16];
                let mut read = 0;
                while read < answers_after {
                    match tcp.read(&mut piece).await {
                        Ok(0) | Err(_) => return,
                        Ok(more) => read += more,
                    }
                }
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\n{{}}");
                let _ = tcp.write_all(head.as_bytes()).await;
                let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
            });
        }
    });
    url
}

/// A gateway in front of one provider, with retries.
pub(crate) async fn in_front_of(url: &str) -> Gateway {
    start(&format!(
        "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"p\"\nbase_url = \"{url}\"\n[retry]"
    ))
    .await
}
