//! A call whose record is not booked yet.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use http::{HeaderMap, HeaderName, Request, Response, header};
use llm_exchange::{Call, FromCache, Meter, Payload, User, Verdict};
use tokio::time::Instant;

use crate::{Record, Tags, books::Books, entry::bounded, ledger::Place, used::Used};

mod record;

/// Where the record of a call will be, once its answer has ended: an extension of the response.
#[derive(Clone, Debug, Default)]
pub struct Booked(Arc<OnceLock<Arc<Record>>>);

impl Booked {
    /// The place of a response that came through the layer.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }

    /// The record. `None`: the answer has not ended yet.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.0.get().map(AsRef::as_ref)
    }
}

/// Books the call exactly once: at the end of its answer, when it failed, or when it is dropped.
pub(crate) struct Open {
    books: Arc<Books>,
    call: Arc<Call>,
    began: Instant,
    ended: Option<Ended>,
    at: SystemTime,
    user: Option<User>,
    tags: Option<Tags>,
    provider: Arc<str>,
    request_id: Option<Box<str>>,
    credential: Option<u64>,
    upload_broke: bool,
    /// What was left behind before this layer saw the call is in another record.
    left_before: usize,
    /// A layer further in made it by itself.
    is_background: bool,
    place: Place,
    booked: Booked,
    state: State,
    meter: Option<Meter>,
    status: u16,
    provider_request_id: Option<Box<str>>,
    from_cache: Option<FromCache>,
}

/// When the caller had the end of it, and so many tokens by then.
struct Ended {
    at: Instant,
    output: Option<u64>,
}

/// How far the call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not sent: then it is no call, and nothing is booked.
    Waiting,
    Sent,
    Answered,
    /// The inner service failed, or refused.
    Over(Verdict),
    Booked,
}

/// Where a provider writes its id of a request.
const REQUEST_IDS: [HeaderName; 5] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-goog-request-id"),
];

impl Open {
    /// `None`: it is no LLM call.
    pub(crate) fn new(
        books: &Arc<Books>,
        request: &Request<Payload>,
        began: Instant,
    ) -> Option<Box<Self>> {
        let call = Arc::clone(Call::of(request)?);
        call.attempts().keep_books(Arc::clone(books) as _);
        let trusted = || call.end_user().filter(|_| books.trusts_body);
        let user = User::of(request).cloned();
        let user = user.or_else(|| trusted().map(User::new));
        Some(Box::new(Self {
            began,
            ended: None,
            at: books.pricing.now(),
            user: user.map(shortened),
            tags: Tags::of(request).cloned(),
            provider: books.names.mine().shared(provider(request)),
            request_id: text(request.headers(), &REQUEST_IDS[..1]),
            credential: books.credential(request),
            upload_broke: request.body().upload_broke(),
            left_before: call.attempts().left_behind().len(),
            is_background: false,
            place: Place::default(),
            booked: Booked::default(),
            state: State::Waiting,
            meter: None,
            status: 0,
            provider_request_id: None,
            from_cache: None,
            books: Arc::clone(books),
            call,
        }))
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    pub(crate) fn booked(&self) -> Booked {
        self.booked.clone()
    }

    pub(crate) fn sent(&mut self, place: Place) {
        self.place = place;
        self.state = State::Sent;
    }

    /// The head of the answer, as it came.
    pub(crate) fn head<B>(&mut self, response: &Response<B>) {
        self.status = response.status().as_u16();
        self.provider_request_id = text(response.headers(), &REQUEST_IDS);
        self.from_cache = FromCache::of(response);
    }

    pub(crate) fn answered(&mut self, meter: Meter) {
        self.meter = Some(meter);
        self.state = State::Answered;
    }

    /// It is one that a layer further in makes by itself.
    pub(crate) fn in_background(mut self: Box<Self>) -> Box<Self> {
        self.is_background = true;
        self
    }

    /// A place for the record of a call that nobody could wait for one with.
    pub(crate) fn place_now(&self) -> Place {
        self.books.desk.writer().place().unwrap_or_default()
    }

    pub(crate) const fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    /// The caller has the end of the answer; the rest may go on without him.
    pub(crate) fn ended(&mut self) {
        self.ended = Some(Ended {
            at: Instant::now(),
            output: self.meter.as_ref().map(Meter::output_tokens),
        });
    }

    /// There is no answer, or none that is one.
    pub(crate) const fn came_to(&mut self, verdict: Verdict) {
        self.state = State::Over(verdict);
    }

    /// There is no answer, or one for which no call was sent.
    pub(crate) fn over(mut self: Box<Self>, verdict: Verdict) {
        self.state = State::Over(verdict);
        self.book();
    }

    fn book(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Booked);
        let (verdict, used) = match (state, &self.meter) {
            (State::Waiting | State::Booked, _) => return,
            (State::Answered, Some(meter)) if self.all_left_behind() => {
                (meter.verdict(), Used::of(meter))
            }
            (State::Answered, Some(meter)) => (meter.verdict(), Used::of_either(meter, &self.call)),
            (State::Over(Verdict::TimedOut), _) if !self.all_left_behind() => {
                (Verdict::TimedOut, Used::unanswered(&self.call))
            }
            (State::Over(verdict), _) => (verdict, Used::default()),
            // the caller went away before there was a head
            _ => (Verdict::CallerGone, Used::unanswered(&self.call)),
        };
        let verdict = if self.upload_broke {
            Verdict::CallerGone
        } else {
            verdict
        };
        let record = Arc::new(self.record(verdict, used));
        let _ = self.booked.0.set(Arc::clone(&record));
        let place = std::mem::take(&mut self.place);
        self.books.book(record, self.credential, place);
    }

    /// Whether what the caller gets is no attempt's answer: then each attempt is booked by itself.
    fn all_left_behind(&self) -> bool {
        let attempts = self.call.attempts();
        let left = attempts.left_behind();
        // an answer that could not be used was got by the way, and the attempt went on
        let given_up = left.iter().filter(|left| left.verdict != Verdict::Ok);
        given_up.count() >= attempts.count() as usize
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.book();
    }
}

fn shortened(user: User) -> User {
    match bounded(user.as_str()) {
        Cow::Borrowed(name) if name.len() == user.as_str().len() => user,
        name => User::new(name),
    }
}

/// The host and port, and nothing else that may stand in an authority.
fn provider(request: &Request<Payload>) -> &str {
    let uri = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let header = || request.headers().get(header::HOST)?.to_str().ok();
    let authority = uri.or_else(header).unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn boxed(text: &str) -> Box<str> {
    bounded(text).into()
}

fn text(headers: &HeaderMap, names: &[HeaderName]) -> Option<Box<str>> {
    let value = names.iter().find_map(|name| headers.get(name))?;
    value.to_str().ok().map(boxed)
}
