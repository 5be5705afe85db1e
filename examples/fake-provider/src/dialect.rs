//! The wire formats. Each has a module that reads requests and writes answers, streams and errors.

mod anthropic;
mod openai;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::{
    ask::{Answer, Ask},
    behaviour::LineEnd,
    failure::{ErrorBody, Failure, Kind},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
}

/// One event of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    name: Option<&'static str>,
    data: String,
    /// It carries content: text, reasoning or tool arguments.
    pub(crate) delta: bool,
}

pub(crate) type Events = Box<dyn Iterator<Item = Event> + Send>;

impl Event {
    fn data(data: String) -> Self {
        Self {
            name: None,
            data,
            delta: false,
        }
    }

    fn named(name: &'static str, data: String) -> Self {
        Self {
            name: Some(name),
            data,
            delta: false,
        }
    }

    fn with_content(self) -> Self {
        Self {
            delta: true,
            ..self
        }
    }

    pub(crate) fn encode(&self, end: LineEnd) -> Bytes {
        let end = text(end);
        let name = self
            .name
            .map_or(String::new(), |name| format!("event: {name}{end}"));
        format!("{name}data: {}{end}{end}", self.data).into()
    }
}

fn text(end: LineEnd) -> &'static str {
    match end {
        LineEnd::Lf => "\n",
        LineEnd::Cr => "\r",
        LineEnd::CrLf => "\r\n",
    }
}

/// What an error is on the wire.
struct Problem {
    status: u16,
    body: String,
}

impl Dialect {
    /// Reads a request; or says what is wrong with it.
    pub(crate) fn read(self, body: &Value) -> Result<Ask, String> {
        match self {
            Self::OpenAi => openai::read(body),
            Self::Anthropic => anthropic::read(body),
        }
    }

    pub(crate) fn json(self, answer: &Answer) -> String {
        match self {
            Self::OpenAi => openai::json(answer),
            Self::Anthropic => anthropic::json(answer),
        }
    }

    pub(crate) fn events(self, answer: Answer) -> Events {
        match self {
            Self::OpenAi => openai::events(answer),
            Self::Anthropic => anthropic::events(answer),
        }
    }

    pub(crate) fn ping(self, end: LineEnd) -> Bytes {
        match self {
            Self::OpenAi => format!(": keep-alive{0}{0}", text(end)).into(),
            Self::Anthropic => Event::named("ping", r#"{"type":"ping"}"#.into()).encode(end),
        }
    }

    /// The list of models.
    pub(crate) fn models(self, names: &[&str]) -> String {
        match self {
            Self::OpenAi => openai::models(names),
            Self::Anthropic => anthropic::models(names),
        }
    }

    /// The headers of any answer.
    pub(crate) fn headers(self, number: u64, healthy: bool, headers: &mut HeaderMap) {
        match self {
            Self::OpenAi => openai::headers(number, healthy, headers),
            Self::Anthropic => anthropic::headers(number, healthy, headers),
        }
    }

    /// Status, content type and body of an error answer.
    pub(crate) fn failure(self, number: u64, failure: &Failure) -> (u16, String, Bytes) {
        let problem = self.problem(number, &failure.kind, "");
        let json = || "application/json".to_owned();
        match &failure.body {
            ErrorBody::Dialect { pad_to } => {
                let missing = pad_to.saturating_sub(problem.body.len());
                let padded = self.problem(number, &failure.kind, &"x".repeat(missing));
                (problem.status, json(), padded.body.into())
            }
            ErrorBody::Html { bytes } => (
                problem.status,
                "text/html".into(),
                html(problem.status, *bytes).into(),
            ),
            ErrorBody::Given { content_type, body } => {
                (problem.status, content_type.clone(), body.clone())
            }
        }
    }

    /// The error inside a 200: the event of a stream.
    pub(crate) fn error_event(self, number: u64, kind: Option<&Kind>) -> Event {
        let body = self.error_in_200(number, kind);
        match self {
            Self::OpenAi => Event::data(body),
            Self::Anthropic => Event::named("error", body),
        }
    }

    /// The error inside a 200: its JSON.
    pub(crate) fn error_in_200(self, number: u64, kind: Option<&Kind>) -> String {
        let usual = match self {
            Self::OpenAi => Kind::Status(500),
            Self::Anthropic => Kind::Overloaded,
        };
        self.problem(number, kind.unwrap_or(&usual), "").body
    }

    fn problem(self, number: u64, kind: &Kind, padding: &str) -> Problem {
        match self {
            Self::OpenAi => openai::problem(kind, padding),
            Self::Anthropic => anthropic::problem(number, kind, padding),
        }
    }
}

fn html(status: u16, bytes: usize) -> String {
    let head = format!("<html><head><title>{status}</title></head><body><!--");
    let tail = "--></body></html>\n";
    let filler = bytes.saturating_sub(head.len() + tail.len());
    let mut page = format!("{head}{}{tail}", "x".repeat(filler));
    page.truncate(bytes);
    page
}

/// The `model` and `messages` that every dialect wants.
fn model_and_messages(body: &Value) -> Result<(String, &[Value]), String> {
    let model = body["model"].as_str().filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| "model: a name is required".to_owned())?;
    let messages = body["messages"].as_array().filter(|all| !all.is_empty());
    let messages = messages.ok_or_else(|| "messages: at least one is required".to_owned())?;
    Ok((model.to_owned(), messages))
}

/// A field that may be absent or null.
fn whole_number(body: &Value, field: &str) -> Result<Option<usize>, String> {
    match &body[field] {
        Value::Null => Ok(None),
        value => match value.as_u64().map(usize::try_from) {
            Some(Ok(number)) => Ok(Some(number)),
            _ => Err(format!("{field}: a whole number of 0 or more is required")),
        },
    }
}

/// A field that may be absent or null, then `false`.
fn flag(body: &Value, field: &str) -> Result<bool, String> {
    match &body[field] {
        Value::Null => Ok(false),
        Value::Bool(value) => Ok(*value),
        _ => Err(format!("{field}: true or false is required")),
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
}
