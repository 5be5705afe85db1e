//! A request in no dialect: what a reader makes of one, and a writer writes in another.

mod names;

use std::borrow::Cow;

use serde_json::value::RawValue;

pub(crate) use self::names::{CHAT, GEMINI, MESSAGES, Names, RESPONSES};
use crate::{error::NotTranslated, json::Raw};

/// All that a request asks, borrowed from its bytes.
pub(crate) struct Conversation<'a> {
    /// What the caller's dialect calls things, for what cannot be carried over.
    pub(crate) names: &'static Names,
    pub(crate) model: Option<Cow<'a, str>>,
    pub(crate) system: Vec<Cow<'a, str>>,
    pub(crate) turns: Vec<Turn<'a>>,
    pub(crate) tools: Vec<Tool<'a>>,
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
    pub(crate) parallel_calls: Option<bool>,
    pub(crate) sampling: Sampling<'a>,
    pub(crate) stops: Vec<Cow<'a, str>>,
    pub(crate) format: Option<Format<'a>>,
    pub(crate) cap: Option<u64>,
    pub(crate) choices: u64,
    pub(crate) effort: Option<Effort>,
    pub(crate) thinking: Option<Thinking>,
    pub(crate) user: Option<Cow<'a, str>>,
    pub(crate) stream: bool,
    /// A stream is to say its usage.
    pub(crate) usage: bool,
    /// What an answer of responses repeats of its request.
    pub(crate) echo: Echo<'a>,
    /// It may end with the assistant's turn.
    pub(crate) carries_last_turn: bool,
    /// What is not carried over and changes nothing of the answer's meaning, or only how it is got.
    pub(crate) left_out: Vec<&'static str>,
}

/// What an answer of OpenAI responses says again.
#[derive(Clone, Copy, Default)]
pub(crate) struct Echo<'a> {
    pub(crate) tools: Option<Raw<'a>>,
    pub(crate) tool_choice: Option<Raw<'a>>,
    pub(crate) parallel_calls: Option<bool>,
}

/// How the next token is drawn; numbers keep their digits.
#[derive(Default)]
pub(crate) struct Sampling<'a> {
    pub(crate) temperature: Option<Raw<'a>>,
    pub(crate) top_p: Option<Raw<'a>>,
    pub(crate) top_k: Option<Raw<'a>>,
    pub(crate) presence_penalty: Option<Raw<'a>>,
    pub(crate) frequency_penalty: Option<Raw<'a>>,
    pub(crate) seed: Option<Raw<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Instructions after the conversation began.
    System,
    User,
    Assistant,
}

pub(crate) struct Turn<'a> {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part<'a>>,
}

pub(crate) struct Part<'a> {
    /// The number of the caller's message that it stands in.
    pub(crate) message: usize,
    pub(crate) said: Said<'a>,
}

pub(crate) enum Said<'a> {
    Text(Cow<'a, str>),
    Image(Image<'a>),
    Call(Call<'a>),
    Result(CallResult<'a>),
}

pub(crate) enum Image<'a> {
    Data {
        media_type: Cow<'a, str>,
        base64: Cow<'a, str>,
    },
    At(Cow<'a, str>),
}

/// The model's call of a tool.
pub(crate) struct Call<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    /// An object.
    pub(crate) input: Cow<'a, RawValue>,
}

pub(crate) struct CallResult<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) content: Vec<Said<'a>>,
    pub(crate) failed: bool,
}

pub(crate) struct Tool<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) description: Option<Cow<'a, str>>,
    /// The JSON schema of its input; `None`: it takes none.
    pub(crate) schema: Option<Cow<'a, RawValue>>,
    pub(crate) strict: Option<bool>,
}

pub(crate) enum ToolChoice<'a> {
    Free,
    Never,
    Any,
    Named(Cow<'a, str>),
}

/// The form that the answer's text is to have.
pub(crate) enum Format<'a> {
    Json,
    Schema {
        name: Option<Cow<'a, str>>,
        description: Option<Cow<'a, str>>,
        schema: Cow<'a, RawValue>,
        strict: Option<bool>,
    },
}

/// How much the model is to think, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Nothing,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

