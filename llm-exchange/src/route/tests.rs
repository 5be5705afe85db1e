use proptest::prelude::*;

use super::*;

fn read(path: &str) -> Option<(Dialect, Option<String>, Option<bool>)> {
    let route = Route::of(path)?;
    let model = route.model_in(path).map(Cow::into_owned);
    Some((route.dialect, model, route.stream))
}

#[test]
fn every_api_is_known_by_its_path() {
    let vertex = "/v1/projects/p/locations/us-central1/publishers";
    for (path, dialect, model, stream) in [
        ("/v1/chat/completions", Dialect::OpenAiChat, None, None),
        ("/chat/completions/", Dialect::OpenAiChat, None, None),
        (
            "/openai/v1/chat/completions",
            Dialect::OpenAiChat,
            None,
            None,
        ),
        (
            "/v1beta/openai/chat/completions",
            Dialect::OpenAiChat,
            None,
            None,
        ),
        (
            "/openai/deployments/my%20gpt/chat/completions",
            Dialect::OpenAiChat,
            Some("my gpt"),
            None,
        ),
        ("/v1/responses", Dialect::OpenAiResponses, None, None),
        ("/v1/completions", Dialect::OpenAiCompletions, None, None),
        (
            "/openai/deployments/d/completions",
            Dialect::OpenAiCompletions,
            Some("d"),
            None,
        ),
        ("/v1/embeddings", Dialect::OpenAiEmbeddings, None, None),
        ("/api/v1/embeddings", Dialect::OpenAiEmbeddings, None, None),
        (
            "/openai/deployments/api/embeddings",
            Dialect::OpenAiEmbeddings,
            Some("api"),
            None,
        ),
        ("/v1/messages", Dialect::AnthropicMessages, None, None),
        ("/api/chat", Dialect::Ollama, None, None),
        ("/ollama/api/generate", Dialect::Ollama, None, None),
        (
            "/v1beta/models/gemini-3.8-flash:generateContent",
            Dialect::Gemini,
            Some("gemini-3.8-flash"),
            Some(false),
        ),
        (
            "/v1beta/tunedModels/my-tune:streamGenerateContent",
            Dialect::Gemini,
            Some("my-tune"),
            Some(true),
        ),
        (
            &format!("{vertex}/google/models/gemini-3.8-flash:streamGenerateContent"),
            Dialect::Gemini,
            Some("gemini-3.8-flash"),
            Some(true),
        ),
        (
            &format!("{vertex}/anthropic/models/claude-opus-5-5@20260101:streamRawPredict"),
            Dialect::AnthropicMessages,
            Some("claude-opus-5-5@20260101"),
            Some(true),
        ),
        (
            "/model/us.anthropic.claude-sonnet-4-5-v1%3A0/invoke-with-response-stream",
            Dialect::AnthropicMessages,
            Some("us.anthropic.claude-sonnet-4-5-v1:0"),
            Some(true),
        ),
        (
            "/model/arn%3Aaws%3Abedrock%3A1%3Ainference-profile%2Fx/converse",
            Dialect::BedrockConverse,
            Some("arn:aws:bedrock:1:inference-profile/x"),
            Some(false),
        ),
        (
            "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent",
            Dialect::GeminiGrpc,
            None,
            Some(true),
        ),
        (
            "/google.cloud.aiplatform.v1.PredictionService/GenerateContent",
            Dialect::VertexGrpc,
            None,
            Some(false),
        ),
        (
            "/a/proxy/google.cloud.aiplatform.v1.PredictionService/StreamGenerateContent",
            Dialect::VertexGrpc,
            None,
            Some(true),
        ),
        (
            "/inference.GRPCInferenceService/ModelInfer",
            Dialect::KServeGrpc,
            None,
            Some(false),
        ),
        (
            "/inference.GRPCInferenceService/ModelStreamInfer",
            Dialect::KServeStreamGrpc,
            None,
            None,
        ),
    ] {
        assert_eq!(
            read(path),
            Some((dialect, model.map(str::to_owned), stream)),
            "{path}"
        );
    }
}

#[test]
fn what_only_looks_like_a_call_is_none() {
    for path in [
        "",
        "/",
        "chat",
        "/v1/responses/resp_1/cancel",
        "/v1/messages/count_tokens",
        "/v2/messages",
        "/api/embeddings",
        "/ollama/api/embeddings/",
        "/api/embed",
        "/v1/chat",
        "/v1beta/models/gemini:countTokens",
        "/v1beta/models/:generateContent",
        "/v1beta/files/x:generateContent",
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude:generateContent",
        "/v1/projects/p/locations/l/publishers/google/models/gemini:rawPredict",
        "/model/meta.llama/invoke",
        "/model//converse",
        "/model/x/count-tokens",
        "/inference.GRPCInferenceService/",
        "google.cloud.aiplatform.v1.PredictionService/GenerateContent",
        "/prefix.google.cloud.aiplatform.v1.PredictionService/GenerateContent",
    ] {
        assert_eq!(read(path), None, "{path}");
    }
}

#[test]
fn another_model_is_written_so_that_it_stays_one_segment() {
    let path = "/v1beta/models/gemini:generateContent";
    let with = |model| Route::of(path).unwrap().with_model(path, model);
    assert_eq!(
        with("a/b:c?d#e ü%").unwrap(),
        "/v1beta/models/a%2Fb%3Ac%3Fd%23e%20%C3%BC%25:generateContent"
    );
    assert_eq!(with("..").unwrap(), "/v1beta/models/%2E%2E:generateContent");
    assert_eq!(with(""), None);
    let path = "/model/anthropic.claude/invoke";
    let route = Route::of(path).unwrap();
    assert_eq!(route.with_model(path, "meta.llama"), None, "another format");
    assert!(route.with_model(path, "eu.anthropic.claude").is_some());
    let path = "/v1/chat/completions";
    assert_eq!(Route::of(path).unwrap().with_model(path, "m"), None);
}

proptest! {
    #[test]
    fn any_path_is_read_without_panic(path in any::<String>(), model in any::<String>()) {
        check(&path, &model);
    }

    #[test]
    fn a_model_that_is_set_is_read_again_and_nothing_else_changes(
        prefix in "(/[a-z%0-9.]{1,6}){0,2}",
        name in "[a-z%:@.A-F0-9]{1,12}",
        kind in prop::sample::select(vec![
            "/openai/deployments/NAME/chat/completions",
            "/v1beta/models/NAME:streamGenerateContent",
            "/v1/publishers/anthropic/models/NAME:rawPredict",
            "/model/NAME/converse-stream",
            "/model/anthropic.NAME/invoke",
        ]),
        model in any::<String>(),
    ) {
        check(&[prefix, kind.replace("NAME", &name)].concat(), &model);
    }
}

#[test]
fn a_prefix_changes_nothing_but_another_api_model_or_verb_is_another_question() {
    let same = Route::ask_the_same;
    assert!(same("/v1/chat/completions", "/openai/v1/chat/completions"));
    assert!(same(
        "/v1beta/models/g:generateContent",
        "/models/g:generateContent"
    ));
    for (one, other) in [
        ("/v1/chat/completions", "/v1/completions"),
        ("/v1/chat/completions", "/v1/files"),
        ("/v1/files", "/v1/files"),
        ("/models/g:generateContent", "/models/h:generateContent"),
        (
            "/models/g:generateContent",
            "/models/g:streamGenerateContent",
        ),
    ] {
        assert!(!same(one, other) && !same(other, one), "{one} {other}");
    }
}
