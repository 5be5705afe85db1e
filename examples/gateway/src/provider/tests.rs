use super::*;

fn provider(name: &str, base: &str, key: Option<&str>, dialect: ProviderDialect) -> Provider {
    Provider::new(name, base, key, dialect).unwrap()
}

fn joined(base: &str, asked: &str, key: Option<&str>) -> String {
    let provider = provider("p", base, key, ProviderDialect::OpenAi);
    provider.uri(&asked.parse().unwrap()).unwrap().to_string()
}

#[test]
fn the_path_follows_the_base_and_v1_is_not_doubled() {
    let chat = "/v1/chat/completions";
    for (base, whole) in [
        (
            "https://api.openai.com",
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "https://api.openai.com/",
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "https://api.openai.com/v1",
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "https://api.openai.com/v1/",
            "https://api.openai.com/v1/chat/completions",
        ),
        ("http://[::1]:9001", "http://[::1]:9001/v1/chat/completions"),
        (
            "https://api.groq.com/openai",
            "https://api.groq.com/openai/v1/chat/completions",
        ),
        ("http://h/v1x", "http://h/v1x/v1/chat/completions"),
        ("http://h/v1beta", "http://h/v1/chat/completions"),
    ] {
        assert_eq!(joined(base, chat, None), whole);
    }
}

#[test]
fn the_query_goes_on_but_a_key_in_it_only_without_one_of_ours() {
    let asked = "/v1/models/g:generateContent?alt=sse&key=secret&x=%20";
    let own = "http://h/v1/models/g:generateContent?alt=sse&x=%20";
    assert_eq!(joined("http://h", asked, Some("k")), own);
    assert_eq!(joined("http://h", asked, None), format!("http://h{asked}"));
    assert_eq!(
        joined("http://h", "/v1/x?key=1", Some("k")),
        "http://h/v1/x"
    );
}

#[test]
fn a_base_that_is_no_plain_http_address_is_refused() {
    for base in [
        "",
        "api.openai.com",
        "/v1",
        "ftp://h",
        "http://",
        "http://u:p@h",
        "http://h/?a=b",
        "http://h/#x",
        "http://h h",
    ] {
        let made = Provider::new("p", base, None, ProviderDialect::OpenAi);
        assert!(matches!(made, Err(ProviderError::BaseUrl(_))), "{base}");
    }
}

#[test]
fn each_dialect_has_its_own_place_for_the_key_and_it_is_sensitive() {
    for (dialect, name, value) in [
        (ProviderDialect::OpenAi, "authorization", "Bearer k"),
        (ProviderDialect::Anthropic, "x-api-key", "k"),
        (ProviderDialect::Gemini, "x-goog-api-key", "k"),
    ] {
        let mut headers = HeaderMap::new();
        for credential in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
            headers.insert(credential, HeaderValue::from_static("caller"));
        }
        provider("p", "http://h", Some("k"), dialect).put_credential(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[name], value);
        assert!(headers[name].is_sensitive());
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused() {
    let made = Provider::new("p", "http://h", Some("a\nb"), ProviderDialect::OpenAi);
    assert!(matches!(made, Err(ProviderError::Key)));
}

#[test]
fn the_first_provider_of_the_dialect_serves_and_else_the_first() {
    use ProviderDialect::{Anthropic, Gemini, OpenAi};
    let all = [
        provider("a", "http://h", None, Anthropic),
        provider("o", "http://h", None, OpenAi),
        provider("o2", "http://h", None, OpenAi),
    ];
    let plain = HeaderMap::new();
    let mut version = HeaderMap::new();
    version.insert("anthropic-version", HeaderValue::from_static("2026-10-21"));
    let name = |all, path, headers| &*choose(all, path, headers).unwrap().name;
    assert_eq!(name(&all, "/v1/chat/completions", &plain), "o");
    assert_eq!(name(&all, "/v1/embeddings", &plain), "o");
    assert_eq!(name(&all, "/v1/messages", &plain), "a");
    assert_eq!(name(&all, "/v1/messages/count_tokens", &plain), "a");
    assert_eq!(name(&all, "/v1/messagesx", &plain), "o");
    assert_eq!(name(&all, "/v1/models", &version), "a");
    assert_eq!(name(&all, "/v1/models", &plain), "o");
    assert_eq!(name(&all, "/v1/models/g:generateContent", &plain), "a");
    assert_eq!(
        ProviderDialect::of("/v1/models/g:generateContent", &plain),
        Gemini
    );
    for path in [
        "/v1beta/models/g:streamGenerateContent",
        "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent",
    ] {
        assert_eq!(ProviderDialect::of(path, &plain), Gemini, "{path}");
    }
    let ollama = ProviderDialect::of("/api/chat", &plain);
    assert_eq!(ollama, ProviderDialect::Ollama);
    assert!(choose(&[], "/v1/models", &plain).is_none());
}
