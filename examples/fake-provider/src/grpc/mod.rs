//! Google's two LLM services and KServe's over gRPC, by a real tonic server.

mod body;
mod kserve;
mod service;
mod services;
mod status;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use google_protos::{
    aiplatform::{self, prediction_service_server::PredictionServiceServer},
    generativelanguage::{self, generative_service_server::GenerativeServiceServer},
    inference::{self, grpc_inference_service_server::GrpcInferenceServiceServer},
};
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use hyper::body::Incoming;
use prost::Message;
use tower_service::Service;

pub(crate) use self::body::GrpcBody;
use self::service::Scripted;
use crate::{behaviour::Behaviour, log::Ticket};

/// A gRPC call, as far as the script needs it.
pub(crate) struct Call {
    request: Request<tonic::body::Body>,
    api: Api,
    model: String,
}

#[derive(Clone, Copy)]
enum Api {
    GenerativeLanguage,
    AiPlatform,
    KServe,
}

/// Of a message's frame, what stands before the message.
const PREFIX: usize = 5;

/// The service and the method of a call.
fn named(head: &Parts) -> Option<(Api, &str, &str)> {
    if head.method != Method::POST {
        return None;
    }
    // whatever stands before them is a proxy's
    let (before, method) = head.uri.path().rsplit_once('/')?;
    let (_, service) = before.rsplit_once('/')?;
    let (api, methods) = match service {
        "google.ai.generativelanguage.v1beta.GenerativeService" => {
            (Api::GenerativeLanguage, GOOGLES_METHODS)
        }
        "google.cloud.aiplatform.v1.PredictionService" => (Api::AiPlatform, GOOGLES_METHODS),
        "inference.GRPCInferenceService" => (Api::KServe, ["ModelInfer", "ModelStreamInfer"]),
        _ => return None,
    };
    methods.contains(&method).then_some((api, service, method))
}

const GOOGLES_METHODS: [&str; 2] = ["GenerateContent", "StreamGenerateContent"];

/// Whether a request is of a method whose caller may go on sending while it is answered.
pub(crate) fn goes_both_ways(head: &Parts) -> bool {
    named(head).is_some_and(|(_, _, method)| method == "ModelStreamInfer")
}

/// Reads up to the end of the first message.
///
/// # Errors
///
/// That of the body.
pub(crate) async fn first_message<B>(body: &mut B) -> Result<Bytes, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = BytesMut::new();
    loop {
        if length(&read).is_some_and(|length| PREFIX + length <= read.len()) {
            return Ok(read.freeze());
        }
        match body.frame().await {
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Some(Err(error)) => return Err(error),
            None => return Ok(read.freeze()),
        }
    }
}

impl Call {
    /// `None`: it is none. `rest` is what of the body is still to come.
    pub(crate) fn of(head: &Parts, body: &Bytes, rest: Option<Incoming>) -> Option<Self> {
        let (api, service, method) = named(head)?;
        let message = first(body);
        // what can't be read tonic refuses later
        let model = match api {
            Api::GenerativeLanguage => {
                generativelanguage::GenerateContentRequest::decode(message).map(|ask| ask.model)
            }
            Api::AiPlatform => {
                aiplatform::GenerateContentRequest::decode(message).map(|ask| ask.model)
            }
            Api::KServe => inference::ModelInferRequest::decode(message).map(|ask| ask.model_name),
        };
        let model = model.unwrap_or_default();
        let body = match rest {
            None => tonic::body::Body::new(Full::new(body.clone())),
            Some(rest) => {
                let begun = stream::once(std::future::ready(Ok(Frame::data(body.clone()))));
                let body = StreamBody::new(begun.chain(BodyStream::new(rest)));
                tonic::body::Body::new(body)
            }
        };
        let mut request = Request::from_parts(head.clone(), body);
        // as tonic's servers know it
        *request.uri_mut() = format!("/{service}/{method}").parse().ok()?;
        Some(Self {
            request,
            api,
            model: model.rsplit('/').next().unwrap_or_default().to_owned(),
        })
    }

    pub(crate) fn model(&self) -> &str {
        &self.model
    }
}

/// The length of the first message of a body.
fn length(body: &[u8]) -> Option<usize> {
    let length = body.get(1..PREFIX)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

/// The first message of a body, as far as it is there.
fn first(body: &[u8]) -> &[u8] {
    let message = body.get(PREFIX..).unwrap_or_default();
    let length = length(body).unwrap_or_default();
    message.get(..length).unwrap_or(message)
}

/// Answers a call.
pub(crate) async fn answer(
    call: Call,
    number: u64,
    behaviour: Behaviour,
    ticket: Ticket,
) -> Response<GrpcBody> {
    let path = call.request.uri().path();
    let unary = path.ends_with("/GenerateContent") || path.ends_with("/ModelInfer");
    let scripted = Scripted::new(number, call.model, behaviour.clone());
    let Ok(response) = match call.api {
        Api::GenerativeLanguage => {
            GenerativeServiceServer::new(scripted)
                .call(call.request)
                .await
        }
        Api::AiPlatform => {
            PredictionServiceServer::new(scripted)
                .call(call.request)
                .await
        }
        Api::KServe => {
            GrpcInferenceServiceServer::new(scripted)
                .call(call.request)
                .await
        }
    };
    ticket.status(StatusCode::OK);
    response.map(|body| GrpcBody::new(body, ticket, &behaviour, unary))
}
