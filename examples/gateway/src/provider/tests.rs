use http::HeaderValue;

use super::*;

fn provider(name: &str, base: &str, key: Option<&str>, dialect: ProviderDialect) -> Provider {
    Provider::new(name, base, key, dialect).unwrap()
}

fn uri(path: &str) -> Uri {
    path.parse().unwrap()
}

#[test]
fn a_key_in_the_query_goes_on_only_without_one_of_ours() {
    let asked = "/v1/models/g:generateContent?alt=sse&key=secret&x=%20";
    let sent = |key| {
        let provider = provider("p", "http://h/p/", key, ProviderDialect::OpenAi);
        let mut request = Request::post(asked).body(()).unwrap();
        *request.uri_mut() = provider.uri(request.method(), request.uri()).unwrap();
        provider.put_credential(&mut request);
        request.uri().to_string()
    };
    let own = "http://h/p/v1/models/g:generateContent?alt=sse&x=%20";
    assert_eq!(sent(Some("k")), own);
    assert_eq!(sent(None), format!("http://h/p{asked}"));
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
        (ProviderDialect::Bedrock, "authorization", "Bearer k"),
        (ProviderDialect::KServe, "authorization", "Bearer k"),
    ] {
        let mut request = Request::new(());
        for credential in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
            let caller = HeaderValue::from_static("caller");
            request.headers_mut().insert(credential, caller);
        }
        provider("p", "http://h", Some("k"), dialect).put_credential(&mut request);
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()[name], value);
        assert!(request.headers()[name].is_sensitive());
    }
}

#[test]
fn the_same_provider_at_vertex_ai_has_a_bearer_token() {
    use ProviderDialect::{Anthropic, Gemini};
    let sent = |dialect, path: &str| {
        let mut request = Request::post(path).body(()).unwrap();
        provider("p", "http://h", Some("k"), dialect).put_credential(&mut request);
        assert_eq!(request.headers().len(), 1);
        request.headers().keys().next().unwrap().to_string()
    };
    let vertex = "/v1/projects/p/locations/l/publishers";
    for (dialect, path, name) in [
        (Gemini, "/v1beta/models/g:generateContent", "x-goog-api-key"),
        (Gemini, "/v1beta/models/g:countTokens", "x-goog-api-key"),
        (
            Gemini,
            "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent",
            "x-goog-api-key",
        ),
        (
            Gemini,
            &format!("{vertex}/google/models/g:generateContent"),
            "authorization",
        ),
        (
            Gemini,
            &format!("{vertex}/google/models/g:countTokens"),
            "authorization",
        ),
        (
            Gemini,
            "/google.cloud.aiplatform.v1.PredictionService/GenerateContent",
            "authorization",
        ),
        (
            Gemini,
            "/google.cloud.aiplatform.v1.PredictionService/CountTokens",
            "authorization",
        ),
        (Anthropic, "/v1/messages", "x-api-key"),
        (Anthropic, "/v1/chat/completions", "x-api-key"),
        (Gemini, "/v1/chat/completions", "x-goog-api-key"),
        (Anthropic, "/v1/messages/count_tokens", "x-api-key"),
        (
            Anthropic,
            &format!("{vertex}/anthropic/models/c:rawPredict"),
            "authorization",
        ),
    ] {
        assert_eq!(sent(dialect, path), name, "{path}");
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_refused() {
    let made = Provider::new("p", "http://h", Some("a\nb"), ProviderDialect::OpenAi);
    assert!(matches!(made, Err(ProviderError::Key(_))));
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
    let of = |path: &str, headers: &HeaderMap| ProviderDialect::of(&uri(path), headers);
    let name = |all, path, headers| &*choose(all, &uri(path), headers).unwrap().name;
    assert_eq!(name(&all, "/v1/chat/completions", &plain), "o");
    assert_eq!(name(&all, "/v1/embeddings", &plain), "o");
    assert_eq!(name(&all, "/v1/messages", &plain), "a");
    assert_eq!(name(&all, "/v1/messages/count_tokens", &plain), "a");
    assert_eq!(name(&all, "/v1/messagesx", &plain), "o");
    assert_eq!(name(&all, "/v1/models", &version), "a");
    assert_eq!(name(&all, "/v1/models", &plain), "o");
    assert_eq!(name(&all, "/v1/models/g:generateContent", &plain), "a");
    let vertex = "/v1/projects/p/locations/l/publishers";
    for (path, dialect) in [
        ("/v1/models/g:generateContent", Gemini),
        ("/v1/models/g:countTokens", Gemini),
        ("/v1beta/models", Gemini),
        ("/v1beta/models/g:streamGenerateContent", Gemini),
        (
            "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent",
            Gemini,
        ),
        (
            "/google.cloud.aiplatform.v1.PredictionService/CountTokens",
            Gemini,
        ),
        (&format!("{vertex}/google/models/g:generateContent"), Gemini),
        (&format!("{vertex}/google/models/g:countTokens"), Gemini),
        (
            &format!("{vertex}/anthropic/models/c:rawPredict"),
            Anthropic,
        ),
        (
            &format!("{vertex}/anthropic/models/count-tokens:rawPredict"),
            Anthropic,
        ),
        ("/v1beta/openai/embeddings", OpenAi),
        ("/v1beta/openai/chat/completions", OpenAi),
        ("/api/v1/embeddings", OpenAi),
        ("/api/v1/responses", OpenAi),
        ("/api/v1/models", OpenAi),
        ("/api/chat", ProviderDialect::Ollama),
        ("/api/embeddings", ProviderDialect::Ollama),
        ("/api/tags", ProviderDialect::Ollama),
        (
            "/model/amazon.nova-pro-v1:0/converse",
            ProviderDialect::Bedrock,
        ),
        (
            "/inference.GRPCInferenceService/ModelInfer",
            ProviderDialect::KServe,
        ),
    ] {
        assert_eq!(of(path, &plain), dialect, "{path}");
    }
    assert_eq!(of("/v1/chat/completions", &version), OpenAi);
    let invoked = of("/model/anthropic.claude/invoke", &version);
    assert_eq!(invoked, ProviderDialect::Bedrock);
    assert!(choose(&[], &uri("/v1/models"), &plain).is_none());
}
