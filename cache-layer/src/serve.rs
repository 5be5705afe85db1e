//! A known answer as a response.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response, header};
use llm_exchange::{Call, Framing, FromCache};

use crate::{
    CacheBody, CacheStatus, Cached, Entry, Key,
    replay::{Replay, collected, expanded, framing, paced_by, without},
};

/// The answer in the form that the call asks for. `None`: it can't be brought into that form.
pub(crate) fn response<R>(
    entry: &Entry,
    call: &Call,
    pace: Option<Duration>,
) -> Option<Response<CacheBody<R>>> {
    let (dialect, streams) = (call.dialect(), call.is_stream());
    let replay = match (entry.head.is_stream, streams) {
        (false, false) => Replay::whole(entry.body.clone()),
        (true, false) => Replay::whole(collected(entry, dialect)?),
        (true, true) => {
            let hidden: &[_] = if call.asks_usage() {
                &[]
            } else {
                &entry.head.usage_events
            };
            match pace.zip(paced_by(entry)) {
                None if hidden.is_empty() => Replay::whole(entry.body.clone()),
                pace => Replay::stream(without(&entry.body, hidden), pace),
            }
        }
        (false, true) => {
            let events = expanded(entry, dialect, call.asks_usage())?;
            Replay::stream(events, pace.map(|pace| (pace, framing(dialect))))
        }
    };
    let length = replay.len();
    let mut response = Response::new(CacheBody::known(replay));
    let mut headers = HeaderMap::with_capacity(entry.headers.len() + 4);
    for (name, value) in &entry.headers {
        headers.insert(name.clone(), value.clone());
    }
    if entry.head.is_stream != streams {
        let form = match streams.then(|| framing(dialect)) {
            None => "application/json",
            Some(Framing::Lines) => "application/x-ndjson",
            Some(_) => "text/event-stream",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
        headers.remove(header::CONTENT_LENGTH);
        if !streams {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
    }
    *response.headers_mut() = headers;
    Some(response)
}

/// Says that the answer was known.
pub(crate) fn mark<R>(
    response: &mut Response<CacheBody<R>>,
    status: CacheStatus,
    key: Key,
    age: Duration,
) {
    let mut cached = Cached::new(status, Some(key));
    cached.age = Some(age);
    cached.mark(response);
    FromCache::Hit.mark(response);
}
