//! The two services, which differ only in the numbers of their fields.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::service::{Piece, Scripted, paced, pieces, whole};
use crate::ask::Answer;

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

macro_rules! service {
    ($proto:ident, $service_mod:ident, $Service:ident) => {
        pub(super) mod $proto {
            use google_protos::$proto::{
                Candidate, Content, FunctionCall, GenerateContentRequest, GenerateContentResponse,
                Part, UsageMetadata, $service_mod::$Service,
            };

            use super::*;

            fn texts(content: &Content) -> String {
                let texts: Vec<_> = content
                    .parts
                    .iter()
                    .filter_map(|part| part.text.as_deref())
                    .collect();
                texts.join(" ")
            }

            fn answer(scripted: &Scripted, ask: &GenerateContentRequest) -> Answer {
                let turns = ask.system_instruction.iter().chain(&ask.contents);
                let prompt: Vec<_> = turns.map(texts).collect();
                let config = ask.generation_config.unwrap_or_default();
                scripted.answer(&prompt, config.max_output_tokens, config.candidate_count)
            }

            fn count(tokens: usize) -> i32 {
                i32::try_from(tokens).unwrap_or(i32::MAX)
            }

            /// What all pieces of an answer have.
            struct Frame {
                model: String,
                id: String,
                choices: usize,
                prompt: usize,
                usage: bool,
            }

            impl Frame {
                fn of(answer: &Answer) -> Self {
                    Self {
                        model: answer.model.clone(),
                        id: format!("resp_fake_{}", answer.number),
                        choices: answer.choices,
                        prompt: answer.prompt_tokens,
                        usage: answer.usage,
                    }
                }

                fn response(&self, piece: Piece) -> GenerateContentResponse {
                    let part = match piece.tool {
                        Some(name) => Part {
                            function_call: Some(FunctionCall { name }),
                            ..Part::default()
                        },
                        None => Part {
                            text: Some(piece.text),
                            thought: piece.thought,
                            ..Part::default()
                        },
                    };
                    let content = Content {
                        parts: vec![part],
                        role: "model".into(),
                    };
                    let candidates = (0..self.choices).map(|index| Candidate {
                        content: Some(content.clone()),
                        finish_reason: piece.finish,
                        index: count(index),
                    });
                    let (thoughts, output) =
                        (piece.thoughts * self.choices, piece.output * self.choices);
                    let usage = UsageMetadata {
                        prompt_token_count: count(self.prompt),
                        candidates_token_count: count(output),
                        thoughts_token_count: count(thoughts),
                        total_token_count: count(self.prompt + output + thoughts),
                        ..UsageMetadata::default()
                    };
                    GenerateContentResponse {
                        candidates: candidates.collect(),
                        prompt_feedback: None,
                        usage_metadata: self.usage.then_some(usage),
                        model_version: self.model.clone(),
                        response_id: self.id.clone(),
                    }
                }
            }

            #[tonic::async_trait]
            impl $Service for Scripted {
                type StreamGenerateContentStream = Boxed<GenerateContentResponse>;

                async fn generate_content(
                    &self,
                    request: Request<GenerateContentRequest>,
                ) -> Result<Response<GenerateContentResponse>, Status> {
                    self.refused(true)?;
                    let answer = answer(self, request.get_ref());
                    self.pause(answer.deltas()).await;
                    Ok(Response::new(Frame::of(&answer).response(whole(&answer))))
                }

                async fn stream_generate_content(
                    &self,
                    request: Request<GenerateContentRequest>,
                ) -> Result<Response<Self::StreamGenerateContentStream>, Status> {
                    self.refused(false)?;
                    let answer = answer(self, request.get_ref());
                    let frame = Frame::of(&answer);
                    let pieces = paced(pieces(&answer), &self.behaviour);
                    let stream = pieces.map(move |piece| piece.map(|piece| frame.response(piece)));
                    Ok(Response::new(Box::pin(stream)))
                }
            }
        }
    };
}

service!(
    generativelanguage,
    generative_service_server,
    GenerativeService
);
service!(aiplatform, prediction_service_server, PredictionService);
