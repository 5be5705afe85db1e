//! The whole answer of a flight.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use llm_exchange::{BoxError, Dialect, ErrorAnswer, Meter, Payload, Verdict};
use tower_service::Service;

use super::LARGEST;
use crate::flight::{Failure, Flight, Outcome, Reader};

/// The whole answer of one flight.
pub(super) struct Came {
    pub(super) headers: HeaderMap,
    pub(super) meter: Meter,
    pub(super) body: Bytes,
    /// How many texts it answers.
    pub(super) texts: usize,
}

/// Why a flight of one's own did not come.
pub(super) enum Stopped<E, R> {
    /// The call failed, or the answer broke off.
    Failed(Failure<E, R>),
    /// It is larger than what is held. With what is known of it.
    TooLarge(Meter),
}

/// Reads a flight to its end. With why it did not come to it: for who began it.
pub(super) async fn came<S, R>(
    flight: Arc<Flight<S, R>>,
    leads: bool,
    texts: usize,
) -> Result<Came, Option<Stopped<S::Error, R>>>
where
    S: Service<Request<Payload>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
{
    let seat = flight.join(leads);
    let (number, leads) = seat.place();
    let (head, meter) = match poll_fn(|cx| flight.poll_head(number, leads, cx)).await {
        Outcome::Answer(head, meter) => (head, meter),
        Outcome::Failed(failure) => return Err(Some(Stopped::Failed(failure))),
        Outcome::OnesOwn { .. } => return Err(None),
    };
    let mut reader = Reader::new(seat, meter.clone());
    let (mut frames, mut length) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut reader).poll_frame(cx)).await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) if length + data.len() <= LARGEST => {
                length += data.len();
                frames.push(data);
            }
            Ok(Ok(_)) => return Err(leads.then(|| Stopped::TooLarge(meter))),
            // trailers
            Ok(Err(_)) => {}
            Err(_) => return Err(leads.then(|| Stopped::Failed(unmerged()))),
        }
    }
    // in one piece for all who read it, unless it is held for nobody
    let body = flight.whole();
    let headers = head.into_parts().0.headers;
    Ok(Came {
        headers,
        meter,
        body: body.unwrap_or_else(|| frames.concat().into()),
        texts,
    })
}

/// What was asked for did not come to its end.
pub(super) fn unmerged<E, R>() -> Failure<E, R> {
    let message = "the provider's answer broke off and can't be put together with what is known";
    let answer = ErrorAnswer::new(StatusCode::BAD_GATEWAY, "embeddings_incomplete", message);
    let answer = answer.into_response(Some(Dialect::OpenAiEmbeddings));
    Failure::Answer(answer, Verdict::Failed)
}
