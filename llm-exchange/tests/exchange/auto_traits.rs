//! Every public type is what axum, hyper and `tokio::spawn` ask for.

use http_body_util::Full;
use llm_exchange::*;

struct Nothing;

impl Observe for Nothing {
    fn end(&mut self, _: BodyEnd<'_>) {}
}

fn all<T: Send + Sync + Unpin + 'static>() {}

#[test]
fn public_types_are_send_sync_and_unpin() {
    type Inner = Full<bytes::Bytes>;
    all::<Ahead>();
    all::<AnswerBody<Inner>>();
    all::<Attempts>();
    all::<Call>();
    all::<Cut>();
    all::<Delay>();
    all::<CutShort>();
    all::<Depth>();
    all::<Dialect>();
    all::<End>();
    all::<Ending>();
    all::<ErrorAnswer>();
    all::<Framing>();
    all::<FinishReason>();
    all::<InPlace<'static>>();
    all::<FromCache>();
    all::<Hints>();
    all::<LeftBehind>();
    all::<LimitOf>();
    all::<Meter>();
    all::<NoMoreAttempts>();
    all::<NotRewritten>();
    all::<Payload>();
    all::<Peeked>();
    all::<PeekLimits>();
    all::<ProviderError>();
    all::<RateLimit>();
    all::<ReadPayload>();
    all::<Reached>();
    all::<Refusal>();
    all::<Standard>();
    all::<Room>();
    all::<StandingRefusal>();
    all::<TokenEstimate>();
    all::<Tokens>();
    all::<Unreadable>();
    all::<Usage>();
    all::<UsageHidden<Inner>>();
    all::<User>();
    all::<Verdict>();
    all::<WallClock>();
    all::<Watch<AnswerBody<Inner>, Nothing>>();
    all::<sse::Decoder>();
    all::<sse::Encoder>();
    all::<sse::Event>();
    all::<sse::TooLarge>();
    all::<stream::Collector>();
    all::<stream::Delta>();
    all::<stream::DeltaReader>();
    all::<stream::PieceReader>();
    all::<stream::StreamError>();
}

#[test]
fn the_peeking_future_can_be_spawned() {
    fn spawnable<T: Send + 'static>() {}
    spawnable::<Peek<Full<bytes::Bytes>>>();
    let _: Option<Box<dyn Classify<std::io::Error>>> = None;
}
