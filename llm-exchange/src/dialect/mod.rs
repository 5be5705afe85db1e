//! Which wire format a call speaks. One file per dialect, each with its row of the table; the table
//! is [`Dialect::wire`].

mod anthropic;
mod anthropic_usage;
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
/// | [`OpenAiEmbeddings`](Dialect::OpenAiEmbeddings) | `/embeddings` |
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
    pub(crate) const COUNT: usize = Self::KServeStreamGrpc as usize + 1;

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

    /// Whether requests go on while answers come: then a request has no end to be waited for, nor an
    /// answer a first one that comes of itself.
    #[must_use]
    pub const fn goes_both_ways(self) -> bool {
        matches!(self, Self::KServeStreamGrpc)
    }

    /// Whether its clients pass over comments in a stream of server-sent events, as they should. Google's
    /// own do not: they take one for JSON, and fail.
    #[must_use]
    pub const fn reads_comments(self) -> bool {
        !matches!(self, Self::Gemini)
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

    /// The table: what is known of each format, and who reads it.
    pub(crate) const fn wire(self) -> &'static Wire {
        match self {
            Self::OpenAiChat => &openai_chat::WIRE,
            Self::OpenAiResponses => &openai_responses::WIRE,
            Self::OpenAiCompletions => &openai_completions::WIRE,
            Self::OpenAiEmbeddings => &openai_embeddings::WIRE,
            Self::AnthropicMessages => &anthropic::WIRE,
            Self::Gemini => &gemini::WIRE,
            Self::Ollama => &ollama::WIRE,
            Self::BedrockConverse => &bedrock::WIRE,
            Self::GeminiGrpc => &google_grpc::GEMINI,
            Self::VertexGrpc => &google_grpc::VERTEX,
            Self::KServeGrpc => &kserve::WIRE,
            Self::KServeStreamGrpc => &kserve::STREAM,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Decoder;

    #[test]
    fn what_keeps_a_stream_alive_is_no_event_and_part_of_none() {
        for dialect in [
            Dialect::OpenAiChat,
            Dialect::AnthropicMessages,
            Dialect::Gemini,
        ] {
            let silence = dialect.keep_alive();
            let mut decoder = Decoder::new();
            decoder.push(
                format!("{silence}data: 1\n\n{silence}{silence}data: 2\r\n\r\n{silence}").into(),
            );
            let mut said = Vec::new();
            while let Some(event) = decoder.next_event() {
                said.extend(event.unwrap().data().map(|data| data.to_vec()));
            }
            assert_eq!(said, [b"1", b"2"], "{dialect:?}");
        }
        assert!(!Dialect::Gemini.keep_alive().contains(':'));
    }
}
