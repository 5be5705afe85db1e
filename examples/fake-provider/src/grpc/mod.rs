//! Google's two LLM services over gRPC, by a real tonic server.

mod body;
mod service;
mod services;
mod status;

use bytes::Bytes;
use google_protos::{
    aiplatform::{self, prediction_service_server::PredictionServiceServer},
    generativelanguage::{self, generative_service_server::GenerativeServiceServer},
};
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use prost::Message;
use tower_service::Service;

pub(crate) use self::body::GrpcBody;
use self::service::Scripted;
use crate::{behaviour::Behaviour, log::Ticket};

/// A gRPC call, as far as the script needs it.
pub(crate) struct Call {
    request: Request<Full<Bytes>>,
    api: Api,
    model: String,
}

#[derive(Clone, Copy)]
enum Api {
    GenerativeLanguage,
    AiPlatform,
}

/// Of a message's frame, what stands before the message.
const PREFIX: usize = 5;

impl Call {
    /// `None`: it is none.
    pub(crate) fn of(head: &Parts, body: &Bytes) -> Option<Self> {
        // whatever stands before them is a proxy's
        let (before, method) = head.uri.path().rsplit_once('/')?;
        let (_, service) = before.rsplit_once('/')?;
        let known = matches!(method, "GenerateContent" | "StreamGenerateContent");
        let api = match service {
            "google.ai.generativelanguage.v1beta.GenerativeService" => Api::GenerativeLanguage,
            "google.cloud.aiplatform.v1.PredictionService" => Api::AiPlatform,
            _ => return None,
        };
        if !known || head.method != Method::POST {
            return None;
        }
        let message = body.get(PREFIX..).unwrap_or_default();
        // what can't be read tonic refuses later
        let model = match api {
            Api::GenerativeLanguage => {
                generativelanguage::GenerateContentRequest::decode(message).map(|ask| ask.model)
            }
            Api::AiPlatform => {
                aiplatform::GenerateContentRequest::decode(message).map(|ask| ask.model)
            }
        };
        let model = model.unwrap_or_default();
        let mut request = Request::from_parts(head.clone(), Full::new(body.clone()));
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

/// Answers a call.
pub(crate) async fn answer(
    call: Call,
    number: u64,
    behaviour: Behaviour,
    ticket: Ticket,
) -> Response<GrpcBody> {
    let unary = call.request.uri().path().ends_with("/GenerateContent");
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
    };
    ticket.status(StatusCode::OK);
    response.map(|body| GrpcBody::new(body, ticket, &behaviour, unary))
}
