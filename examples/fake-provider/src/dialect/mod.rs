//! The wire formats. Each has a module that reads requests and writes answers, streams and errors.

mod anthropic;
mod bedrock;
mod gemini;
mod ollama;
mod openai;

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

pub use self::openai::Server;
pub(crate) use self::{
    anthropic::Anthropic,
    bedrock::{Converse, Invoke},
    gemini::{Gemini, named},
    ollama::Ollama,
    openai::{Chat, Completions, Embeddings, Responses},
};
use crate::{
    ask::{Answer, Ask},
    behaviour::{LineEnd, Shape},
    event_stream,
    failure::{ErrorBody, Failure},
    route::Route,
};

pub(crate) type Dialect = &'static dyn Wire;

/// One wire format.
pub(crate) trait Wire: fmt::Debug + Sync {
    /// Reads a request; or says what is wrong with it.
    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String>;

    /// The answer as one text.
    fn json(&self, answer: &Answer) -> String;

    /// The answer as a stream.
    fn events(&self, answer: Answer) -> Events;

    /// A sign of life that carries nothing; not every format has one.
    fn ping(&self, shape: &Shape) -> Option<Event>;

    /// The list of models.
    fn models(&self, names: &[&str]) -> String;

    /// The headers of any answer.
    fn headers(&self, number: u64, healthy: bool, headers: &mut HeaderMap);

    /// An error: its status and its body, the message longer by `padding`.
    fn problem(&self, number: u64, failure: &Failure, padding: &str, shape: &Shape) -> Problem;

    /// What goes wrong within an answer, if the script does not say what.
    fn usual_failure(&self) -> Failure;

    /// The events by which a stream tells of an error, after so many events `before` it.
    fn error_events(&self, problem: Problem, before: usize, shape: &Shape) -> Vec<Event> {
        let _ = (before, shape);
        vec![Event::data(problem.body)]
    }

    /// The content type of a stream.
    fn stream_type(&self, route: &Route) -> &'static str {
        let _ = route;
        "text/event-stream; charset=utf-8"
    }

    /// How lines end, if the script does not say.
    fn line_end(&self) -> LineEnd {
        LineEnd::Lf
    }
}

/// One piece of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    form: Form,
    data: String,
    /// It carries content: text, reasoning or tool arguments.
    pub(crate) delta: bool,
}

#[derive(Debug)]
enum Form {
    /// An SSE event, with this name.
    Sse(Option<&'static str>),
    /// An SSE comment.
    Comment,
    /// Just these bytes.
    Raw,
    /// A frame of Amazon's event stream, with this name.
    Frame(event_stream::Kind, &'static str),
}

pub(crate) type Events = Box<dyn Iterator<Item = Event> + Send>;

impl Event {
    fn of(form: Form, data: impl Into<String>) -> Self {
        Self {
            form,
            data: data.into(),
            delta: false,
        }
    }

    fn data(data: impl Into<String>) -> Self {
        Self::of(Form::Sse(None), data)
    }

    fn named(name: &'static str, data: impl Into<String>) -> Self {
        Self::of(Form::Sse(Some(name)), data)
    }

    fn comment(text: &str) -> Self {
        Self::of(Form::Comment, text)
    }

    fn raw(text: impl Into<String>) -> Self {
        Self::of(Form::Raw, text)
    }

    fn frame(name: &'static str, json: impl Into<String>) -> Self {
        Self::of_frame(event_stream::Kind::Event, name, json)
    }

    fn of_frame(kind: event_stream::Kind, name: &'static str, json: impl Into<String>) -> Self {
        Self::of(Form::Frame(kind, name), json)
    }

    fn with_content(self) -> Self {
        Self {
            delta: true,
            ..self
        }
    }

    pub(crate) fn encode(self, end: LineEnd) -> Bytes {
        let Self { form, data, .. } = self;
        let end = match end {
            LineEnd::Lf => "\n",
            LineEnd::Cr => "\r",
            LineEnd::CrLf => "\r\n",
        };
        match form {
            Form::Sse(None) => format!("data: {data}{end}{end}"),
            Form::Sse(Some(name)) => format!("event: {name}{end}data: {data}{end}{end}"),
            Form::Comment => format!(": {data}{end}{end}"),
            Form::Raw => data,
            Form::Frame(kind, name) => return event_stream::frame(kind, name, &data).into(),
        }
        .into()
    }
}

/// What an error is on the wire.
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// Headers that tell of this error.
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Problem {
    fn new(status: u16, body: String) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body,
        }
    }
}

/// Status, headers, content type and body of an error answer.
pub(crate) fn failure(
    dialect: Dialect,
    number: u64,
    failure: &Failure,
    shape: &Shape,
) -> (u16, HeaderMap, String, Bytes) {
    let problem = dialect.problem(number, failure, "", shape);
    let status = problem.status;
    let (content_type, body) = match &failure.body {
        ErrorBody::Dialect { pad_to } => {
            let missing = pad_to.saturating_sub(problem.body.len());
            let padded = dialect.problem(number, failure, &"x".repeat(missing), shape);
            ("application/json".to_owned(), padded.body.into())
        }
        ErrorBody::Html { bytes } => ("text/html".into(), html(status, *bytes).into()),
        ErrorBody::Given { content_type, body } => (content_type.clone(), body.clone()),
    };
    (status, problem.headers, content_type, body)
}

/// The error inside a 200; `None`: the dialect's usual one.
pub(crate) fn in_200(
    dialect: Dialect,
    number: u64,
    failure: Option<&Failure>,
    shape: &Shape,
) -> Problem {
    let usual = dialect.usual_failure();
    dialect.problem(number, failure.unwrap_or(&usual), "", shape)
}

fn html(status: u16, bytes: usize) -> String {
    let head = format!("<html><head><title>{status}</title></head><body><!--");
    let tail = "--></body></html>\n";
    let filler = bytes.saturating_sub(head.len() + tail.len());
    let mut page = format!("{head}{}{tail}", "x".repeat(filler));
    page.truncate(bytes);
    page
}

/// The model: as the path names it, else the body.
fn model(route: &Route, body: &Value) -> Result<String, String> {
    let of_body = || body["model"].as_str().filter(|model| !model.is_empty());
    let model = route.model.as_deref().or_else(of_body);
    model
        .map(str::to_owned)
        .ok_or_else(|| "model: a name is required".to_owned())
}

/// A list that has something in it.
fn list<'b>(body: &'b Value, field: &str) -> Result<&'b [Value], String> {
    let all = body[field].as_array().filter(|all| !all.is_empty());
    Ok(all.ok_or_else(|| format!("{field}: at least one is required"))?)
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

/// How many answers are asked for.
fn choices(body: &Value, field: &str) -> Result<usize, String> {
    let choices = whole_number(body, field)?.unwrap_or(1);
    if (1..=128).contains(&choices) {
        Ok(choices)
    } else {
        Err(format!("{field}: 1 to 128 is possible"))
    }
}

/// A field that may be absent or null, then `default`.
fn flag(body: &Value, field: &str, default: bool) -> Result<bool, String> {
    match &body[field] {
        Value::Null => Ok(default),
        Value::Bool(value) => Ok(*value),
        _ => Err(format!("{field}: true or false is required")),
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = value.parse() {
        headers.insert(name, value);
    }
}
