//! A call whose record is not booked yet.

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use http::{HeaderMap, HeaderName, Request, Response, header};
use llm_exchange::{
    BodyEnd, Call, FinishReason, FromCache, Meter, Observe, Payload, User, Verdict,
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
    at: SystemTime,
    user: Option<User>,
    tags: Option<Tags>,
    provider: Box<str>,
    request_id: Option<Box<str>>,
    credential: Option<u64>,
    upload_broke: bool,
    /// What was left behind before this layer saw the call is in another record.
    left_before: usize,
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
        let trusted = || call.end_user().filter(|_| books.trusts_body).map(bounded);
        let user = User::of(request).cloned();
        let user = user.or_else(|| trusted().map(|name| User::new(Arc::from(name))));
        Some(Box::new(Self {
            began,
            at: books.pricing.now(),
            user: user.map(shortened),
            tags: Tags::of(request).cloned(),
            provider: provider(request),
            request_id: text(request.headers(), &REQUEST_IDS[..1]),
            credential: books.credential(request),
            upload_broke: request.body().upload_broke(),
            left_before: call.attempts().left_behind().len(),
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
            (State::Answered, Some(meter)) => (meter.verdict(), Used::of(meter)),
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

    fn record(&self, verdict: Verdict, used: Used) -> Record {
        let id = RecordId::new();
        let asked = self.call.model();
        let meter = self.meter.as_ref();
        let model = meter.and_then(Meter::asked_model).or(asked);
        let model = bounded(model.unwrap_or_default());
        let served = meter.and_then(Meter::model);
        let model = match (&*model, &served) {
            ("", Some(served)) => bounded(served),
            _ => model,
        };
        let mut call = Entry::new(id, self.at, &model);
        call.user = self.user.clone();
        call.provider = self.provider.clone();
        call.model_asked = asked.map(bounded);
        call.model_served = served.as_deref().map(bounded);
        call.dialect = self.call.dialect().as_str().into();
        call.is_stream = self.call.is_stream();
        call.status = self.status;
        call.verdict = verdict;
        call.from_cache = self.from_cache;
        call.usage = used.usage;
        call.is_estimated = used.is_estimated;
        call.attempts = self.call.attempts().count();
        call.request_id = self.request_id.clone();
        call.provider_request_id = self.provider_request_id.clone();
        call.tags = self.tags.clone().unwrap_or_default();
        call.total = self.began.elapsed();
        if let Some(meter) = meter {
            call.end = meter.end();
            let mut finishes = meter.finish_reasons();
            finishes.sort_by_key(|reason| FinishReason::of(reason));
            call.finish = finishes.last().map(|reason| bounded(reason));
            call.service_tier = meter.service_tier().as_deref().map(bounded);
            call.answer_id = meter.id().as_deref().map(bounded);
            let first = meter.first_content();
            call.first_content = first.map(|first| first.saturating_duration_since(self.began));
            if meter.is_stream() {
                call.per_token =
                    first.and_then(|first| per_token(first.elapsed(), used.usage.output()));
            }
        }
        // the host is that of the caller's target: of another model it says nothing
        let host = |model: &str| (asked == Some(model)).then_some(&*self.provider);
        let pricing = &self.books.pricing;
        let charge = used.charge(pricing, meter, &model, host(&model), self.at);
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
                attempt.provider = call.provider.clone();
                attempt.model_asked = call.model_asked.clone();
                attempt.model_served = meter.and_then(Meter::model).as_deref().map(bounded);
                attempt.dialect = meter
                    .map_or(self.call.dialect(), Meter::dialect)
                    .as_str()
                    .into();
                attempt.is_stream = call.is_stream;
                attempt.status = meter.map_or(0, |meter| meter.status().as_u16());
                attempt.verdict = left.verdict;
                attempt.end = meter.and_then(Meter::end);
                attempt.usage = used.usage;
                attempt.is_estimated = used.is_estimated;
                attempt.charge = used.charge(pricing, meter, model, host(model), self.at);
                attempt.answer_id = meter.and_then(Meter::id).as_deref().map(bounded);
                attempt.tags = call.tags.clone();
                attempt
            });
        let left_behind = left_behind.collect();
        Record::new(call, left_behind)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.book();
    }
}

/// Books a call at the end of its answer's body.
pub struct Settle(pub(crate) Box<Open>);

impl Observe for Settle {
    fn meter(&self) -> Option<&Meter> {
        self.0.meter.as_ref()
    }

    fn end(&mut self, _: BodyEnd<'_>) {
        self.0.book();
    }
}

impl std::fmt::Debug for Settle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settle").finish_non_exhaustive()
    }
}

fn shortened(user: User) -> User {
    match bounded(user.as_str()) {
        name if *name == *user.as_str() => user,
        name => User::new(Arc::from(name)),
    }
}

/// The host and port, and nothing else that may stand in an authority.
fn provider(request: &Request<Payload>) -> Box<str> {
    let uri = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let header = || request.headers().get(header::HOST)?.to_str().ok();
    let authority = uri.or_else(header).unwrap_or_default();
    bounded(authority.rsplit('@').next().unwrap_or_default())
}

fn text(headers: &HeaderMap, names: &[HeaderName]) -> Option<Box<str>> {
    let value = names.iter().find_map(|name| headers.get(name))?;
    value.to_str().ok().map(bounded)
}
