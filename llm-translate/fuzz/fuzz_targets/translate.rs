//! Any bytes as a request, an answer and a stream, between any two dialects. Nothing panics; a request
//! that is carried over is JSON; a stream is the same however it is cut, and never ends without saying how.
//!
//! The first byte says the dialects, the next one the size of the pieces.
//!
//! ```text
//! cargo +nightly fuzz run translate fuzz/corpus/translate fuzz/seeds/translate
//! ```

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llm_exchange::{
    Dialect::{self, AnthropicMessages, Gemini, OpenAiChat, OpenAiResponses},
    Framing, WallClock,
    sse::Decoder,
};
use llm_translate::{Asked, Back, translates};

const DIALECTS: [Dialect; 4] = [OpenAiChat, AnthropicMessages, Gemini, OpenAiResponses];

fuzz_target!(|input: &[u8]| {
    let [kind, size, bytes @ ..] = input else {
        return;
    };
    let from = DIALECTS[usize::from(kind % 4)];
    let to = DIALECTS[usize::from(kind / 4 % 3)];
    let framing = [Framing::Sse, Framing::Array][usize::from(kind / 16 % 2)];
    if !translates(from, to) {
        return;
    }
    if let Ok(there) = Asked::new(from, bytes).model("m").translate(to) {
        let json: serde_json::Value = serde_json::from_slice(there.body()).expect("JSON");
        assert!(json.is_object());
    }
    let back = back(from, to);
    if let Ok(answer) = back.answer(bytes) {
        serde_json::from_slice::<serde_json::Value>(&answer).expect("JSON");
    }
    let whole = stream(&back, framing, [bytes]);
    assert!(!whole.is_empty());
    let pieces = bytes.chunks(usize::from(*size).max(1));
    assert_eq!(stream(&back, framing, pieces), whole);
});

/// The way back of the smallest request.
fn back(from: Dialect, to: Dialect) -> Back {
    let asked: &[u8] = match from {
        Gemini => br#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
        OpenAiResponses => br#"{"input":"hi"}"#,
        _ => br#"{"messages":[{"role":"user","content":"hi"}],"stream_options":null}"#,
    };
    let asked = Asked::new(from, asked).model("m").stream(Framing::Sse);
    let there = asked.translate(to).expect("it is small");
    there.back().clone().clock(WallClock::fixed(std::time::SystemTime::UNIX_EPOCH))
}

/// The data of the caller's events but for what keeps a stream alive, which comes as the pieces do, and
/// for ids that are made up.
fn stream<'c>(
    back: &Back,
    framing: Framing,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Vec<String> {
    let mut translator = back.stream(framing);
    let mut decoder = Decoder::new();
    for chunk in chunks {
        decoder.push(translator.push(Bytes::copy_from_slice(chunk)));
    }
    decoder.push(translator.finish());
    let mut datas = Vec::new();
    while let Some(event) = decoder.next_event() {
        if let Some(data) = event.expect("small").data() {
            let data = String::from_utf8(data.into_owned()).expect("text");
            if data != r#"{"type":"ping"}"# {
                datas.push(without_id(&data));
            }
        }
    }
    datas
}

/// An answer without an id gets one of 16 digits, another each time.
fn without_id(data: &str) -> String {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let mut clean = data.as_bytes().to_vec();
    let mut at = 0;
    while at + 16 <= clean.len() {
        if clean[at..at + 16].iter().all(is_digit) {
            clean[at..at + 16].fill(b'x');
            at += 16;
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&clean).into_owned()
}
