//! KServe's inference service, with Triton's stream: tensors, and no word of tokens.

use std::{collections::HashMap, pin::Pin};

use futures_util::{Stream, StreamExt as _, stream};
use google_protos::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse, Tensor,
    grpc_inference_service_server::GrpcInferenceService, infer_parameter::ParameterChoice,
};
use tonic::{Request, Response, Status, Streaming};

use super::service::{Piece, Scripted, is_cut, paced, pieces, whole};
use crate::ask::Answer;

/// The type of tensors of texts.
const TEXTS: &str = "BYTES";

/// The texts among the inputs.
fn prompt(ask: &ModelInferRequest) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut texts = Vec::new();
    for (number, input) in ask.inputs.iter().enumerate() {
        if input.datatype != TEXTS {
            continue;
        }
        match (&input.contents, ask.raw_input_contents.get(number)) {
            (Some(contents), _) => {
                texts.extend(contents.bytes_contents.iter().map(|one| text(one)))
            }
            (None, Some(raw)) => texts.extend(elements(raw).map(text)),
            (None, None) => {}
        }
    }
    texts
}

/// The elements of a raw tensor of texts: each has its length before it.
fn elements(mut raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = raw.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (element, rest) = rest.split_at_checked(length)?;
        raw = rest;
        Some(element)
    })
}

fn raw(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], text.as_bytes()].concat()
}

fn cap(ask: &ModelInferRequest) -> Option<i32> {
    match ask.parameters.get("max_tokens")?.parameter_choice {
        Some(ParameterChoice::Int64Param(cap)) => i32::try_from(cap).ok(),
        _ => None,
    }
}

/// What all answers to a request have.
#[derive(Clone)]
struct Frame {
    model: String,
    id: String,
}

impl Frame {
    fn of(ask: &ModelInferRequest) -> Self {
        Self {
            model: ask.model_name.clone(),
            id: ask.id.clone(),
        }
    }

    fn response(&self, text: &str) -> ModelInferResponse {
        let output = Tensor {
            name: "text_output".into(),
            datatype: TEXTS.into(),
            shape: vec![1],
            contents: None,
        };
        ModelInferResponse {
            outputs: vec![output],
            raw_output_contents: vec![raw(text)],
            ..self.empty()
        }
    }

    fn empty(&self) -> ModelInferResponse {
        ModelInferResponse {
            model_name: self.model.clone(),
            model_version: "1".into(),
            id: self.id.clone(),
            ..ModelInferResponse::default()
        }
    }

    /// One of a stream; the last has nothing in it but that it is the last.
    fn streamed(&self, piece: &Piece) -> ModelStreamInferResponse {
        let response = if piece.finish == 0 {
            self.response(&piece.text)
        } else {
            let last = InferParameter {
                parameter_choice: Some(ParameterChoice::BoolParam(true)),
            };
            ModelInferResponse {
                parameters: HashMap::from([("triton_final_response".into(), last)]),
                ..self.empty()
            }
        };
        ModelStreamInferResponse {
            error_message: String::new(),
            infer_response: Some(response),
        }
    }
}

fn answer(scripted: &Scripted, ask: &ModelInferRequest) -> Answer {
    scripted.answer(&prompt(ask), cap(ask), None)
}

type Answers = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

/// The answers to one request of a stream.
fn answers(scripted: &Scripted, ask: &ModelInferRequest) -> Answers {
    let frame = Frame::of(ask);
    let pieces = paced(pieces(&answer(scripted, ask)), &scripted.behaviour);
    Box::pin(pieces.map(move |piece| match piece {
        Ok(piece) => Ok(frame.streamed(&piece)),
        Err(cut) if is_cut(&cut) => Err(cut),
        // of this request alone: the call goes on
        Err(status) => Ok(ModelStreamInferResponse {
            error_message: status.message().to_owned(),
            infer_response: None,
        }),
    }))
}

#[tonic::async_trait]
impl GrpcInferenceService for Scripted {
    type ModelStreamInferStream = Answers;

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.refused(true)?;
        let ask = request.get_ref();
        let answer = answer(self, ask);
        self.pause(answer.deltas()).await;
        let text = whole(&answer).text;
        Ok(Response::new(Frame::of(ask).response(&text)))
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        self.refused(false)?;
        let scripted = self.clone();
        let all = request.into_inner().flat_map(move |ask| match ask {
            Ok(ask) => answers(&scripted, &ask),
            Err(status) => Box::pin(stream::once(async { Err(status) })),
        });
        Ok(Response::new(Box::pin(all)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_out_of_both_kinds_of_contents() {
        let tensor = |contents| Tensor {
            datatype: TEXTS.into(),
            contents,
            ..Tensor::default()
        };
        let contents = google_protos::inference::TensorContents {
            bytes_contents: vec![b"a".to_vec(), b"b".to_vec()],
            ..Default::default()
        };
        let mut ask = ModelInferRequest {
            inputs: vec![tensor(Some(contents)), Tensor::default()],
            ..ModelInferRequest::default()
        };
        assert_eq!(prompt(&ask), ["a", "b"]);
        ask.inputs = vec![tensor(None)];
        ask.raw_input_contents = vec![[raw("one"), raw(""), vec![9, 0, 0, 0, 1]].concat()];
        // what is cut short is left out
        assert_eq!(prompt(&ask), ["one", ""]);
    }
}
