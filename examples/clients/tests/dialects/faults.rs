//! Throttled, failed in the stream, cut: for every row.

use std::time::Duration;

use fake_provider::{At, Behaviour, Failure, FakeProvider, Hint, Outcome};
use futures_util::{TryStreamExt, future::join_all};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use llm_exchange::{
    Call, Cut, Delay, Dialect, End, Meter, Payload, Peeked, ProviderError, Verdict,
    stream::DeltaKind,
};
use retry_layer::{Backoff, Retried, RetryLayer};
use sse_layer::{SseLayer, StreamTimeoutLayer, client::deltas};
use tower::{Layer, ServiceExt};

use crate::{
    common::within,
    table::{Row, rows, unstreamed},
};

fn client(row: &Row) -> Client<HttpConnector, Payload> {
    Client::builder(TokioExecutor::new())
        .http2_only(row.dialect.is_grpc())
        .build_http()
}

fn retries() -> RetryLayer {
    let backoff = Backoff::new().initial(Duration::from_millis(1));
    RetryLayer::new().backoff(backoff.jitter(0.0).unwrap())
}

/// How a stream was read.
#[derive(Debug)]
struct Read {
    said: String,
    thought: String,
    /// Input and output, as the provider counts them.
    usage: Option<(u64, u64)>,
    /// The error that it ends in.
    error: Option<String>,
    attempts: u32,
    end: Option<End>,
    verdict: Verdict,
}

/// The code, else the type, else the text.
fn name(error: &ProviderError) -> String {
    let name = error.code().or(error.kind()).or(error.message());
    name.unwrap_or_default().to_owned()
}

async fn read(row: &Row, fake: &FakeProvider) -> Read {
    read_within(row, fake, StreamTimeoutLayer::new()).await
}

async fn read_within(row: &Row, fake: &FakeProvider, clocks: StreamTimeoutLayer) -> Read {
    let stack = SseLayer::new().layer(retries().layer(clocks.layer(client(row))));
    let response = within(stack.oneshot(row.request(fake))).await.unwrap();
    assert_eq!(response.status(), 200, "{}", row.name);
    let meter = Meter::of(&response).unwrap().clone();
    let attempts = Retried::of(&response).map_or(1, |retried| retried.attempts);
    let mut deltas = deltas(response, row.dialect).unwrap();
    let (mut said, mut thought) = (String::new(), String::new());
    let error = loop {
        match within(deltas.try_next()).await {
            Ok(Some(delta)) if delta.kind == DeltaKind::Reasoning => thought.push_str(&delta.text),
            Ok(Some(delta)) => said.push_str(&delta.text),
            Ok(None) => break None,
            Err(error) => break Some(error.provider_error().map(name).unwrap_or_default()),
        }
    };
    let usage = deltas.usage().map(|usage| (usage.input(), usage.output()));
    Read {
        said,
        thought,
        usage,
        error,
        attempts,
        end: meter.end(),
        verdict: meter.verdict(),
    }
}

/// All streamed rows at once, as each waits for its own pauses.
async fn of_each(check: impl AsyncFn(Row)) {
    join_all(rows().into_iter().map(|row| check(row))).await;
}

#[tokio::test]
async fn what_is_not_streamed_is_asked_for_again_and_is_whole() {
    let all = unstreamed().into_iter().map(async |row| {
        let throttled = Behaviour::fails(Failure::rate_limited());
        let failed = Behaviour::ok().error_at(At::First);
        let fake = row.provider([throttled, failed, Behaviour::ok()]).await;
        let request = Payload::read(row.request(&fake), Payload::DEFAULT_MAX_BYTES).await;
        let call = Call::of(&request).unwrap().clone();
        let stack = retries().layer(client(&row));
        let answer = within(stack.oneshot(request)).await.unwrap();
        let attempts = Retried::of(&answer).map(|retried| retried.attempts);
        assert_eq!(
            (answer.status().as_u16(), attempts),
            (200, Some(3)),
            "{}",
            row.name
        );
        let (meter, answer) = Meter::attach(answer, &call);
        let body = within(answer.into_body().collect())
            .await
            .unwrap()
            .to_bytes();
        assert!(!body.is_empty(), "{}", row.name);
        assert_eq!(
            (meter.end(), meter.verdict()),
            (Some(End::Complete), Verdict::Ok),
            "{}",
            row.name
        );
        let usage = meter.usage().map(|usage| (usage.input(), usage.output()));
        let counted = match row.dialect {
            // of tensors nobody knows
            Dialect::KServeGrpc => None,
            Dialect::OpenAiEmbeddings => Some((3, 0)),
            _ => Some((3, 4)),
        };
        assert_eq!(usage, counted, "{}", row.name);
    });
    join_all(all).await;
}

