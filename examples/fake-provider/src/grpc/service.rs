//! What a call is answered with, and when; in neither service's numbering.

use std::{future, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::sleep;
use tonic::Status;

use super::status::status;
use crate::{
    ask::{Answer, Ask, tokens},
    behaviour::{At, Behaviour, BodyFault, Fault, Pace},
    failure::Failure,
};

/// By this in its trailers the body knows that it is to be cut instead.
pub(super) const CUT: &str = "x-fake-cut";

/// Whether a status is no status, but where the body is to be cut.
pub(super) fn is_cut(status: &Status) -> bool {
    status.metadata().contains_key(CUT)
}

/// A service for one call.
#[derive(Clone)]
pub(super) struct Scripted {
    pub(super) number: u64,
    model: String,
    pub(super) behaviour: Behaviour,
}

/// A piece of an answer.
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) thought: bool,
    pub(super) tool: Option<String>,
    pub(super) finish: i32,
    /// Tokens of reasoning so far, and of the rest.
    pub(super) thoughts: usize,
    pub(super) output: usize,
    delta: bool,
}

impl Scripted {
    pub(super) const fn new(number: u64, model: String, behaviour: Behaviour) -> Self {
        Self {
            number,
            model,
            behaviour,
        }
    }

    /// The status of an error answer, if it is to be one.
    pub(super) fn refused(&self, unary: bool) -> Result<(), Status> {
        match &self.behaviour.fault {
            Some(Fault::Fail(failure)) => Err(status(failure)),
            Some(Fault::Body(_, BodyFault::Error(error))) if unary => {
                Err(in_trailers(error.as_deref()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn answer(
        &self,
        prompt: &[String],
        cap: Option<i32>,
        choices: Option<i32>,
    ) -> Answer {
        let ask = Ask {
            model: self.model.clone(),
            stream: false,
            include_usage: true,
            running_usage: true,
            choices: usize::try_from(choices.unwrap_or(1))
                .unwrap_or(1)
                .clamp(1, 128),
            cap: cap.and_then(|cap| usize::try_from(cap).ok()),
            prompt_tokens: prompt.iter().map(|text| tokens(text)).sum(),
            last_user: prompt.last().cloned().unwrap_or_default(),
            tool: None,
        };
        ask.answer(self.number, &self.behaviour)
    }
}

impl Scripted {
    /// Waits as long as an answer of so many deltas takes that is not streamed.
    pub(super) async fn pause(&self, deltas: usize) {
        let pace = &self.behaviour.pace;
        let deltas = u32::try_from(deltas).unwrap_or(u32::MAX);
        sleep(pace.think + pace.delta.saturating_mul(deltas)).await;
    }
}

fn in_trailers(error: Option<&Failure>) -> Status {
    status(error.unwrap_or(&Failure::overloaded()))
}

fn finish(answer: &Answer) -> i32 {
    if answer.capped { 2 } else { 1 }
}

pub(super) fn whole(answer: &Answer) -> Piece {
    Piece {
        text: answer.text(),
        thought: false,
        tool: answer.tool.clone(),
        finish: finish(answer),
        thoughts: answer.reasoning.len(),
        output: answer.pieces.len(),
        delta: false,
    }
}

pub(super) fn pieces(answer: &Answer) -> Vec<Piece> {
    let thoughts = answer.reasoning.len();
    let deltas = answer.reasoning.iter().chain(&answer.pieces).enumerate();
    let mut all: Vec<_> = deltas
        .map(|(at, text)| {
            let thought = thoughts.min(at + 1);
            Piece {
                text: text.clone(),
                thought: at < thoughts,
                tool: answer.tool.clone().filter(|_| at >= thoughts),
                finish: 0,
                thoughts: thought,
                output: at + 1 - thought,
                delta: true,
            }
        })
        .collect();
    all.push(Piece {
        text: String::new(),
        thought: false,
        tool: None,
        delta: false,
        ..whole(answer)
    });
    all
}

/// The pieces in their time, up to where something goes wrong.
pub(super) fn paced(
    pieces: Vec<Piece>,
    behaviour: &Behaviour,
) -> impl Stream<Item = Result<Piece, Status>> + Send + use<> {
    let pace = behaviour.pace.clone();
    let (at, fault) = match &behaviour.fault {
        Some(Fault::Body(at, fault)) => (Some(*at), fault.clone()),
        _ => (None, BodyFault::End),
    };
    let deltas = pieces.iter().filter(|piece| piece.delta).count();
    let last = match at {
        Some(At::Delta(k)) => k.get().min(deltas),
        Some(At::First | At::Opened) => 0,
        None => usize::MAX,
    };
    let before = pieces.into_iter().take(last).map(Some);
    let healthy = last == usize::MAX;
    let all: Vec<_> = before.chain((!healthy).then_some(None)).collect();
    stream::iter(all.into_iter().enumerate()).then(move |(nth, piece)| {
        let (pace, fault) = (pace.clone(), fault.clone());
        async move {
            match piece {
                Some(piece) => {
                    sleep(before_piece(&pace, nth, piece.delta)).await;
                    Ok(piece)
                }
                None => Err(trouble(fault).await),
            }
        }
    })
}

fn before_piece(pace: &Pace, nth: usize, delta: bool) -> Duration {
    match (nth, delta) {
        (0, _) => pace.think,
        (_, true) => pace.delta,
        (_, false) => Duration::ZERO,
    }
}

async fn trouble(fault: BodyFault) -> Status {
    let cut = |how: &'static str| {
        let mut status = Status::unknown("cut");
        if let Ok(how) = how.parse() {
            status.metadata_mut().insert(CUT, how);
        }
        status
    };
    match fault {
        BodyFault::Stall => future::pending().await,
        BodyFault::Break => cut("break"),
        BodyFault::End => cut("end"),
        BodyFault::Error(error) => in_trailers(error.as_deref()),
    }
}
