//! What the tests share.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use cost_layer::{
    CostHandle, CostLayer, Entry, Ledger, LedgerError, LedgerFuture, MemoryLedger, Order, Page,
    Prices, Query, Record, Span, Spend,
};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};

pub(crate) use testkit::{Answer, BoxError, Script, ScriptedBody};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const OPENAI: &str =
    r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const STREAM: &str =
    r#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
pub(crate) const HELLO: &str = "data: {\"model\":\"gpt-6-sol-2026-09-22\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"}}]}\n\n";
pub(crate) const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":100}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

pub(crate) fn post(body: &str) -> Request<Full<Bytes>> {
    Request::post("https://user:canary@api.openai.com/v1/chat/completions?key=canary")
        .header("content-type", "application/json")
        .header("authorization", "Bearer canary")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// 1,000 prompt tokens at $2 and 100 generated at $10, for a million: 3,000 micro-dollars.
pub(crate) fn answered() -> Answer {
    Answer::json(
        200,
        r#"{"id":"chatcmpl-1","model":"gpt-6-sol-2026-09-22","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}"#,
    )
    .header("x-request-id", "req_1")
}

pub(crate) const COST: u128 = 3_000_000_000;

pub(crate) fn layer() -> CostLayer {
    CostLayer::new(Prices::builtin())
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// All that was booked, the earliest first.
pub(crate) async fn entries(handle: &CostHandle) -> Vec<Entry> {
    let page = Page::new(Span::all(), Order::Oldest).most(100_000);
    handle.entries(&page).await.unwrap()
}

/// The one record that was booked.
pub(crate) async fn only(handle: &CostHandle) -> Entry {
    let mut all = entries(handle).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A ledger that can be away, slow, or refuse.
#[derive(Clone, Default)]
pub(crate) struct Moody(Arc<Mood>);

#[derive(Default)]
struct Mood {
    kept: MemoryLedger,
    answers: Mutex<Vec<Answers>>,
    batches: Mutex<Vec<usize>>,
}

#[derive(Clone, Copy)]
pub(crate) enum Answers {
    Away,
    Hangs,
    /// Keeps the records, and says that it did not.
    Lies,
}

impl Moody {
    /// What it does with the next batches, the last first.
    pub(crate) fn is(self, answers: &[Answers]) -> Self {
        *self.0.answers.lock().unwrap() = answers.to_vec();
        self
    }

    pub(crate) fn recover(&self) {
        self.0.answers.lock().unwrap().clear();
    }

    pub(crate) fn batches(&self) -> Vec<usize> {
        self.0.batches.lock().unwrap().clone()
    }
}

impl Ledger for Moody {
    fn append<'a>(&'a self, records: &'a [Arc<Record>]) -> LedgerFuture<'a, ()> {
        let answer = self.0.answers.lock().unwrap().pop();
        let refused = records
            .iter()
            .any(|record| &*record.call.model == "refused");
        Box::pin(async move {
            match answer {
                Some(Answers::Away) => Err(LedgerError::temporary("away")),
                Some(Answers::Hangs) => std::future::pending().await,
                _ if refused => Err(LedgerError::permanent("no")),
                Some(Answers::Lies) => {
                    self.0.kept.append(records).await?;
                    Err(LedgerError::temporary("the connection broke"))
                }
                None => {
                    self.0.batches.lock().unwrap().push(records.len());
                    self.0.kept.append(records).await
                }
            }
        })
    }

    fn spend<'a>(&'a self, query: &'a Query) -> LedgerFuture<'a, Vec<Spend>> {
        self.0.kept.spend(query)
    }

    fn entries<'a>(&'a self, page: &'a Page) -> LedgerFuture<'a, Vec<Entry>> {
        self.0.kept.entries(page)
    }
}
