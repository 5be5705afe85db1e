//! Making an upstream call, or joining an equal one.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{BoxError, Call, Payload, ask_for_plain_text};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    CacheStatus, Store,
    ask::{Ask, Step},
    flight::{Flight, Joined, Registration, Sending},
    freshness::Use,
    future::{State, take},
    land::known,
    rules::Whom,
    settings::{Keeping, Settings},
};

/// A call that was on the failed flight of another is on one more, and then goes alone.
pub(crate) const MOST_FOLLOWED: u32 = 2;

impl<S, R, St> Step<S, R, St>
where
    S: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
    St: Store,
{
    /// Makes the call, or joins an equal one.
    pub(crate) fn fly(settings: &Arc<Settings<St>>, service: &S, mut ask: Ask<St>) -> Self {
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
                let prepared = Prepared::new(service, &ask);
                let flight = prepared.begin(settings, &ask, request, Vec::new());
                (flight, true)
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
}

/// Joins an equal call, or begins one that others can join. `None`: this call is not shared.
pub(crate) fn join<S, R, St>(
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
    let joined = settings.flights.join(
        key,
        Flight::admits,
        || Prepared::new(service, ask),
        |prepared, registration| {
            prepared.begin(settings, ask, take(&mut request), vec![registration])
        },
    );
    ask.request = request;
    Some(joined)
}

/// What only the app's code can make of what a flight needs.
struct Prepared<S, St: Store> {
    service: S,
    ticket: St::Ticket,
}

impl<S: Clone, St: Store> Prepared<S, St> {
    fn new(service: &S, ask: &Ask<St>) -> Self {
        Self {
            service: service.clone(),
            ticket: ask.ticket.clone(),
        }
    }

    /// A flight of this call, of which nothing is sent yet.
    fn begin<R>(
        self,
        settings: &Arc<Settings<St>>,
        ask: &Ask<St>,
        mut request: Request<Payload>,
        registrations: Vec<Registration>,
    ) -> Arc<Flight<S, R>>
    where
        S: Service<Request<Payload>, Response = Response<R>>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        ask_for_plain_text(request.headers_mut());
        // a hit is to be complete for who asks for the usage; a request that can't be changed has none
        let asked = Call::ask_usage(&mut request).unwrap_or(false);
        let asked_usage = asked || ask.call.asks_usage();
        let call = Call::of(&request).unwrap_or(&ask.call).clone();
        let keeping = Keeping {
            settings: Arc::clone(settings),
            wanted: ask.wanted,
            ticket: self.ticket,
            call: Arc::clone(&call),
            whom: Whom::asked(&request, &ask.call),
            wants_stream: ask.call.is_stream(),
            asked_usage,
            indexing: ask.indexing.clone(),
            began: Instant::now(),
        };
        let on_end = settings.writes.then(|| {
            Box::new(move |headers: &_, meter: &_, body| keeping.end(headers, meter, body)) as _
        });
        Flight::new(
            self.service,
            Sending::This(request),
            call,
            asked_usage,
            settings.of_flights(),
            Arc::clone(&settings.flights),
            registrations,
            on_end,
        )
    }
}
