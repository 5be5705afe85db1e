//! One row for each dialect, server and kind of path.

use bytes::Bytes;
use fake_provider::{Behaviour, FakeProvider, Script, Server};
use google_protos::{aiplatform, generativelanguage, inference};
use http::{Request, Version};
use http_body_util::Full;
use llm_exchange::{Dialect, Verdict};
use serde_json::{Value, json};

/// Anthropic's, as of Bedrock's models only those can be invoked in a format that is known.
pub(crate) const MODEL: &str = "anthropic.claude-fake";

/// One way to ask for a stream, and what of its faults arrives: the code of an error, else its type,
/// else its text, and what it means.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    path: &'static str,
    body: fn() -> Bytes,
    server: Server,
    /// It has a form for reasoning.
    pub(crate) thinks: bool,
    /// Of an answer that is throttled.
    pub(crate) throttled: Said,
    /// Of a throttling within a stream.
    pub(crate) throttled_within: Said,
    /// Of its usual failure within a stream.
    pub(crate) failed: Said,
    /// Of a connection that breaks, and of a body that ends too early: our own, in its form.
    pub(crate) cut: (&'static str, &'static str),
    /// Of one that stalls, likewise.
    pub(crate) stalled: &'static str,
}

pub(crate) type Said = (&'static str, Verdict);

fn row(name: &'static str, dialect: Dialect, path: &'static str, body: fn() -> Bytes) -> Row {
    let limited = ("rate_limit_exceeded", Verdict::Throttled);
    Row {
        name,
        dialect,
        path,
        body,
        server: Server::OpenAi,
        thinks: true,
        throttled: limited,
        throttled_within: limited,
        failed: ("server_error", Verdict::Failed),
        cut: ("stream_broken", "stream_truncated"),
        stalled: "stream_timeout",
    }
}

/// A server that speaks chat completions.
fn chat_of(name: &'static str, server: Server, path: &'static str) -> Row {
    row(name, Dialect::OpenAiChat, path, chat).of(server)
}

impl Row {
    const fn of(self, server: Server) -> Self {
        Self { server, ..self }
    }

    const fn throttled(self, answer: Said, within: Said) -> Self {
        Self {
            throttled: answer,
            throttled_within: within,
            ..self
        }
    }

    const fn failed(self, failed: Said) -> Self {
        Self { failed, ..self }
    }

    fn anthropics(self) -> Self {
        let limited = ("rate_limit_error", Verdict::Throttled);
        self.throttled(limited, limited)
            .failed(("overloaded_error", Verdict::Overloaded))
    }

    /// Amazon's own, whatever the model's format is.
    fn amazons(self) -> Self {
        self.throttled(
            ("ThrottlingException", Verdict::Throttled),
            ("throttlingException", Verdict::Throttled),
        )
        .failed(("serviceUnavailableException", Verdict::Overloaded))
    }

    /// Of codes, Google has only its own.
    fn googles(self) -> Self {
        let limited = ("RESOURCE_EXHAUSTED", Verdict::Throttled);
        let this = self
            .throttled(limited, limited)
            .failed(("UNAVAILABLE", Verdict::Overloaded));
        Self {
            cut: ("UNAVAILABLE", "UNAVAILABLE"),
            stalled: "DEADLINE_EXCEEDED",
            ..this
        }
    }

    /// Texts without a code, of which only a status tells a throttling.
    fn ollamas(self) -> Self {
        let text = "too many requests";
        self.throttled((text, Verdict::Throttled), (text, Verdict::Failed))
            .failed((
                "an error was encountered while running the model",
                Verdict::Failed,
            ))
    }

    const fn without_reasoning(self) -> Self {
        Self {
            thinks: false,
            ..self
        }
    }
}

const CHAT: &str = "/v1/chat/completions";

pub(crate) fn rows() -> Vec<Row> {
    use Dialect as D;
    use Server as S;
    use Verdict::{Failed, Overloaded, Throttled};
    // a code that is a number says less than the type
    let by_type = ("tokens", Throttled);
    let stopped = ("The model stopped early.", Failed);
    let swallowed = ("stream_truncated", Failed);
    let overloaded = ("overloaded", Overloaded);
    let limited = ("rate_limit_exceeded", Throttled);
    vec![
        chat_of("OpenAI chat", S::OpenAi, CHAT),
        chat_of(
            "Azure classic",
            S::Azure,
            "/openai/deployments/anthropic.claude-fake/chat/completions?api-version=2024-10-21",
        )
        .throttled(by_type, by_type),
        chat_of("Azure v1", S::Azure, "/openai/v1/chat/completions").throttled(by_type, by_type),
        chat_of("Mistral", S::Mistral, CHAT),
        chat_of("Groq", S::Groq, "/openai/v1/chat/completions")
            .throttled(limited, stopped)
            .failed(stopped),
        chat_of("DeepSeek", S::DeepSeek, "/chat/completions"),
        chat_of("OpenRouter", S::OpenRouter, "/api/v1/chat/completions"),
        chat_of("xAI", S::Xai, CHAT),
        chat_of("Ollama /v1", S::Ollama, CHAT)
            .throttled(by_type, swallowed)
            .failed(swallowed),
        chat_of("vLLM", S::Vllm, CHAT).throttled(by_type, by_type),
        chat_of("TGI", S::Tgi, CHAT)
            .throttled(overloaded, overloaded)
            .failed(("generation", Failed)),
        chat_of("Gemini compatible", S::Gemini, "/v1beta/openai/chat/completions"),
        row("OpenAI responses", D::OpenAiResponses, "/v1/responses", responses),
        row("Azure responses", D::OpenAiResponses, "/openai/v1/responses", responses),
        row("OpenAI completions", D::OpenAiCompletions, "/v1/completions", completions)
            .without_reasoning(),
        row("Anthropic", D::AnthropicMessages, "/v1/messages", messages).anthropics(),
        row(
            "Anthropic on Vertex",
            D::AnthropicMessages,
            "/v1/projects/p/locations/l/publishers/anthropic/models/anthropic.claude-fake:streamRawPredict",
            messages,
        )
        .anthropics(),
        row(
            "Anthropic on Bedrock",
            D::AnthropicMessages,
            "/model/anthropic.claude-fake/invoke-with-response-stream",
            messages,
        )
        .amazons(),
        row(
            "Bedrock Converse",
            D::BedrockConverse,
            "/model/anthropic.claude-fake/converse-stream",
            converse,
        )
        .amazons(),
        row(
            "Gemini",
            D::Gemini,
            "/v1beta/models/anthropic.claude-fake:streamGenerateContent?alt=sse",
            contents,
        )
        .googles(),
        row(
            "Gemini, an array",
            D::Gemini,
            "/v1beta/models/anthropic.claude-fake:streamGenerateContent",
            contents,
        )
        .googles(),
        row(
            "Gemini on Vertex",
            D::Gemini,
            "/v1/projects/p/locations/l/publishers/google/models/anthropic.claude-fake:streamGenerateContent?alt=sse",
            contents,
        )
        .googles(),
        row(
            "Gemini by gRPC",
            D::GeminiGrpc,
            "/google.ai.generativelanguage.v1beta.GenerativeService/StreamGenerateContent",
            gemini_message,
        )
        .googles(),
        row(
            "Vertex by gRPC",
            D::VertexGrpc,
            "/google.cloud.aiplatform.v1.PredictionService/StreamGenerateContent",
            vertex_message,
        )
        .googles(),
        row("Ollama chat", D::Ollama, "/api/chat", ollama).ollamas(),
        row("Ollama generate", D::Ollama, "/api/generate", generate).ollamas(),
    ]
}

/// Calls that are answered at once: what has no stream, and what has another path for it.
pub(crate) fn unstreamed() -> Vec<Row> {
    use Dialect as D;
    vec![
        row(
            "Embeddings",
            D::OpenAiEmbeddings,
            "/v1/embeddings",
            embeddings,
        ),
        row(
            "Azure embeddings",
            D::OpenAiEmbeddings,
            "/openai/deployments/anthropic.claude-fake/embeddings?api-version=2024-10-21",
            embeddings,
        ),
        row(
            "Anthropic on Vertex",
            D::AnthropicMessages,
            "/v1/projects/p/locations/l/publishers/anthropic/models/anthropic.claude-fake:rawPredict",
            messages_at_once,
        ),
        row(
            "Anthropic on Bedrock",
            D::AnthropicMessages,
            "/model/anthropic.claude-fake/invoke",
            messages_at_once,
        ),
        row(
            "Bedrock Converse",
            D::BedrockConverse,
            "/model/anthropic.claude-fake/converse",
            converse,
        ),
        row(
            "Gemini",
            D::Gemini,
            "/v1beta/models/anthropic.claude-fake:generateContent",
            contents,
        ),
        row(
            "Gemini by gRPC",
            D::GeminiGrpc,
            "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent",
            gemini_message,
        ),
        row(
            "Vertex by gRPC",
            D::VertexGrpc,
            "/google.cloud.aiplatform.v1.PredictionService/GenerateContent",
            vertex_message,
        ),
        row(
            "KServe",
            D::KServeGrpc,
            "/inference.GRPCInferenceService/ModelInfer",
            tensors,
        ),
    ]
}

impl Row {
    pub(crate) fn request(&self, fake: &FakeProvider) -> Request<Full<Bytes>> {
        let request = Request::post(format!("{}{}", fake.url(), self.path));
        let request = if self.dialect.is_grpc() {
            request
                .version(Version::HTTP_2)
                .header("content-type", "application/grpc")
                .header("te", "trailers")
        } else {
            request.header("content-type", "application/json")
        };
        request.body(Full::from((self.body)())).unwrap()
    }

    /// A provider that behaves so, one request after the other, and speaks as the row's server does.
    pub(crate) async fn provider(&self, told: impl IntoIterator<Item = Behaviour>) -> FakeProvider {
        let fake = FakeProvider::start().await.unwrap();
        let told = told.into_iter().map(|one| one.like(self.server));
        fake.on(MODEL, Script::from(told.collect::<Vec<_>>()));
        fake
    }
}

const PROMPT: &str = "one two three";

fn bytes(body: &Value) -> Bytes {
    body.to_string().into()
}

fn chat() -> Bytes {
    bytes(&json!({
        "model": MODEL,
        "stream": true,
        "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": PROMPT}],
    }))
}