/// How the model is to think, where a dialect has more to say than an effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thinking {
    /// `None`: as the model sees fit.
    pub(crate) budget: Option<u64>,
    /// Its reasoning is to be in the answer.
    pub(crate) shown: Option<bool>,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(names: &'static Names) -> Self {
        Self {
            names,
            model: None,
            system: Vec::new(),
            turns: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            parallel_calls: None,
            sampling: Sampling::default(),
            stops: Vec::new(),
            format: None,
            cap: None,
            choices: 1,
            effort: None,
            thinking: None,
            user: None,
            stream: false,
            usage: false,
            echo: Echo::default(),
            carries_last_turn: false,
            left_out: Vec::new(),
        }
    }

    /// Adds to the last turn if it is of the same role, as two in a row are one to providers that let
    /// them alternate. A text without a character says nothing, and some refuse it.
    pub(crate) fn say(&mut self, message: usize, role: Role, said: Said<'a>) {
        if matches!(&said, Said::Text(text) if text.is_empty()) {
            return;
        }
        let part = Part { message, said };
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.push(part),
            _ => self.turns.push(Turn {
                role,
                parts: vec![part],
            }),
        }
    }

    /// An instruction: before the conversation began it is the system prompt.
    pub(crate) fn instruct(&mut self, message: usize, text: Cow<'a, str>) {
        if text.is_empty() {
            return;
        }
        if self.turns.is_empty() {
            self.system.push(text);
        } else {
            self.say(message, Role::System, Said::Text(text));
        }
    }

    pub(crate) fn leave_out(&mut self, name: &'static str) {
        if !self.left_out.contains(&name) {
            self.left_out.push(name);
        }
    }

    /// The last word is the assistant's: to some APIs that is a beginning to be continued, to others a
    /// turn that was taken. It is carried over only where the app says so, and if it is all text.
    pub(crate) fn check_last_turn(&self) -> Result<(), NotTranslated> {
        let last = self.turns.last();
        let Some(turn) = last.filter(|turn| turn.role == Role::Assistant) else {
            return Ok(());
        };
        let is_text = |part: &Part<'_>| matches!(part.said, Said::Text(_));
        if self.carries_last_turn && turn.parts.iter().all(is_text) {
            return Ok(());
        }
        let part = &turn.parts[turn.parts.len() - 1];
        Err(self.cannot_say(part, "the conversation ends with the assistant's turn"))
    }

    /// Takes the blanks from the end of a beginning that is to be continued.
    pub(crate) fn trim_last_turn(&mut self) -> Result<(), NotTranslated> {
        let last = self.turns.last_mut();
        let last = last.filter(|turn| turn.role == Role::Assistant);
        if let Some(part) = last.and_then(|turn| turn.parts.last_mut())
            && let Said::Text(text) = &mut part.said
        {
            let end = text.trim_end().len();
            match text {
                Cow::Borrowed(text) => *text = &text[..end],
                Cow::Owned(text) => text.truncate(end),
            }
            if end == 0 {
                let blank = "the conversation ends with an assistant's turn that is blank";
                let error = NotTranslated::not("", blank).item(part.message);
                return Err(error.inside(self.names.turns));
            }
        }
        Ok(())
    }

    /// What stands in a message cannot be said in the target's dialect.
    pub(crate) fn cannot_say(&self, part: &Part<'_>, what: &'static str) -> NotTranslated {
        NotTranslated::not("", what)
            .item(part.message)
            .inside(self.names.turns)
    }

    /// The name of the tool that was called under this id.
    pub(crate) fn called(&self, id: &str) -> Option<&Cow<'a, str>> {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        let mut calls = parts.rev().filter_map(|part| match &part.said {
            Said::Call(call) => Some(call),
            _ => None,
        });
        calls.find(|call| call.id == id).map(|call| &call.name)
    }
}

impl Thinking {
    pub(crate) fn is_off(self) -> bool {
        self.budget == Some(0)
    }

    /// A number of tokens that an effort beside it says nothing of.
    pub(crate) fn has_budget(self) -> bool {
        self.budget.is_some() && !self.is_off()
    }
}

impl Effort {
    /// The word for it in OpenAI's and Anthropic's requests.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    pub(crate) fn of(raw: Raw<'_>) -> Result<Self, NotTranslated> {
        let word = crate::json::text(raw)?;
        let all = [
            Self::Nothing,
            Self::Minimal,
            Self::Low,
            Self::Medium,
            Self::High,
            Self::XHigh,
            Self::Max,
        ];
        all.into_iter()
            .find(|effort| effort.word().eq_ignore_ascii_case(&word))
            .ok_or_else(|| NotTranslated::not("", "the word is not known"))
    }
}

/// What a tool's input is to be: an object. Models that call a tool without arguments may say nothing.
pub(crate) fn input(json: &str) -> Result<Cow<'static, RawValue>, NotTranslated> {
    let json = match json.trim_ascii() {
        "" => "{}",
        json => json,
    };
    let is_object = json.starts_with('{');
    let raw = RawValue::from_string(json.to_owned()).ok();
    raw.filter(|_| is_object)
        .map(Cow::Owned)
        .ok_or_else(|| NotTranslated::not("", "it is not the JSON of an object"))
}

/// Whether a name is one to all: letters, digits, `_` and `-`.
pub(crate) fn is_plain(name: &str, longest: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !name.is_empty() && name.len() <= longest && name.bytes().all(plain)
}
