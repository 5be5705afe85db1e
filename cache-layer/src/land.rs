//! What a call is answered with.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use llm_exchange::{BoxError, Call, ErrorAnswer, FromCache, Meter, Payload, Refusal};
use tower_service::Service;

use crate::{
    CacheBody, CacheStatus, Cached, Entry, Key, Store,
    alike::Alike,
    ask::{Ask, Step},
    flight::{Failure, Flight, Outcome, Reader, Seat},
    serve,
    settings::Settings,
};

/// `only-if-cached`, and it is not.
pub(crate) fn not_cached<R, St>(settings: &Settings<St>, call: &Call) -> Response<CacheBody<R>> {
    settings.counters.status(CacheStatus::Miss);
    let message = "no answer to this call is cached, and the call asked for no other";
    let answer = ErrorAnswer::new(StatusCode::GATEWAY_TIMEOUT, "not_cached", message);
    let response = Refusal::new("cache", answer).into_response(Some(call.dialect()));
    let mut response = response.map(CacheBody::passed);
    Cached::new(CacheStatus::Miss, None).mark(&mut response);
    response
}

/// A known answer, counted and marked.
pub(crate) fn known<R, St: Store>(
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

/// The known answer to a question that is alike, counted and marked.
pub(crate) fn alike<R, St: Store>(
    settings: &Settings<St>,
    ask: &Ask<St>,
    alike: &Alike,
) -> Option<Response<CacheBody<R>>> {
    let Alike {
        entry,
        key,
        similarity,
    } = alike;
    let mut response = serve::response(entry, &ask.call, settings.pace)?;
    settings.counters.status(CacheStatus::Hit);
    settings.counters.alike();
    settings.counters.saved(entry, &settings.prices);
    let mut cached = Cached::new(CacheStatus::Hit, Some(*key));
    cached.age = Some(entry.age(ask.wanted.now));
    cached.similarity = Some(*similarity);
    cached.mark(&mut response);
    FromCache::Hit.mark(&mut response);
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
    /// The head of the flight is there, or there will be none.
    pub(crate) fn landed(
        settings: &Arc<Settings<St>>,
        service: &S,
        flight: &Flight<S, R>,
        seat: Seat,
        mut ask: Ask<St>,
        outcome: Outcome<S::Error, R>,
    ) -> Result<Self, S::Error> {
        let stale = || {
            let entry = ask.stale.as_ref()?;
            known(settings, &ask, entry, CacheStatus::Stale)
        };
        let key = Some(ask.wanted.key);
        Ok(match outcome {
            Outcome::Answer(head, meter) => {
                let hides = flight.asked_usage() && !ask.call.asks_usage();
                Self::Answer(answered(head, meter, seat, hides, key))
            }
            Outcome::Failed(failure) => Self::Answer(failed(failure, stale, key)?),
            Outcome::OnesOwn { outage } => match outage.then(stale).flatten() {
                Some(response) => Self::Answer(response),
                None => {
                    ask.followed += 1;
                    Self::fly(settings, service, ask)
                }
            },
        })
    }
}

/// The answer of a flight, for the reader of this seat.
pub(crate) fn answered<R>(
    head: Response<()>,
    meter: Meter,
    seat: Seat,
    hides_usage: bool,
    key: Option<Key>,
) -> Response<CacheBody<R>> {
    let leads = seat.leads();
    let hidden = hides_usage.then(|| meter.clone());
    let reader = Reader::new(seat, meter);
    let mut response = head.map(|()| CacheBody::shared(reader, hidden));
    if leads {
        Cached::new(CacheStatus::Miss, key).mark(&mut response);
    } else {
        // which is another caller's
        response.headers_mut().remove(header::SET_COOKIE);
        Cached::new(CacheStatus::Coalesced, key).mark(&mut response);
        FromCache::Shared.mark(&mut response);
    }
    response
}

/// The call failed: an answer past its time, if that is better and there is one.
pub(crate) fn failed<E, R>(
    failure: Failure<E, R>,
    stale: impl FnOnce() -> Option<Response<CacheBody<R>>>,
    key: Option<Key>,
) -> Result<Response<CacheBody<R>>, E> {
    if failure.is_outage()
        && let Some(response) = stale()
    {
        return Ok(response);
    }
    match failure {
        Failure::Error(error) => Err(error),
        Failure::Answer(response, _) => {
            let mut response = response.map(CacheBody::passed);
            Cached::new(CacheStatus::Miss, key).mark(&mut response);
            Ok(response)
        }
    }
}
