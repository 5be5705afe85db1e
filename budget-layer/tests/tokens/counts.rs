//! What of a request is counted, and by whom.

use budget_layer::tokens::{Estimated, TokenCounter, input_tokens};
use http::Request;
use llm_exchange::Payload;

struct Words;

impl TokenCounter for Words {
    fn count(&self, model: Option<&str>, text: &str) -> u64 {
        assert_eq!(model, Some("m"));
        text.split_whitespace().count() as u64
    }

    fn medium(&self, _: Option<&str>) -> u64 {
        70
    }

    fn most_bytes(&self) -> usize {
        20
    }
}

fn tokens(counter: &impl TokenCounter, request: &Request<Payload>) -> Option<u64> {
    input_tokens(counter, request).map(|input| input.tokens)
}

async fn request(path: &str, body: impl Into<String>) -> Request<Payload> {
    let request = Request::post(path).body(body.into()).unwrap();
    Payload::read(request, 16 << 20).await
}

async fn chat(content: &str) -> Request<Payload> {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
    request("/v1/chat/completions", body).await
}

#[tokio::test]
async fn a_prompt_is_its_texts_its_messages_and_its_media() {
    let image = "A".repeat(100_000);
    let parts = format!(
        r#"[{{"type":"text","text":"one two three"}},
            {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]"#
    );
    let asked = chat(&parts).await;
    let counted = input_tokens(&Words, &asked).unwrap();
    assert_eq!((counted.tokens, counted.is_text), (3 + 4 + 3 + 70, false));
    // 1,000 and not the 75,000 tokens that its letters would be
    let estimate = tokens(&Estimated, &asked).unwrap();
    assert!((1_005..1_020).contains(&estimate), "{estimate}");
    let text = input_tokens(&Words, &chat("\"one two\"").await).unwrap();
    assert_eq!((text.tokens, text.is_text), (2 + 4 + 3, true));
}

#[tokio::test]
async fn what_is_beyond_a_counters_reach_is_estimated() {
    // 20 bytes are five words and the next one's beginning
    let long = "four ".repeat(2_000);
    let estimate = tokens(&Words, &chat(&format!("\"{long}\"")).await).unwrap();
    assert!(estimate.abs_diff(2_000) < 20, "{estimate}");
    // where a character of four bytes lies over the border it is left to the estimate whole
    let emoji = "a\u{1f34b}\u{1f34b}\u{1f34b}\u{1f34b}\u{1f34b}";
    assert!(tokens(&Words, &chat(&format!("\"{emoji}\"")).await).is_some());
}

#[tokio::test]
async fn texts_to_embed_have_nothing_around_them_and_numbers_are_tokens() {
    let words = |_: Option<&str>, text: &str| text.split_whitespace().count() as u64;
    let texts = r#"{"model":"m","input":["one two","three"]}"#;
    let asked = request("/v1/embeddings", texts).await;
    assert_eq!(tokens(&words, &asked), Some(3));
    let numbers = r#"{"model":"m","input":[17,4,99]}"#;
    let asked = request("/v1/embeddings", numbers).await;
    assert_eq!(tokens(&words, &asked), Some(3));
}

#[tokio::test]
async fn what_cannot_be_read_has_no_count() {
    let broken = request("/v1/chat/completions", "{\"model\":").await;
    assert_eq!(tokens(&Estimated, &broken), None);
    let other = request("/v1/files", "{}").await;
    assert_eq!(tokens(&Estimated, &other), None);
}