fn responses() -> Bytes {
    bytes(&json!({"model": MODEL, "stream": true, "input": PROMPT}))
}

fn completions() -> Bytes {
    bytes(&json!({
        "model": MODEL,
        "stream": true,
        "stream_options": {"include_usage": true},
        "prompt": PROMPT,
    }))
}

fn embeddings() -> Bytes {
    bytes(&json!({"model": MODEL, "input": PROMPT}))
}

fn messages() -> Bytes {
    messages_of(true)
}

fn messages_at_once() -> Bytes {
    messages_of(false)
}

fn messages_of(stream: bool) -> Bytes {
    bytes(&json!({
        "anthropic_version": "bedrock-2023-05-31",
        "model": MODEL,
        "stream": stream,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": PROMPT}],
    }))
}

fn contents() -> Bytes {
    bytes(&json!({"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}))
}

fn ollama() -> Bytes {
    bytes(&json!({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}))
}

fn generate() -> Bytes {
    bytes(&json!({"model": MODEL, "prompt": PROMPT}))
}

fn converse() -> Bytes {
    bytes(&json!({"messages": [{"role": "user", "content": [{"text": PROMPT}]}]}))
}

/// A message of gRPC with its length before it.
fn framed(message: &impl prost::Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), &message].concat().into()
}

/// The two of Google's differ in the numbers of their fields.
macro_rules! contents_of {
    ($proto:ident, $model:expr) => {{
        use $proto::{Content, GenerateContentRequest, Part};
        let part = Part {
            text: Some(PROMPT.into()),
            ..Part::default()
        };
        framed(&GenerateContentRequest {
            model: $model,
            contents: vec![Content {
                parts: vec![part],
                role: "user".into(),
            }],
            ..GenerateContentRequest::default()
        })
    }};
}

fn gemini_message() -> Bytes {
    contents_of!(generativelanguage, format!("models/{MODEL}"))
}

fn vertex_message() -> Bytes {
    let resource = "projects/p/locations/l/publishers/google/models";
    contents_of!(aiplatform, format!("{resource}/{MODEL}"))
}

fn tensors() -> Bytes {
    use inference::{ModelInferRequest, Tensor, TensorContents};
    framed(&ModelInferRequest {
        model_name: MODEL.into(),
        inputs: vec![Tensor {
            name: "text_input".into(),
            datatype: "BYTES".into(),
            shape: vec![1],
            contents: Some(TensorContents {
                bytes_contents: vec![PROMPT.into()],
                ..TensorContents::default()
            }),
        }],
        ..ModelInferRequest::default()
    })
}
