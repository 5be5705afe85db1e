//! Which wire format a call speaks. One room per dialect, its file and perhaps a folder of the same name;
//! in the file stands its row of the table, which is below.
//!
//! To add a dialect: its file with a `const WIRE` ([`wire`] says what a row has; the compiler asks for all
//! of it), and here its `mod`, its variant with what it is recognised by, and its line of the table. The rest of the
//! crate knows framings, places and rows, and no dialect by its name, except that a call of no known dialect is
//! refused in OpenAI's shape. What a new *framing* or a new shape of error needs is another matter: `cut`, `stream`,
//! `provider_error`.

mod anthropic;
mod bedrock;
mod gemini;
mod gemini_usage;
mod google_grpc;
mod json;
mod json_start;
mod kserve;
mod ollama;
mod openai_chat;
mod openai_completions;
mod openai_embeddings;
mod openai_error;
mod openai_responses;
mod openai_said;
mod openai_usage;
mod wire;

use http::{Method, Uri};

pub use self::wire::Framing;
pub(crate) use self::wire::{Place, Problem, Seen, Wire};
use crate::route::Route;

/// The wire format of a call, known from its method and path.
///
/// | dialect | recognised as `POST` of a path that ends in |
/// |---|---|
/// | [`OpenAiChat`](Dialect::OpenAiChat) | `/chat/completions`; Azure's `/openai/deployments/NAME/chat/completions` |
/// | [`OpenAiResponses`](Dialect::OpenAiResponses) | `/responses` |
/// | [`OpenAiCompletions`](Dialect::OpenAiCompletions) | `/completions` |
/// | [`OpenAiEmbeddings`](Dialect::OpenAiEmbeddings) | `/embeddings`, but not `/api/embeddings`, which is Ollama's |
/// | [`AnthropicMessages`](Dialect::AnthropicMessages) | `/v1/messages`; Vertex AI's `/publishers/anthropic/models/NAME:rawPredict` and `:streamRawPredict`; Bedrock's `/model/NAME/invoke` and `/invoke-with-response-stream`, where the name has `anthropic` in it |
/// | [`Gemini`](Dialect::Gemini) | `/models/NAME:generateContent` and `:streamGenerateContent`, also after `tunedModels` and `endpoints` |
/// | [`Ollama`](Dialect::Ollama) | `/api/chat`, `/api/generate` |
/// | [`BedrockConverse`](Dialect::BedrockConverse) | `/model/NAME/converse`, `/model/NAME/converse-stream` |
/// | [`GeminiGrpc`](Dialect::GeminiGrpc) | `google.ai.generativelanguage.v1beta.GenerativeService`, `GenerateContent` and `StreamGenerateContent` |
/// | [`VertexGrpc`](Dialect::VertexGrpc) | `google.cloud.aiplatform.v1.PredictionService`, the same |
/// | [`KServeGrpc`](Dialect::KServeGrpc) | `inference.GRPCInferenceService/ModelInfer` |
/// | [`KServeStreamGrpc`](Dialect::KServeStreamGrpc) | `inference.GRPCInferenceService/ModelStreamInfer` |
///
/// Whatever comes before that end of the path is a prefix of the provider's or of a proxy
/// (`/openai/v1/chat/completions`). A call of no known dialect passes through every layer untouched.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions, which most other providers and local servers speak too.
    OpenAiChat,
    /// OpenAI responses.
    OpenAiResponses,
    /// OpenAI's old completions.
    OpenAiCompletions,
    /// OpenAI embeddings.
    OpenAiEmbeddings,
    /// Anthropic messages, also on Vertex AI and Bedrock.
    AnthropicMessages,
    /// Gemini's `generateContent`, also on Vertex AI.
    Gemini,
    /// Ollama's own API.
    Ollama,
    /// Amazon Bedrock's Converse.
    BedrockConverse,
    /// The Gemini API over gRPC.
    GeminiGrpc,
    /// Vertex AI over gRPC.
    VertexGrpc,
    /// KServe's open inference protocol over gRPC, as Triton speaks it: no tokens are counted in it.
    KServeGrpc,
    /// Triton's calls that go both ways: requests and answers while the call lasts. A request that
    /// fails is told in a message, and the call goes on. Such a call is not read, held back, ended or
    /// sent again by any layer; how it went is known of its answers.
    KServeStreamGrpc,
}

impl Dialect {
    /// The dialect of a request, if it is an LLM call that this crate can read.
    #[must_use]
    pub fn of(method: &Method, uri: &Uri) -> Option<Self> {
        Some(Route::of_request(method, uri)?.dialect)
    }

    /// A short name for labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.wire().name
    }

    /// Whether a call can say how many tokens its answer may have.
    #[must_use]
    pub const fn takes_output_cap(self) -> bool {
        !self.wire().output_cap.is_empty()
    }

    /// Whether it is a gRPC service: its status is in the trailers, and its messages are protobuf.
    #[must_use]
    pub const fn is_grpc(self) -> bool {
        matches!(self.wire().framing, Framing::Grpc)
    }

    /// Whether the beginning of an answer with a success's status, which is no stream, says that it is an
    /// error after all: `None` if more of it is needed to tell.
    #[must_use]
    pub fn looks_like_error(self, start: &[u8]) -> Option<bool> {
        (self.wire().looks_like_error)(start)
    }

    /// Whether requests go on while answers come: then a request has no end to be waited for, nor an
    /// answer a first one that comes of itself.
    #[must_use]
    pub const fn goes_both_ways(self) -> bool {
        self.wire().goes_both_ways
    }

    /// Whether its clients pass over comments in a stream of server-sent events, as they should. Google's
    /// own do not: they take one for JSON, and fail.
    #[must_use]
    pub const fn reads_comments(self) -> bool {
        self.wire().reads_comments
    }

    /// What keeps a silent stream of server-sent events alive and says nothing: a comment, or a blank line
    /// where comments [are not read](Self::reads_comments).
    #[must_use]
    pub const fn keep_alive(self) -> &'static str {
        if self.reads_comments() {
            ": keep-alive\n\n"
        } else {
            "\r\n"
        }
    }
}

/// Makes of the table what is asked of it: the rows, and which there are.
macro_rules! table {
    ($($dialect:ident: $row:expr,)*) => {
        impl Dialect {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$dialect,)*];

            /// What is known of the format, and who reads it.
            pub(crate) const fn wire(self) -> &'static Wire {
                match self {
                    $(Self::$dialect => &$row,)*
                }
            }
        }
    };
}

table! {
    OpenAiChat: openai_chat::WIRE,
    OpenAiResponses: openai_responses::WIRE,
    OpenAiCompletions: openai_completions::WIRE,
    OpenAiEmbeddings: openai_embeddings::WIRE,
    AnthropicMessages: anthropic::WIRE,
    Gemini: gemini::WIRE,
    Ollama: ollama::WIRE,
    BedrockConverse: bedrock::WIRE,
    GeminiGrpc: google_grpc::GEMINI,
    VertexGrpc: google_grpc::VERTEX,
    KServeGrpc: kserve::WIRE,
    KServeStreamGrpc: kserve::STREAM,
}

#[cfg(test)]
mod tests;