#[tokio::test]
async fn a_healthy_stream_says_its_words_and_each_token_is_counted_once() {
    of_each(async |row| {
        let thoughts = usize::from(row.thinks);
        let fake = row.provider([Behaviour::ok().reasoning(thoughts)]).await;
        let read = read(&row, &fake).await;
        assert_eq!(read.said, "echo: one two three", "{}", row.name);
        assert_eq!(!read.thought.is_empty(), row.thinks, "{}", row.name);
        let output = if row.thinks { 5 } else { 4 };
        assert_eq!(read.usage, Some((3, output)), "{}", row.name);
        assert_eq!(read.error, None, "{}", row.name);
        let ended = (read.attempts, read.end, read.verdict);
        assert_eq!(ended, (1, Some(End::Complete), Verdict::Ok), "{}", row.name);
    })
    .await;
}

#[tokio::test]
async fn a_throttled_answer_says_so_and_is_asked_for_again_after_its_delay() {
    of_each(async |row| {
        let hint = if row.dialect.is_grpc() {
            Hint::Pushback("7".into())
        } else {
            Hint::RetryAfterMs(7)
        };
        let throttled = Behaviour::throttled(hint);
        let fake = row.provider([throttled.clone()]).await;
        let once = retries().max_retries(0).layer(client(&row));
        let answer = within(once.oneshot(row.request(&fake))).await.unwrap();
        let peeked = answer.extensions().get::<Peeked>().unwrap();
        let error = peeked.error().map(name);
        let (code, verdict) = row.throttled;
        assert_eq!(error.as_deref(), Some(code), "{}", row.name);
        assert_eq!(peeked.verdict(), verdict, "{}", row.name);
        let delay = Some(Delay::Asked(Duration::from_millis(7)));
        assert_eq!(peeked.hints().delay(), delay, "{}", row.name);

        let fake = row
            .provider([throttled.clone(), throttled, Behaviour::ok()])
            .await;
        let read = read(&row, &fake).await;
        assert_eq!(read.said, "echo: one two three", "{}", row.name);
        assert_eq!((read.attempts, read.error), (3, None), "{}", row.name);
    })
    .await;
}

#[tokio::test]
async fn what_goes_wrong_before_the_first_word_is_not_seen() {
    of_each(async |row| {
        for (what, fault) in [
            ("an error at once", Behaviour::ok().error_at(At::First)),
            (
                "an error after the opening",
                Behaviour::ok().error_at(At::Opened),
            ),
            ("cut at once", Behaviour::ok().break_at(At::First)),
            (
                "cut after the opening",
                Behaviour::ok().break_at(At::Opened),
            ),
            ("an early end", Behaviour::ok().end_at(At::Opened)),
        ] {
            let fake = row.provider([fault, Behaviour::ok()]).await;
            let read = read(&row, &fake).await;
            let seen = (&*read.said, read.error, read.attempts);
            assert_eq!(
                seen,
                ("echo: one two three", None, 2),
                "{}: {what}",
                row.name
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_goes_wrong_after_it_is_told_in_the_form_of_its_dialect() {
    of_each(async |row| {
        let (broken, truncated) = row.cut;
        let limited = Failure::rate_limited();
        for (fault, (code, verdict)) in [
            (Behaviour::ok().error_at(2), row.failed),
            (Behaviour::ok().error_like(2, limited), row.throttled_within),
            (Behaviour::ok().break_at(2), (broken, Verdict::Failed)),
            (Behaviour::ok().end_at(2), (truncated, Verdict::Failed)),
        ] {
            let fake = row.provider([fault]).await;
            let read = read(&row, &fake).await;
            assert_eq!(read.said, "echo: one ", "{}: {code}", row.name);
            assert_eq!(read.error.as_deref(), Some(code), "{}", row.name);
            assert_eq!(read.verdict, verdict, "{}: {code}", row.name);
            assert_ne!(read.end, Some(End::Complete), "{}: {code}", row.name);
            assert_eq!(fake.log().len(), 1, "{}: {code}", row.name);
        }
    })
    .await;
}

#[tokio::test]
async fn a_slow_start_is_left_for_another_and_a_stall_amid_the_words_is_told() {
    const WAIT: Duration = Duration::from_secs(1);
    of_each(async |row| {
        let clocks = || StreamTimeoutLayer::new().first_content(WAIT).idle(WAIT);
        for slow in [
            Behaviour::ok().head_delay(WAIT * 100),
            Behaviour::ok().think(WAIT * 100),
            Behaviour::hangs(),
        ] {
            let fake = row.provider([slow, Behaviour::ok()]).await;
            let read = read_within(&row, &fake, clocks()).await;
            let seen = (&*read.said, read.error, read.attempts);
            assert_eq!(seen, ("echo: one two three", None, 2), "{}", row.name);
        }
        let fake = row.provider([Behaviour::ok().stall_at(2)]).await;
        let read = read_within(&row, &fake, clocks()).await;
        assert_eq!(read.said, "echo: one ", "{}", row.name);
        assert_eq!(read.error.as_deref(), Some(row.stalled), "{}", row.name);
        let ended = (read.end, read.verdict);
        assert_eq!(
            ended,
            (Some(End::Cut(Cut::Clock)), Verdict::TimedOut),
            "{}",
            row.name
        );
        within(fake.until(|log| log[0].outcome == Outcome::ClientGone)).await;
    })
    .await;
}
