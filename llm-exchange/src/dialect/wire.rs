//! What every dialect tells of itself. Whatever is known of one dialect alone stands in its row, or in
//! the functions that its row names, in its own file; the rest of the crate asks the row.

use http::{HeaderName, Uri};

use super::json::{Spoken, range_within};
use crate::{
    Tokens,
    call::{Facts, Unreadable},
    meter::{Holes, Open, Reading, StreamEvent},
    provider_error::ProviderError,
    route::{Asked, Path},
    sse::Event,
    stream::{
        collect::Collect,
        delta::Deltas,
        ending::Last,
        tree::{Object, Unexpected},
    },
};

/// A dialect's row of the table.
pub(crate) struct Wire {
    /// For labels and logs.
    pub(crate) name: &'static str,
    /// What the path of a POST says, if it is this dialect's.
    pub(crate) route: fn(&Path<'_>) -> Option<Asked>,
    /// The path that such a call has at a host of its own, without what a proxy put in front.
    pub(crate) path_at_host: fn(&str) -> &str,
    /// Whether a path is recognised by its version, which so has to stay.
    pub(crate) needs_version: bool,
    /// The header that an API key is in, by the path; [`None`] is `authorization`, after `Bearer`.
    pub(crate) key_header: fn(&str) -> Option<HeaderName>,
    /// How a streamed answer comes.
    pub(crate) framing: Framing,
    /// The same where path and query ask for another form.
    pub(crate) framing_asked: fn(&Uri) -> Option<Framing>,
    /// How a stream comes whose head says no more than `application/json`.
    pub(crate) framing_of_json: Option<Framing>,
    /// Requests go on while answers come.
    pub(crate) goes_both_ways: bool,
    /// Its clients pass over comments in server-sent events.
    pub(crate) reads_comments: bool,
    /// What the request's body asks for. Of a gRPC call the message alone.
    pub(crate) facts: fn(&[u8]) -> Result<Facts, Unreadable>,
    /// Where the model stands, unless the path names it.
    pub(crate) model: Place,
    /// Where the output cap stands; where none of the places is taken, it is put into the first.
    pub(crate) output_cap: &'static [Place],
    /// Whether [`Reading::done`] is the last word of a stream, behind which nothing is read.
    pub(crate) has_last_word: bool,
    /// Whether a streamed answer has the provider's usage only if the request asks for it
    /// (`stream_options.include_usage`).
    pub(crate) usage_on_request: bool,
    /// Reads one event of a stream: the data of an SSE event, a line, an element, a message.
    pub(crate) read_event: fn(&[u8], &mut Reading) -> Seen,
    /// Reads the deltas of such an event, for a client.
    pub(crate) deltas: fn(&[u8], &mut Deltas),
    /// Puts the events of a stream together. `None`: that is not done here.
    pub(crate) collect: fn() -> Option<Box<dyn Collect>>,
    /// The reverse; with the usage, where that is asked for in the dialect and was.
    pub(crate) expand: fn(Object, bool) -> Result<Vec<Event>, Unexpected>,
    /// Reads the JSON of an unstreamed answer.
    pub(crate) read_answer: fn(&[u8], &mut Reading),
    /// The member of an answer that has its usage, and who reads what stands at the start of the bytes.
    pub(crate) usage: (&'static str, fn(&[u8], &mut Reading)),
    /// Whether a stream that ended in order has all the marks of its protocol's end.
    pub(crate) is_complete: fn(&Reading) -> bool,
    /// Whether the JSON of a 200 may be an error: `None` as long as too little of it is here to tell.
    pub(crate) looks_like_error: fn(&[u8]) -> Option<bool>,
    /// An error as a body, and as the data of a stream's event.
    pub(crate) error: fn(&Problem<'_>) -> Vec<u8>,
    /// The end of a stream that failed: the error as an event, then what the dialect's streams end
    /// with. Nothing where the error is no event: gRPC has it in the trailers, Amazon in a frame of its
    /// own kind.
    pub(crate) ended_by_error: fn(&Problem<'_>) -> Vec<Last>,
    /// The end of a stream that reached a limit of ours, as it would end at the provider's own; with the
    /// usage, where that is asked for in the dialect and was. Nothing where no answer says so.
    pub(crate) ended_by_limit: fn(&Open, Tokens, bool) -> Vec<Last>,
}

/// How the events of a streamed answer are told apart.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON array that is written bit by bit, as Gemini does without `alt=sse`.
    Array,
    /// A JSON text a line.
    Lines,
    /// Amazon's binary event stream.
    EventStream,
    /// gRPC messages.
    Grpc,
}

/// Where a value of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A member of the body's JSON.
    Member(&'static str),
    /// A member of a member.
    Within(&'static str, &'static str),
    /// The same in Google's JSON, which has two spellings for every name.
    WithinSpelt(&'static str, &'static str),
    /// A field of the message, by the numbers on the way to it.
    Field(&'static [u32]),
    /// Only in the path.
    Nowhere,
}

/// An error of our own, to be written in a dialect.
pub(crate) struct Problem<'a> {
    pub(crate) status: u16,
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    /// Where the events of a stream are numbered.
    pub(crate) event_number: u64,
}

/// What a dialect's reader saw in one event of a stream, beside what it wrote down.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) event: StreamEvent,
    /// Where its text stands, if an event that differs in nothing else says nothing else.
    pub(crate) holes: Option<Holes>,
    /// Nothing but the answer's usage, as OpenAI sends it to who asks for it.
    pub(crate) usage_only: bool,
}

impl From<StreamEvent> for Seen {
    fn from(event: StreamEvent) -> Self {
        Self {
            event,
            ..Self::default()
        }
    }
}

impl Seen {
    /// The only text of the event, as it stands in its data.
    pub(crate) fn text<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        let text = self
            .holes
            .as_ref()
            .and_then(|holes| data.get(holes.text.clone()));
        text.unwrap_or_default()
    }

    /// The same with where its only text stands, if there was one and nothing else.
    pub(super) fn with_text(self, spoken: &Spoken<'_>, data: &[u8]) -> Self {
        let holes = spoken.only().and_then(|text| {
            Some(Holes {
                text: range_within(data, text)?,
                noise: None,
            })
        });
        Self { holes, ..self }
    }

    /// What an event says that is an error if it can be read as one.
    pub(super) fn error(data: &[u8], reading: &mut Reading) -> Self {
        match ProviderError::from_body(data) {
            Some(error) => {
                reading.fail(error);
                StreamEvent::Error.into()
            }
            None => StreamEvent::Nothing.into(),
        }
    }

    /// Content if there was any, else an end if it is one.
    pub(super) fn content_or_end(content: bool, end: bool) -> Self {
        match (content, end) {
            (true, _) => StreamEvent::Content.into(),
            (false, true) => StreamEvent::Finished.into(),
            (false, false) => StreamEvent::Nothing.into(),
        }
    }
}
