//! The meter of every dialect over any bytes, in every framing: however they are cut, the same is known, and
//! nothing changed.
//!
//! The first byte says the dialect, the second one how the answer comes, the third one the size of the pieces.
//!
//! ```text
//! cargo +nightly fuzz run meter fuzz/corpus/meter fuzz/seeds/meter
//! ```

#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use libfuzzer_sys::fuzz_target;
use llm_exchange::{Call, Dialect, End, FinishReason, Meter, Payload, Tokens, Usage, UsageHidden};

const MARKS: [u64; 3] = [1, 7, 40];

const MEDIA_TYPES: [&str; 5] = [
    "text/event-stream",
    "application/json",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "application/grpc",
];

fuzz_target!(|input: &[u8]| {
    let [dialect, form, size, body @ ..] = input else {
        return;
    };
    let dialect = Dialect::ALL[usize::from(*dialect) % Dialect::ALL.len()];
    let answer = Answer {
        status: if form & 0x80 == 0 { 200 } else { 429 },
        media_type: MEDIA_TYPES[usize::from(form & 0x3f) % MEDIA_TYPES.len()],
        trailers: form & 0x40 == 0,
        body,
    };
    let call = call(dialect, answer.media_type == MEDIA_TYPES[3]);
    for tokens in MARKS {
        call.attempts().watch_output(tokens);
    }
    let whole = answer.known(&call, body.len());
    assert_eq!(answer.known(&call, usize::from(*size)), whole);
});

/// A call for a stream. `wrapped`: where Anthropic's model is invoked on Bedrock.
fn call(dialect: Dialect, wrapped: bool) -> Arc<Call> {
    let path = match dialect {
        Dialect::OpenAiChat => "/v1/chat/completions",
        Dialect::OpenAiResponses => "/v1/responses",
        Dialect::OpenAiCompletions => "/v1/completions",
        Dialect::OpenAiEmbeddings => "/v1/embeddings",
        Dialect::AnthropicMessages if wrapped => "/model/anthropic.m/invoke-with-response-stream",
        Dialect::AnthropicMessages => "/v1/messages",
        Dialect::Gemini => "/v1beta/models/m:streamGenerateContent",
        Dialect::Ollama => "/api/chat",
        Dialect::BedrockConverse => "/model/m/converse-stream",
        Dialect::GeminiGrpc => {
            "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent"
        }
        Dialect::VertexGrpc => {
            "/google.cloud.aiplatform.v1.PredictionService/StreamGenerateContent"
        }
        Dialect::KServeGrpc => "/inference.GRPCInferenceService/ModelInfer",
        Dialect::KServeStreamGrpc => "/inference.GRPCInferenceService/ModelStreamInfer",
        other => panic!("{other:?} has no path here"),
    };
    let (kind, body) = match dialect.is_grpc() {
        true => ("application/grpc", "\0\0\0\0\0"),
        false => ("application/json", r#"{"model":"m","stream":true}"#),
    };
    let request = Request::post(path)
        .header("content-type", kind)
        .body(Full::from(body))
        .unwrap();
    let request = Payload::read(request, 1 << 20).now_or_never().unwrap();
    Arc::clone(Call::of(&request).expect("a call"))
}

/// What the meter says at the end.
#[derive(Debug, PartialEq)]
struct Known {
    tokens: Tokens,
    usage: Option<Usage>,
    parts: Vec<(Option<String>, Usage)>,
    spent: (Usage, bool),
    counts: [u64; 2],
    reached: Vec<Option<Tokens>>,
    end: Option<End>,
    finish: (Vec<String>, Option<FinishReason>),
    names: [Option<String>; 3],
    error: Option<String>,
}

struct Answer<'a> {
    status: u16,
    media_type: &'static str,
    trailers: bool,
    body: &'a [u8],
}

impl Answer<'_> {
    /// The answer in pieces of this size.
    fn known(&self, call: &Call, size: usize) -> Known {
        let pieces = self.body.chunks(size.max(1));
        let mut frames: Vec<_> = pieces
            .map(|piece| Frame::data(Bytes::copy_from_slice(piece)))
            .collect();
        if self.trailers {
            let ok = ("grpc-status".parse().unwrap(), HeaderValue::from_static("0"));
            frames.push(Frame::trailers(HeaderMap::from_iter([ok])));
        }
        let frames = frames.into_iter().map(Ok::<_, std::convert::Infallible>);
        let response = Response::builder()
            .status(self.status)
            .header("content-type", self.media_type)
            .body(StreamBody::new(futures_util::stream::iter(frames)))
            .unwrap();
        let (meter, response) = Meter::attach(response, call);
        let body = UsageHidden::new(response.into_body(), Some(meter.clone()));
        let passed = body.collect().now_or_never().unwrap().unwrap().to_bytes();
        // only events that are nothing but the usage are missing
        if passed.len() == self.body.len() {
            assert_eq!(passed, self.body);
        } else {
            let usages = self.body.windows(7).filter(|part| part == b"\"usage\"");
            assert!(meter.usage().is_some() || usages.count() > 0);
        }
        assert_eq!(meter.scanned(), self.body.len() as u64);
        let (spent, estimated) = meter.spent();
        if let Some(usage) = meter.usage() {
            // whatever was estimated beside it, nothing of it is lost
            let at_least = !estimated || meter.status() != 200;
            assert!(at_least || spent.total() >= usage.output());
        }
        Known {
            tokens: meter.tokens(),
            usage: meter.usage(),
            parts: meter.usage_parts(),
            spent: (spent, estimated),
            // of an answer that is no stream each frame is content
            counts: [meter.contents(), meter.repeats()].map(|of| of * u64::from(meter.is_stream())),
            reached: MARKS.map(|mark| Some(meter.reached(mark)?.tokens())).to_vec(),
            end: meter.end(),
            finish: (meter.finish_reasons(), meter.finish()),
            names: [meter.model(), meter.id(), meter.service_tier()],
            error: meter.error().map(|error| format!("{error:?}")),
        }
    }
}
