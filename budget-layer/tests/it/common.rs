//! What the tests share: calls, answers, and layers with a limit.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use budget_layer::{
    Amount, BudgetHandle, BudgetLayer, Limit, MemoryStore,
    store::{Claim, Edit, Grant, MemoryReservation, Reserved, Standing, Store, StoreError},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use llm_exchange::{Money, Purchase, User};
use serde_json::Value;

pub(crate) use testkit::{Answer, BoxError, Script, ScriptedBody};
pub(crate) use tower::{Layer, ServiceExt};

pub(crate) const NOW: Duration = Duration::ZERO;
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const DAY: &str = "user-day-tokens";

pub(crate) const HELLO: &str = "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"}}]}\n\n";
pub(crate) const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":50}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// A prompt that is counted at 8 tokens, and reserved for at 9.
pub(crate) const PROMPT: &str = r#""messages":[{"role":"user","content":"hi"}]"#;
pub(crate) const INPUT: u64 = 9;

pub(crate) fn chat(fields: &str) -> Request<Full<Bytes>> {
    let body = format!("{{\"model\":\"m\",{fields}{PROMPT}}}");
    post("https://api.example/v1/chat/completions", &body)
}

pub(crate) fn stream() -> Request<Full<Bytes>> {
    chat(r#""stream":true,"#)
}

/// Of Alice.
pub(crate) fn post(uri: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::post(uri)
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .header("authorization", "Bearer canary")
        .body(Full::from(body.to_owned()))
        .unwrap();
    request.extensions_mut().insert(User::new("alice"));
    request
}

pub(crate) fn of_user<B>(name: &str, mut request: Request<B>) -> Request<B> {
    request.extensions_mut().insert(User::new(name));
    request
}

/// 100 tokens in, 50 out.
pub(crate) fn answered() -> Answer {
    Answer::json(
        200,
        r#"{"model":"m","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":50}}"#,
    )
}

pub(crate) fn streamed() -> Answer {
    Answer::sse([HELLO, STOP, USAGE, DONE])
}

pub(crate) fn daily(tokens: u64) -> BudgetLayer {
    BudgetLayer::default().limit(Limit::per_user().daily().tokens(tokens))
}

/// $1 for a million tokens in, $10 out; of `free` nothing is known.
pub(crate) fn prices(purchase: &Purchase<'_>) -> Option<Money> {
    let times = if purchase.model == "dear" { 10 } else { 1 };
    let picos = purchase.usage.input() * 1_000_000 + purchase.usage.output() * 10_000_000;
    (purchase.model != "free").then(|| Money::from_picos((picos * times).into()))
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) async fn ask(layer: &BudgetLayer, answer: Answer, request: Request<Full<Bytes>>) -> u16 {
    let script = Script::new().then(answer);
    let response = layer.layer(script).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    text(response).await;
    status
}

/// Polls once.
pub(crate) async fn is_pending<F: Future>(mut call: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await
}

/// Runs a case of a property test in paused time.
pub(crate) fn in_paused_time(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(case);
}

/// What the provider was sent. The script collects bodies.
pub(crate) fn sent(script: &Script) -> Value {
    let seen = script.seen();
    let body = seen.last().unwrap().body.as_ref().unwrap();
    serde_json::from_slice(body).unwrap()
}

pub(crate) fn tokens(amount: Amount) -> u64 {
    match amount {
        Amount::Tokens(tokens) => tokens,
        other => panic!("{other:?}"),
    }
}

/// Used and reserved of Alice's tokens today.
pub(crate) async fn alice<S: Store>(handle: &BudgetHandle<S>) -> (u64, u64) {
    account(handle, DAY, "alice").await
}

pub(crate) async fn account<S: Store>(
    handle: &BudgetHandle<S>,
    limit: &str,
    owner: &str,
) -> (u64, u64) {
    let account = handle.account(limit, owner).await.unwrap();
    (tokens(account.used), tokens(account.reserved))
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// The memory store as if it were far away, or not there.
#[derive(Clone)]
pub(crate) struct Far {
    pub(crate) near: MemoryStore,
    pub(crate) takes: Duration,
    pub(crate) mood: Arc<Mood>,
}

#[derive(Default)]
pub(crate) struct Mood {
    pub(crate) is_away: Mutex<bool>,
    pub(crate) reserved: AtomicUsize,
    pub(crate) extended: AtomicUsize,
    pub(crate) settled: AtomicUsize,
}

impl Far {
    pub(crate) fn new(takes: Duration) -> Self {
        Self {
            near: MemoryStore::new(),
            takes,
            mood: Arc::default(),
        }
    }

    /// The answer comes later; who does not wait for it has reserved nothing.
    fn far<T: Send + 'static>(
        &self,
        answer: impl FnOnce(MemoryStore) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<T> {
        let this = self.clone();
        Box::pin(async move {
            tokio::time::sleep(this.takes).await;
            if *this.mood.is_away.lock().unwrap() {
                return Err(StoreError::new("away"));
            }
            answer(this.near)
        })
    }

    /// So often it was asked to reserve, to extend and to settle.
    pub(crate) fn asked(&self) -> (usize, usize, usize) {
        let Mood {
            reserved,
            extended,
            settled,
            ..
        } = &*self.mood;
        (
            reserved.load(Relaxed),
            extended.load(Relaxed),
            settled.load(Relaxed),
        )
    }
}

/// Reserved at the near store when the far one has answered.
#[derive(Clone)]
pub(crate) struct FarReservation(Arc<Mutex<Option<MemoryReservation>>>);

impl Store for Far {
    type Reservation = FarReservation;
    type Reserve = BoxFuture<Reserved<FarReservation>>;
    type Extend = BoxFuture<Reserved<()>>;
    type Read = BoxFuture<Vec<Standing>>;

    fn reserve(&self, claims: &[Claim]) -> Self::Reserve {
        self.mood.reserved.fetch_add(1, Relaxed);
        let claims = claims.to_vec();
        self.far(move |near| {
            let reserved = near.reserve(&claims).into_inner()?;
            Ok(match reserved {
                Reserved::Granted(grant) => Reserved::Granted(Grant {
                    reservation: FarReservation(Arc::new(Mutex::new(Some(grant.reservation)))),
                    share: grant.share,
                    standings: grant.standings,
                }),
                refused => match refused {
                    Reserved::Refused(refused) => Reserved::Refused(refused),
                    other => panic!("{other:?}"),
                },
            })
        })
    }

    fn extend(&self, reservation: &mut FarReservation, claims: &[Claim]) -> Self::Extend {
        self.mood.extended.fetch_add(1, Relaxed);
        let (reservation, claims) = (reservation.clone(), claims.to_vec());
        self.far(move |near| {
            let mut reservation = reservation.0.lock().unwrap();
            let reservation = reservation.as_mut().expect("it is not settled yet");
            near.extend(reservation, &claims).into_inner()
        })
    }

    fn settle(&self, reservation: FarReservation, used: &[u64]) {
        self.mood.settled.fetch_add(1, Relaxed);
        let reservation = reservation.0.lock().unwrap().take();
        self.near.settle(reservation.expect("once"), used);
    }

    fn charge(&self, claims: &[Claim]) {
        self.near.charge(claims);
    }

    fn read(&self, claims: &[Claim]) -> Self::Read {
        let answer = self.near.read(claims).into_inner();
        Box::pin(async move { answer })
    }

    fn edit(&self, claim: &Claim, edit: Edit) -> Self::Read {
        let answer = self.near.edit(claim, edit).into_inner();
        Box::pin(async move { answer })
    }
}
