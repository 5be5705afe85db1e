use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use llm_exchange::{
    AnswerBody, BoxError, Call, ErrorAnswer, FromCache, Payload, ReadPayload, Refusal,
    ask_for_plain_text,
};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    CacheBody, CacheStatus, Cached, Entry, Found, Store, Wanted,
    control::Control,
    flight::{Failure, Flight, Joined, Outcome, Reader, Registration, Seat},
    freshness::Use,
    revalidate, rules, serve,
    settings::{Keeping, Settings},
};

pin_project! {
    /// The future of [`Cache`](crate::Cache).
    #[must_use = "futures do nothing unless polled"]
    pub struct CacheFuture<S, R, St>
    where
        S: Service<Request<Payload>>,
        St: Store,
    {
        #[pin]
        state: State<S, R, St>,
        // of which each call that is made gets a clone or itself; polled ready when it is needed
        service: S,
        settings: Arc<Settings<St>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, St>
    where
        S: Service<Request<Payload>>,
        St: Store,
    {
        // the caller's body
        Reading { read: Box<ReadPayload> },
        // the request is there
        Read { request: Option<Request<Payload>> },
        // the store
        Looking { get: St::Get, ask: Option<Box<Ask<St>>> },
        // the head of an upstream call, begun by this one or another
        Flying { flight: Arc<Flight<S, R>>, seat: Option<Seat>, ask: Option<Box<Ask<St>>> },
        // the service, for what is not cached
        Readying { request: Option<Request<Payload>>, is_call: bool },
        Passing { #[pin] sent: S::Future, is_call: bool },
        Done,
    }
}

/// A call that is cached, until its answer is there.
pub(crate) struct Ask<St: Store> {
    /// Gone when it was given to a flight.
    request: Option<Request<Payload>>,
    call: Arc<Call>,
    control: Control,
    wanted: Wanted,
    ticket: St::Ticket,
    /// To be served if the provider fails.
    stale: Option<Arc<Entry>>,
    /// How many flights of others failed that it was on.
    followed: u32,
}

/// A call that was on the failed flight of another is on one more, and then goes alone.
const MOST_FOLLOWED: u32 = 2;

/// What to do next.
enum Step<S, R, St>
where
    S: Service<Request<Payload>>,
    St: Store,
{
    Answer(Response<CacheBody<R>>),
    Go(State<S, R, St>),
}

impl<S, R, St> CacheFuture<S, R, St>
where
    S: Service<Request<Payload>>,
    St: Store,
{
    pub(crate) fn new(read: ReadPayload, service: S, settings: Arc<Settings<St>>) -> Self {
        Self {
            state: match read.now() {
                Ok(request) => State::Read {
                    request: Some(request),
                },
                Err(read) => State::Reading {
                    read: Box::new(read),
                },
            },
            service,
            settings,
        }
    }
}

impl<S, R, St> Step<S, R, St>
where
    S: Service<Request<Payload>>,
    St: Store,
{
    const fn pass(request: Request<Payload>, is_call: bool) -> Self {
        let request = Some(request);
        Self::Go(State::Readying { request, is_call })
    }
}

/// `only-if-cached`, and it is not.
fn not_cached<R, St>(settings: &Settings<St>, call: &Call) -> Response<CacheBody<R>> {
    settings.counters.status(CacheStatus::Miss);
    let message = "no answer to this call is cached, and the call asked for no other";
    let answer = ErrorAnswer::new(StatusCode::GATEWAY_TIMEOUT, "not_cached", message);
    let response = Refusal::new("cache", answer).into_response(Some(call.dialect()));
    let mut response = response.map(CacheBody::passed);
    Cached::new(CacheStatus::Miss, None).mark(&mut response);
    response
}

/// A known answer, counted and marked.
fn known<R, St: Store>(
    settings: &Settings<St>,
    ask: &Ask<St>,
    entry: &Entry,
    status: CacheStatus,
) -> Option<Response<CacheBody<R>>> {
    let mut response = serve::response(entry, &ask.call, settings.pace)?;
    settings.counters.status(status);
    settings.counters.saved(entry, &settings.prices);
    serve::mark(
        &mut response,
        status,
        ask.wanted.key,
        entry.age(ask.wanted.now),
    );
    Some(response)
}

impl<S, R, St> Step<S, R, St>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    St: Store,
{
    /// What is asked of a request that was read.
    fn begin(
        settings: &Arc<Settings<St>>,
        service: &S,
        request: Request<Payload>,
        cx: &mut Context<'_>,
    ) -> Self {
        let Some(call) = Call::of(&request).cloned() else {
            return Self::pass(request, false);
        };
        let control = Control::read(request.headers());
        let keyed = settings.key.read(&request, &call);
        let keyed = keyed
            .filter(|keyed| rules::is_cacheable(settings.mode, call.dialect(), keyed, &control));
        let Some(keyed) = keyed else {
            if control.only_if_cached {
                return Self::Answer(not_cached(settings, &call));
            }
            settings.counters.status(CacheStatus::Bypass);
            return Self::pass(request, true);
        };
        let one_of = if keyed.temperature_zero {
            1
        } else {
            settings.answers
        };
        let answer = if one_of > 1 {
            fastrand::u32(..one_of)
        } else {
            0
        };
        let wanted = Wanted {
            key: keyed.key(answer),
            tags: keyed.tags,
            now: settings.now(),
        };
        let mut get = settings.store.get(&wanted);
        let ask = Ask {
            request: Some(request),
            call,
            control,
            wanted,
            ticket: St::Ticket::default(),
            stale: None,
            followed: 0,
        };
        // in memory it is there or not at once
        match Pin::new(&mut get).poll(cx) {
            Poll::Ready(found) => Self::found(settings, service, ask, found),
            Poll::Pending => Self::Go(State::Looking {
                get,
                ask: Some(Box::new(ask)),
            }),
        }
    }

    /// The store has answered.
    fn found(
        settings: &Arc<Settings<St>>,
        service: &S,
        mut ask: Ask<St>,
        found: Found<St::Ticket>,
    ) -> Self {
        ask.ticket = found.ticket;
        let reads = settings.reads && !ask.control.no_cache;
        if let Some(entry) = found.entry.filter(|_| reads) {
            let age = entry.age(ask.wanted.now);
            let good_for = settings
                .freshness
                .judge(age, entry.ttl(), ask.control.max_age);
            match good_for {
                Use::Fresh => {
                    if let Some(response) = known(settings, &ask, &entry, CacheStatus::Hit) {
                        return Self::Answer(response);
                    }
                }
                Use::WhileRevalidate if settings.writes => {
                    if let Some(response) = known(settings, &ask, &entry, CacheStatus::Stale) {
                        if let Some(Joined::Begun(flight)) = join(settings, service, &mut ask) {
                            revalidate::spawn(flight);
                        }
                        return Self::Answer(response);
                    }
                }
                Use::WhileRevalidate | Use::IfError => ask.stale = Some(entry),
                Use::Nothing => {}
            }
        }
        if ask.control.only_if_cached {
            return Self::Answer(not_cached(settings, &ask.call));
        }
        Self::fly(settings, service, ask)
    }

    /// Makes the call, or joins an equal one.
    fn fly(settings: &Arc<Settings<St>>, service: &S, mut ask: Ask<St>) -> Self {
        let (flight, leads) = match join(settings, service, &mut ask) {
            Some(Joined::There(flight)) => (flight, false),
            Some(Joined::Begun(flight)) => {
                // an equal call may have ended between the lookup and this
                let now = settings
                    .store
                    .get_now(&ask.wanted)
                    .filter(|_| settings.reads);
                if let Some(entry) = now {
                    let age = entry.age(ask.wanted.now);
                    let judge = settings
                        .freshness
                        .judge(age, entry.ttl(), ask.control.max_age);
                    if judge == Use::Fresh
                        && let Some(response) = known(settings, &ask, &entry, CacheStatus::Hit)
                    {
                        return Self::Answer(response);
                    }
                }
                (flight, true)
            }
            Some(Joined::Alone) | None => {
                let request = take(&mut ask.request);
                (begin(settings, service, &ask, request, None), true)
            }
        };
        let status = if leads {
            CacheStatus::Miss
        } else {
            CacheStatus::Coalesced
        };
        settings.counters.status(status);
        let seat = Some(flight.join(leads));
        Self::Go(State::Flying {
            flight,
            seat,
            ask: Some(Box::new(ask)),
        })
    }

    /// The head of the flight is there, or there will be none.
    fn landed(
        settings: &Arc<Settings<St>>,
        service: &S,
        flight: &Flight<S, R>,
        seat: Seat,
        mut ask: Ask<St>,
        outcome: Outcome<S::Error, R>,
    ) -> Result<Self, S::Error> {
        let stale = ask.stale.take();
        let stale = || {
            let entry = stale.as_ref()?;
            known(settings, &ask, entry, CacheStatus::Stale)
        };
        let mark = |response: &mut Response<CacheBody<R>>, status| {
            Cached::new(status, Some(ask.wanted.key)).mark(response);
        };
        Ok(match outcome {
            Outcome::Answer(head, meter) => {
                let hides = flight.asked_usage() && !ask.call.asks_usage();
                let leads = seat.leads();
                let hidden = hides.then(|| meter.clone());
                let reader = Reader::new(seat, meter, head.headers());
                let mut response = head.map(|()| CacheBody::shared(reader, hidden));
                if leads {
                    mark(&mut response, CacheStatus::Miss);
                } else {
                    // which is another caller's
                    response.headers_mut().remove(header::SET_COOKIE);
                    mark(&mut response, CacheStatus::Coalesced);
                    response.extensions_mut().insert(FromCache::Shared);
                }
                Self::Answer(response)
            }
            Outcome::Failed(failure) => match failure {
                Failure::Error(error) => match stale() {
                    Some(response) => Self::Answer(response),
                    None => return Err(error),
                },
                Failure::Answer(response, verdict) => {
                    let served = if rules::is_outage(verdict) {
                        stale()
                    } else {
                        None
                    };
                    Self::Answer(served.unwrap_or_else(|| {
                        let mut response = response.map(CacheBody::passed);
                        mark(&mut response, CacheStatus::Miss);
                        response
                    }))
                }
            },
            Outcome::OnesOwn => match stale() {
                Some(response) => Self::Answer(response),
                None => {
                    ask.followed += 1;
                    Self::fly(settings, service, ask)
                }
            },
        })
    }
}

/// Joins an equal call, or begins one that others can join. `None`: this call is not shared.
fn join<S, R, St>(
    settings: &Arc<Settings<St>>,
    service: &S,
    ask: &mut Ask<St>,
) -> Option<Joined<Flight<S, R>>>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    St: Store,
{
    let shares = settings.reads && settings.writes && !ask.control.no_cache;
    if !shares || ask.followed >= MOST_FOLLOWED {
        return None;
    }
    let key = (ask.wanted.key, ask.call.is_stream());
    let mut request = ask.request.take();
    let joined = settings.flights.join(key, Flight::admits, |registration| {
        begin(
            settings,
            service,
            ask,
            take(&mut request),
            Some(registration),
        )
    });
    ask.request = request;
    Some(joined)
}

/// A flight of this call, of which nothing is sent yet.
fn begin<S, R, St>(
    settings: &Arc<Settings<St>>,
    service: &S,
    ask: &Ask<St>,
    mut request: Request<Payload>,
    registration: Option<Registration>,
) -> Arc<Flight<S, R>>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
    St: Store,
{
    ask_for_plain_text(request.headers_mut());
    // a hit is to be complete for who asks for the usage; a request that can't be changed has none
    let asked = Call::ask_usage(&mut request).unwrap_or(false);
    let asked_usage = asked || ask.call.asks_usage();
    let call = Call::of(&request).unwrap_or(&ask.call).clone();
    let keeping = Keeping {
        settings: Arc::clone(settings),
        wanted: ask.wanted,
        ticket: ask.ticket.clone(),
        asked_model: model_asked(&request, &ask.call),
        wants_stream: ask.call.is_stream(),
        asked_usage,
        began: Instant::now(),
    };
    let on_end = settings.writes.then(|| {
        Box::new(move |headers: &_, meter: &_, body| keeping.end(headers, meter, body)) as _
    });
    Flight::new(
        service.clone(),
        request,
        call,
        asked_usage,
        settings.of_flights(),
        Arc::clone(&settings.flights),
        registration,
        on_end,
    )
}

impl<S, R, St> Future for CacheFuture<S, R, St>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    St: Store,
{
    type Output = Result<Response<CacheBody<R>>, S::Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (settings, service) = (&*this.settings, &mut *this.service);
        loop {
            let step = match this.state.as_mut().project() {
                StateProj::Reading { read } => {
                    let request = ready!(Pin::new(read).poll(cx));
                    Step::begin(settings, service, request, cx)
                }
                StateProj::Read { request } => Step::begin(settings, service, take(request), cx),
                StateProj::Looking { get, ask } => {
                    let found = ready!(Pin::new(get).poll(cx));
                    Step::found(settings, service, *take(ask), found)
                }
                StateProj::Flying { flight, seat, ask } => {
                    let (number, leads) = seat.as_ref().map_or((0, false), Seat::place);
                    let outcome = ready!(flight.poll_head(number, leads, cx));
                    let (flight, seat, ask) = (Arc::clone(flight), take(seat), *take(ask));
                    match Step::landed(settings, service, &flight, seat, ask, outcome) {
                        Ok(step) => step,
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                StateProj::Readying { request, is_call } => {
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error));
                    }
                    let (request, is_call) = (take(request), *is_call);
                    Step::Go(State::Passing {
                        sent: service.call(request),
                        is_call,
                    })
                }
                StateProj::Passing { sent, is_call } => {
                    let response = ready!(sent.poll(cx));
                    let is_call = *is_call;
                    this.state.set(State::Done);
                    return Poll::Ready(response.map(|response| {
                        let mut response =
                            response.map(|body| CacheBody::passed(AnswerBody::inner(body)));
                        if is_call {
                            Cached::new(CacheStatus::Bypass, None).mark(&mut response);
                        }
                        response
                    }));
                }
                StateProj::Done => panic!("a future is not polled after it was ready"),
            };
            match step {
                Step::Go(state) => this.state.set(state),
                Step::Answer(response) => {
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

/// The model that the answer is to be of. `None`: it has a name of the caller's own, as Azure's
/// deployments have.
fn model_asked(request: &Request<Payload>, call: &Call) -> Option<Box<str>> {
    let own = request.uri().path().contains("/openai/deployments/");
    call.model().filter(|_| !own).map(Into::into)
}

/// What a state holds until it is left.
fn take<T>(held: &mut Option<T>) -> T {
    held.take().expect("a state is left once")
}

impl<S, R, St> fmt::Debug for CacheFuture<S, R, St>
where
    S: Service<Request<Payload>>,
    St: Store,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheFuture").finish_non_exhaustive()
    }
}
