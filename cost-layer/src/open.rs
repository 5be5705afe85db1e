//! A call whose record is not booked yet.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use http::{HeaderMap, HeaderName, Request, Response, header};
use llm_exchange::{
    AskedModel, BodyEnd, Bookkeeper, Call, FinishReason, FromCache, Meter, Observe, OpenCall,
    Payload, Said, User, Verdict,
};
use tokio::time::Instant;

use crate::{
    Charge, Entry, Record, RecordId, Tags,
    books::{Books, per_token},
    entry::bounded,
    ledger::Place,
    used::Used,
};

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
    /// When the caller had the end of it.
    ended: Option<Instant>,
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
        attempts.left_behind().len() >= attempts.count() as usize
    }

    fn record(&self, verdict: Verdict, used: Used) -> Record {
        let id = RecordId::new();
        let asked = self.call.model();
        let meter = self.meter.as_ref();
        // without an answer it is whoever was asked last
        let last = match meter {
            None => self.call.attempts().last_asked(),
            Some(_) => None,
        };
        let last = last.as_ref();
        let host = meter
            .and_then(Meter::asked_host)
            .or(last.and_then(AskedModel::host));
        let provider = |host: Option<&str>| match host {
            Some(host) => self.books.names.mine().shared(host),
            None => Arc::clone(&self.provider),
        };
        let mut call = {
            let said = meter.map(Meter::said);
            let said = said.as_ref();
            let mut names = self.books.names.mine();
            let served = said.and_then(Said::model);
            let sent = meter.and_then(Meter::asked_model);
            let model = sent.or(last.map(AskedModel::model)).or(asked);
            let model = model.filter(|model| !model.is_empty()).or(served);
            let model = names.shared(model.unwrap_or_default());
            let mut call = Entry::of(id, self.at, model);
            call.model_asked = asked.map(|name| names.shared(name));
            call.model_served = served.map(|name| names.shared(name));
            call.dialect = names.shared(self.call.dialect().as_str());
            let finish = said.and_then(|said| {
                said.finish_reasons()
                    .max_by_key(|one| FinishReason::of(one))
            });
            call.finish = finish.map(|name| names.shared(name));
            let tier = said.and_then(Said::service_tier);
            call.service_tier = tier.map(|name| names.shared(name));
            call.answer_id = said.and_then(Said::id).map(boxed);
            call
        };
        let model = Arc::clone(&call.model);
        call.user = self.user.clone();
        call.provider = provider(host);
        call.is_stream = self.call.is_stream();
        call.is_background = self.is_background;
        call.status = self.status;
        call.verdict = verdict;
        call.from_cache = self.from_cache;
        call.usage = used.usage;
        call.is_estimated = used.is_estimated;
        call.attempts = self.call.attempts().count();
        call.request_id = self.request_id.clone();
        call.provider_request_id = self.provider_request_id.clone();
        call.tags = self.tags.clone().unwrap_or_default();
        let ended = self.ended.unwrap_or_else(Instant::now);
        call.total = ended.saturating_duration_since(self.began);
        if let Some(meter) = meter {
            call.end = meter.end();
            let first = meter.first_content();
            call.first_content = first.map(|first| first.saturating_duration_since(self.began));
            if meter.is_stream() {
                call.per_token =
                    first.and_then(|first| per_token(first.elapsed(), used.usage.output()));
            }
        }
        let pricing = &self.books.pricing;
        let charge = used.charge(pricing, meter, &model, &call.provider, self.at);
        if self.from_cache.is_some() {
            call.saved = charge.map(|charge| charge.total()).unwrap_or_default();
            call.charge = Some(Charge::default());
        } else {
            call.charge = charge;
        }

        let left_behind = self.call.attempts().left_behind();
        let left_behind = left_behind
            .iter()
            .skip(self.left_before)
            .zip(1..)
            .map(|(left, part)| {
                let used = Used::left_behind(left, &self.call);
                let model = left.model.as_deref().or(asked).unwrap_or_default();
                let meter = left.meter.as_ref();
                let mut attempt = Entry::new(id, self.at, model);
                attempt.part = part;
                attempt.user = call.user.clone();
                attempt.provider = provider(left.host.as_deref());
                attempt.model_asked = call.model_asked.clone();
                let dialect = meter.map_or(self.call.dialect(), Meter::dialect);
                attempt.dialect = self.books.names.mine().shared(dialect.as_str());
                attempt.is_stream = call.is_stream;
                attempt.is_background = call.is_background;
                attempt.status = meter.map_or(0, |meter| meter.status().as_u16());
                attempt.verdict = left.verdict;
                attempt.end = meter.and_then(Meter::end);
                attempt.usage = used.usage;
                attempt.is_estimated = used.is_estimated;
                attempt.charge = used.charge(pricing, meter, model, &attempt.provider, self.at);
                if let Some(meter) = meter {
                    let said = meter.said();
                    let mut names = self.books.names.mine();
                    attempt.model_served = said.model().map(|name| names.shared(name));
                    attempt.answer_id = said.id().map(boxed);
                }
                attempt.tags = call.tags.clone();
                attempt
            });
        let left_behind = left_behind.collect();
        Record::new(call, left_behind)
    }
}

impl Bookkeeper for Books {
    fn open(self: Arc<Self>, request: &Request<Payload>) -> Option<Box<dyn OpenCall>> {
        let mut open = Open::new(&self, request, Instant::now())?;
        open.is_background = true;
        Some(open)
    }
}

impl OpenCall for Open {
    fn sent(&mut self) {
        // nobody is there who could wait for one
        let place = self.books.desk.writer().place().unwrap_or_default();
        Self::sent(self, place);
    }

    fn answered(&mut self, head: &Response<()>, meter: &Meter) {
        self.head(head);
        Self::answered(self, meter.clone());
    }

    fn failed(&mut self, head: Option<&Response<()>>, verdict: Verdict) {
        if let Some(head) = head {
            self.head(head);
        }
        self.state = State::Over(verdict);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.book();
    }
}

/// Books a call at the end of its answer's body.
pub struct Settle(Option<Box<Open>>);

impl Settle {
    pub(crate) const fn new(open: Box<Open>) -> Self {
        Self(Some(open))
    }
}

impl Observe for Settle {
    fn meter(&self) -> Option<&Meter> {
        self.0.as_ref()?.meter.as_ref()
    }

    fn end(&mut self, end: BodyEnd<'_>) {
        let Some(mut open) = self.0.take() else {
            return;
        };
        open.ended = Some(Instant::now());
        let meter = match end {
            BodyEnd::Dropped => open.meter.clone(),
            _ => None,
        };
        let book = move || drop(open);
        match meter {
            // others read on what this caller asked for: its record has all of it
            Some(meter) => meter.after_others(book).unwrap_or_else(|book| book()),
            None => book(),
        }
    }
}

impl std::fmt::Debug for Settle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settle").finish_non_exhaustive()
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
