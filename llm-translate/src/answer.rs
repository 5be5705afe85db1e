//! An answer in no dialect, piece by piece and whole.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use llm_exchange::{
    FinishReason, Usage,
    stream::{Delta, DeltaKind, DeltaReader},
};

use crate::error::Unsaid;

/// More calls of tools than an answer has.
const MOST_CALLS: usize = 1024;
/// As many choices as OpenAI, who gives the most, lets a call ask for. They are numbered from 0 on.
const MOST_CHOICES: u64 = 128;

/// What stands in every event of a stream, and at the beginning of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds of Unix time.
    pub(crate) created: u64,
}

/// The next characters of something, and of what.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) choice: u64,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Reasoning,
    Refusal,
    /// A call of a tool, by its number within the choice; the text is of its arguments. With its first
    /// piece come its id and the tool's name.
    Call {
        number: u64,
        begins: Option<Begins>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begins {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Stop,
    Call,
    Length,
    Filtered,
    /// In words.
    Refused,
}

/// How the answer as a whole ended.
pub(crate) struct End {
    pub(crate) choices: Vec<(u64, Ended)>,
    pub(crate) usage: Option<Usage>,
}

/// Makes pieces of deltas: calls are numbered within their choice, and have an id.
#[derive(Default)]
pub(crate) struct Pieces {
    /// By choice and the dialect's own number.
    calls: BTreeMap<(u64, u64), u64>,
    refused: Vec<u64>,
}

impl Pieces {
    /// The delta's piece, unless it is of one choice or call more than an answer has.
    pub(crate) fn piece(&mut self, delta: Delta, head: &Head) -> Result<Piece, Unsaid> {
        let choice = within(delta.choice)?;
        let kind = match delta.kind {
            DeltaKind::Reasoning => Kind::Reasoning,
            DeltaKind::Refusal => {
                if !self.refused.contains(&choice) {
                    self.refused.push(choice);
                }
                Kind::Refusal
            }
            DeltaKind::ToolCall { index, id, name } => {
                let known = self.calls.get(&(choice, index)).copied();
                let number = known.unwrap_or_else(|| self.calls_of(choice));
                let begins = known.is_none().then(|| Begins {
                    id: id.unwrap_or_else(|| format!("call_{}_{choice}_{number}", head.id)),
                    name: name.unwrap_or_default(),
                });
                if begins.is_some() {
                    if self.calls.len() >= MOST_CALLS {
                        return Err(Unsaid::TooLarge);
                    }
                    self.calls.insert((choice, index), number);
                }
                Kind::Call { number, begins }
            }
            _ => Kind::Text,
        };
        Ok(Piece {
            choice,
            kind,
            text: delta.text,
        })
    }

    fn calls_of(&self, choice: u64) -> u64 {
        self.calls.range((choice, 0)..=(choice, u64::MAX)).count() as u64
    }

    /// How it ended, once it has.
    pub(crate) fn end(&self, read: &DeltaReader) -> Result<End, Unsaid> {
        let choices = read.finishes().map(|(choice, reason)| {
            let choice = within(choice)?;
            let ended = match FinishReason::of(reason) {
                FinishReason::Stop if self.refused.contains(&choice) => Ended::Refused,
                // Gemini's calls end so
                FinishReason::Stop if self.calls_of(choice) > 0 => Ended::Call,
                FinishReason::Stop => Ended::Stop,
                FinishReason::Tool => Ended::Call,
                // it is not all that there would have been
                FinishReason::Length | FinishReason::Continue => Ended::Length,
                FinishReason::Filtered => Ended::Filtered,
                _ => return Err(Unsaid::Ended(reason.to_owned())),
            };
            Ok((choice, ended))
        });
        Ok(End {
            choices: choices.collect::<Result<_, _>>()?,
            usage: read.usage(),
        })
    }
}

fn within(choice: u64) -> Result<u64, Unsaid> {
    match choice < MOST_CHOICES {
        true => Ok(choice),
        false => Err(Unsaid::Choices),
    }
}

/// A whole answer.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) choices: Vec<Choice>,
}

#[derive(Default)]
pub(crate) struct Choice {
    pub(crate) number: u64,
    /// In the order in which they were said; none is like the one before it.
    pub(crate) pieces: Vec<Whole>,
}

/// All of a text, or of a call.
#[derive(Clone)]
pub(crate) enum Whole {
    Text(String),
    Reasoning(String),
    Refusal(String),
    Call {
        id: String,
        name: String,
        arguments: String,
    },
}

impl Answer {
    pub(crate) fn push(&mut self, piece: Piece) {
        let choice = self.choice(piece.choice);
        let text = piece.text;
        match (piece.kind, choice.pieces.last_mut()) {
            (Kind::Text, Some(Whole::Text(all)))
            | (Kind::Reasoning, Some(Whole::Reasoning(all)))
            | (Kind::Refusal, Some(Whole::Refusal(all))) => all.push_str(&text),
            (Kind::Text, _) => choice.pieces.push(Whole::Text(text)),
            (Kind::Reasoning, _) => choice.pieces.push(Whole::Reasoning(text)),
            (Kind::Refusal, _) => choice.pieces.push(Whole::Refusal(text)),
            (
                Kind::Call {
                    begins: Some(Begins { id, name }),
                    ..
                },
                _,
            ) => {
                choice.pieces.push(Whole::Call {
                    id,
                    name,
                    arguments: text,
                });
            }
            (
                Kind::Call {
                    number,
                    begins: None,
                },
                _,
            ) => {
                let mut calls = choice.pieces.iter_mut().filter_map(|piece| match piece {
                    Whole::Call { arguments, .. } => Some(arguments),
                    _ => None,
                });
                let call = usize::try_from(number).ok().and_then(|at| calls.nth(at));
                if let Some(arguments) = call {
                    arguments.push_str(&text);
                }
            }
        }
    }

    /// A choice, in the order of their numbers.
    pub(crate) fn choice(&mut self, number: u64) -> &mut Choice {
        let at = match self
            .choices
            .binary_search_by_key(&number, |choice| choice.number)
        {
            Ok(at) => at,
            Err(at) => {
                let choice = Choice {
                    number,
                    pieces: Vec::new(),
                };
                self.choices.insert(at, choice);
                at
            }
        };
        &mut self.choices[at]
    }
}

impl Choice {
    /// All texts of a kind in one; `None` if there is none.
    pub(crate) fn all(&self, of: impl Fn(&Whole) -> Option<&str>) -> Option<String> {
        let mut texts = self.pieces.iter().filter_map(of).peekable();
        texts.peek()?;
        Some(texts.collect())
    }
}

/// An id for what has none: another one each time.
pub(crate) fn some_id() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// A call's arguments as the object that they have to be; `None`: the model wrote something else.
pub(crate) fn arguments(
    json: &str,
) -> Option<std::borrow::Cow<'static, serde_json::value::RawValue>> {
    crate::conversation::input(json).ok()
}
