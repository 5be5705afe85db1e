//! What a call asks of the cache, and what the store says to it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Call, Payload};
use tower_service::Service;

use crate::{
    CacheBody, CacheStatus, Entry, Found, Store, Wanted,
    alike::{Indexing, Looked, look_up},
    control::Control,
    embeddings::{Asked, Batch},
    flight::Joined,
    freshness::Use,
    future::State,
    land::{self, known, not_cached},
    revalidate, rules,
    settings::Settings,
    takeoff::join,
};

/// A call that is cached, until its answer is there.
pub(crate) struct Ask<St: Store> {
    /// Gone when it was given to a flight.
    pub(crate) request: Option<Request<Payload>>,
    pub(crate) call: Arc<Call>,
    pub(crate) control: Control,
    pub(crate) wanted: Wanted,
    pub(crate) ticket: St::Ticket,
    /// To be served if the provider fails.
    pub(crate) stale: Option<Arc<Entry>>,
    /// To be told when the answer is stored.
    pub(crate) indexing: Option<Indexing>,
    /// How many flights of others failed that it was on.
    pub(crate) followed: u32,
}

/// What to do next.
pub(crate) enum Step<S, R, St>
where
    S: Service<Request<Payload>>,
    St: Store,
{
    Answer(Response<CacheBody<R>>),
    Go(State<S, R, St>),
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
    pub(crate) fn begin(
        settings: &Arc<Settings<St>>,
        service: &S,
        request: Request<Payload>,
        cx: &mut Context<'_>,
    ) -> Self {
        let Some(call) = Call::of(&request).cloned() else {
            return Self::pass(request, false);
        };
        let control = Control::read(request.headers());
        if !control.no_store
            && let Some(batch) = Batch::read(&settings.key, &request, &call)
        {
            let asked = Asked {
                settings: Arc::clone(settings),
                service: service.clone(),
                request,
                call,
                control,
                batch: Arc::new(batch),
                now: settings.now(),
            };
            return Self::Go(State::Texts {
                asked: Box::pin(asked.answer()),
            });
        }
        let keyed = settings.key.read(&request, &call);
        let keyed = keyed.filter(|keyed| {
            rules::is_cacheable(settings.mode, call.dialect(), keyed.seen, &control)
        });
        let Some(keyed) = keyed else {
            if control.only_if_cached {
                return Self::Answer(not_cached(settings, &call));
            }
            settings.counters.status(CacheStatus::Bypass);
            return Self::pass(request, true);
        };
        let one_of = if keyed.seen.temperature_zero {
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
            key: settings.key.another(keyed.key, answer),
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
            indexing: None,
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
    pub(crate) fn found(
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
                        if !ask.control.only_if_cached
                            && let Some(aside) = ask.request.as_mut().map(Call::set_aside)
                            && let Some(Joined::Begun(flight)) = join(settings, service, &mut ask)
                        {
                            revalidate::spawn(flight, aside);
                        }
                        return Self::Answer(response);
                    }
                }
                Use::WhileRevalidate | Use::IfError => ask.stale = Some(entry),
                Use::Nothing => {}
            }
        }
        match compare(settings, &ask, reads) {
            Some(looked) => {
                let ask = Some(Box::new(ask));
                Self::Go(State::Comparing { looked, ask })
            }
            None => Self::unknown(settings, service, ask),
        }
    }

    /// The question was compared with those whose answers are known.
    pub(crate) fn compared(
        settings: &Arc<Settings<St>>,
        service: &S,
        mut ask: Ask<St>,
        looked: Looked,
    ) -> Self {
        if let Some(alike) = &looked.found
            && let Some(response) = land::alike(settings, &ask, alike)
        {
            return Self::Answer(response);
        }
        ask.indexing = looked.indexing;
        Self::unknown(settings, service, ask)
    }

    fn unknown(settings: &Arc<Settings<St>>, service: &S, ask: Ask<St>) -> Self {
        if ask.control.only_if_cached {
            return Self::Answer(not_cached(settings, &ask.call));
        }
        Self::fly(settings, service, ask)
    }
}

/// A lookup by meaning. `None`: that is not wanted, or not for this call, or an equal call is under way.
fn compare<St: Store>(
    settings: &Arc<Settings<St>>,
    ask: &Ask<St>,
    reads: bool,
) -> Option<Pin<Box<dyn Future<Output = Looked> + Send>>> {
    let semantic = settings.semantic.as_ref()?;
    let request = ask.request.as_ref()?;
    if settings.flights.has((ask.wanted.key, ask.call.is_stream())) {
        return None;
    }
    let question = semantic.question(request)?;
    let space = settings.key.space(request, &ask.call, &question.at)?;
    let (wanted, max_age, freshness) = (ask.wanted, ask.control.max_age, settings.freshness);
    let is_good = move |entry: &Entry| {
        freshness.judge(entry.age(wanted.now), entry.ttl(), max_age) == Use::Fresh
    };
    let (semantic, store) = (Arc::clone(semantic), settings.store.clone());
    Some(Box::pin(look_up(
        semantic,
        store,
        space,
        question.text,
        wanted,
        reads,
        is_good,
    )))
}
