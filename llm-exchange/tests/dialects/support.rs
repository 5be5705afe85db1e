//! Calls of every dialect, and their answers as bodies cut anywhere.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use llm_exchange::{Call, Dialect, Meter, Payload};
use testkit::{BoxError, ScriptedBody};

pub(crate) type Chunks = ScriptedBody<BoxError>;

pub(crate) const GEMINI: &str = "/google.ai.generativelanguage.v1beta.GenerativeService";
pub(crate) const VERTEX: &str = "/google.cloud.aiplatform.v1.PredictionService";

/// A path of the dialect, for a stream or not.
pub(crate) fn path(dialect: Dialect, stream: bool) -> String {
    match (dialect, stream) {
        (Dialect::OpenAiChat, _) => "/v1/chat/completions".into(),
        (Dialect::OpenAiResponses, _) => "/v1/responses".into(),
        (Dialect::OpenAiCompletions, _) => "/v1/completions".into(),
        (Dialect::OpenAiEmbeddings, _) => "/v1/embeddings".into(),
        (Dialect::AnthropicMessages, _) => "/v1/messages".into(),
        (Dialect::Gemini, false) => "/v1beta/models/m:generateContent".into(),
        (Dialect::Gemini, true) => "/v1beta/models/m:streamGenerateContent".into(),
        (Dialect::Ollama, _) => "/api/chat".into(),
        (Dialect::BedrockConverse, false) => "/model/m/converse".into(),
        (Dialect::BedrockConverse, true) => "/model/m/converse-stream".into(),
        (Dialect::GeminiGrpc, false) => format!("{GEMINI}/GenerateContent"),
        (Dialect::GeminiGrpc, true) => format!("{GEMINI}/StreamGenerateContent"),
        (Dialect::VertexGrpc, false) => format!("{VERTEX}/GenerateContent"),
        (Dialect::VertexGrpc, true) => format!("{VERTEX}/StreamGenerateContent"),
        (Dialect::KServeGrpc, _) => "/inference.GRPCInferenceService/ModelInfer".into(),
        (Dialect::KServeStreamGrpc, _) => "/inference.GRPCInferenceService/ModelStreamInfer".into(),
        (other, _) => panic!("{other:?}"),
    }
}

/// A message with its gRPC prefix.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

pub(crate) fn request(dialect: Dialect, path: &str, body: impl Into<Bytes>) -> Request<Payload> {
    let body = body.into();
    let kind = if dialect.is_grpc() {
        "application/grpc"
    } else {
        "application/json"
    };
    let request = Request::post(path)
        .header("content-type", kind)
        .header("content-length", body.len())
        .body(Full::new(body))
        .unwrap();
    Payload::read(request, 1 << 20).now_or_never().unwrap()
}

pub(crate) fn call(dialect: Dialect, stream: bool) -> Arc<Call> {
    let body = match dialect {
        _ if dialect.is_grpc() => framed(&[]),
        Dialect::Gemini | Dialect::BedrockConverse => Bytes::from("{}"),
        _ => Bytes::from(format!("{{\"model\":\"m\",\"stream\":{stream}}}")),
    };
    let request = request(dialect, &path(dialect, stream), body);
    Arc::clone(Call::of(&request).unwrap())
}

/// The media type that a file has by its name.
pub(crate) fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("sse") => "text/event-stream; charset=utf-8",
        Some("ndjson") => "application/x-ndjson",
        Some("bin") => "application/vnd.amazon.eventstream",
        Some("hex") => "application/grpc+proto",
        _ => "application/json; charset=UTF-8",
    }
}

pub(crate) fn response(media_type: &str, body: Chunks) -> Response<Chunks> {
    Response::builder()
        .header("content-type", media_type)
        .body(body)
        .unwrap()
}

/// Chunks, then trailers if there are any.
pub(crate) fn chunks(parts: Vec<Vec<u8>>, trailers: Option<&HeaderMap>) -> Chunks {
    let mut body = Chunks::chunks(parts);
    if let Some(trailers) = trailers {
        body = body.trailers(trailers.clone());
    }
    body
}

/// Reads an answer to its end, and says what it came to.
pub(crate) async fn met(media_type: &str, body: Chunks, call: &Call) -> Meter {
    let (meter, response) = Meter::attach(response(media_type, body), call);
    let _ = response.into_body().collect().await;
    meter
}

/// In one piece, byte by byte, and in two, cut anywhere.
pub(crate) fn cuts(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut cuts = vec![
        vec![bytes.to_vec()],
        bytes.chunks(1).map(<[u8]>::to_vec).collect(),
    ];
    let two = |at: usize| vec![bytes[..at].to_vec(), bytes[at..].to_vec()];
    cuts.extend((1..bytes.len()).map(two));
    cuts
}
