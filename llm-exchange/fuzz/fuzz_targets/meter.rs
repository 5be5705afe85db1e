//! Decoder and meter over any bytes: however they are cut, the same is known, and nothing changed.
//!
//! The first byte says the dialect and whether it is a stream, the next one the size of the pieces.
//!
//! ```text
//! cargo +nightly fuzz run meter fuzz/corpus/meter fuzz/seeds/meter
//! ```

#![no_main]

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use libfuzzer_sys::fuzz_target;
use llm_exchange::{Call, End, Meter, Payload, Tokens, UsageHidden};

const MARKS: [u64; 3] = [1, 7, 40];
const BODY: &str = r#"{"model":"m","stream":true}"#;

fuzz_target!(|input: &[u8]| {
    let [kind, size, stream @ ..] = input else {
        return;
    };
    let path = match kind & 1 {
        0 => "/v1/chat/completions",
        _ => "/v1/messages",
    };
    let request = Request::post(path).body(Full::from(BODY)).unwrap();
    let request = Payload::read(request, 1 << 20).now_or_never().unwrap();
    let call = Call::of(&request).unwrap();
    for tokens in MARKS {
        call.attempts().watch_output(tokens);
    }
    let media_type = match kind & 2 {
        0 => "text/event-stream",
        _ => "application/json",
    };
    let whole = known(call, media_type, vec![Bytes::copy_from_slice(stream)], stream);
    let pieces = stream.chunks(usize::from(*size).max(1));
    let pieces = pieces.map(Bytes::copy_from_slice).collect();
    assert_eq!(known(call, media_type, pieces, stream), whole);
});

/// What the meter says at the end.
fn known(
    call: &Call,
    media_type: &str,
    pieces: Vec<Bytes>,
    sent: &[u8],
) -> (
    (Tokens, u64, u64),
    Vec<Option<Tokens>>,
    Option<End>,
    Vec<String>,
    Option<String>,
) {
    let frames = pieces
        .into_iter()
        .map(|piece| Ok::<_, std::convert::Infallible>(http_body::Frame::data(piece)));
    let response = Response::builder()
        .header("content-type", media_type)
        .body(StreamBody::new(futures_util::stream::iter(frames)))
        .unwrap();
    let (meter, response) = Meter::attach(response, call);
    let body = UsageHidden::new(response.into_body(), Some(meter.clone()));
    let passed = body.collect().now_or_never().unwrap().unwrap().to_bytes();
    // only events that are nothing but the usage are missing
    if passed.len() == sent.len() {
        assert_eq!(passed, sent);
    } else {
        assert!(meter.usage().is_some() || sent.windows(7).any(|part| part == b"\"usage\""));
    }
    assert_eq!(meter.scanned(), sent.len() as u64);
    (
        (
            meter.tokens(),
            meter.contents() * u64::from(meter.is_stream()),
            meter.repeats(),
        ),
        MARKS.map(|mark| Some(meter.reached(mark)?.tokens())).to_vec(),
        meter.end(),
        meter.finish_reasons(),
        meter.model(),
    )
}
