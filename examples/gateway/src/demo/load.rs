//! A few calls a second, so that there is something to see.

use std::time::Duration;

use bytes::Bytes;
use fake_provider::{Behaviour, Failure, FakeProvider, Hint, Script};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

/// Calls that are under way at a time.
const MOST: usize = 32;

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const QUESTIONS: [&str; 4] = [
    "Which fruit is sour?",
    "Name a river of Asia, and a city on it.",
    "How many legs has a spider?",
    "What is the capital of Peru, and how high does it lie?",
];

/// How the models of the demo behave: one is well, one is often throttled, one is down for a while
/// again and again, and its streams break.
pub(super) fn script(fake: &FakeProvider) {
    let words = |time| {
        Behaviour::ok()
            .think(Duration::from_millis(time))
            .delta_delay(Duration::from_millis(25))
    };
    // a refusal takes its time as well
    let no = |behaviour: Behaviour| behaviour.head_delay(Duration::from_millis(80));
    fake.on("gpt-5.4", Script::new().then(words(220)));
    fake.on("claude-haiku-4-5", Script::new().then(words(350)));
    let often = Script::new()
        .times(1, no(Behaviour::throttled(Hint::RetryAfterMs(600))))
        .times(3, words(90))
        .start_over();
    fake.on("gpt-5.4-mini", often);
    // as many failures in a row as open its circuit, and well for so long then that it is not open for
    // twice the time when that comes again
    let breaks = || words(500).error_like(2, Failure::overloaded());
    let down = Script::new()
        .times(5, no(Behaviour::fails(Failure::overloaded())))
        .times(3, words(500))
        .times(1, breaks())
        .times(20, words(500))
        .times(1, breaks())
        .times(40, words(500))
        .start_over();
    fake.on("gpt-5.5", down);
}

/// Calls until it is dropped.
pub(super) async fn run(gateway: String) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut calls = JoinSet::new();
    loop {
        sleep(Duration::from_millis(fastrand::u64(120..600))).await;
        while calls.try_join_next().is_some() {}
        if calls.len() == MOST {
            continue;
        }
        let (path, body) = ask();
        let request = Request::post(format!("{gateway}{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-user-id", USERS[fastrand::usize(..USERS.len())])
            .body(Full::from(body.to_string()));
        let Ok(request) = request else { continue };
        let sent = client.request(request);
        calls.spawn(async move {
            // whatever comes of it is on the dashboard
            let Ok(response) = sent.await else { return };
            let mut body = response.into_body();
            // some callers lose patience
            let mut patience = fastrand::u32(0..60);
            while let Some(Ok(_)) = body.frame().await {
                match patience.checked_sub(1) {
                    Some(left) => patience = left,
                    None => return,
                }
            }
        });
    }
}

fn ask() -> (&'static str, Value) {
    const CHAT: &str = "/v1/chat/completions";
    let question = QUESTIONS[fastrand::usize(..QUESTIONS.len())];
    let messages = json!([{"role": "user", "content": question}]);
    match fastrand::u8(..11) {
        0..=2 => (CHAT, json!({"model": "gpt-5.4", "messages": messages})),
        // the same question again, for the cache
        3..=4 => (
            CHAT,
            json!({"model": "gpt-5.4", "temperature": 0, "messages": messages}),
        ),
        5 => (
            CHAT,
            json!({"model": "gpt-5.4-mini", "stream": true, "messages": messages}),
        ),
        6 => (CHAT, json!({"model": "gpt-5.4-mini", "messages": messages})),
        7..=8 => (
            "/v1/messages",
            json!({"model": "claude-haiku-4-5", "max_tokens": 200, "stream": true, "messages": messages}),
        ),
        _ => (
            CHAT,
            json!({"model": "gpt-5.5", "stream": true, "messages": messages}),
        ),
    }
}
