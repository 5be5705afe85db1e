//! Getting a new answer while an old one is served.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use llm_exchange::{Aside, BoxError, Classify, Payload, Standard, Watch};
use tokio::{runtime::Handle, time::timeout};
use tower_service::Service;

use crate::flight::{Failure, Flight, Outcome, Reader};

/// No answer takes longer.
const LONGEST: Duration = Duration::from_secs(600);

/// Reads a flight to its end, in **a task of its own**: nobody waits for it. There is at most one for
/// each key, and at most as many as there are flights. Without a runtime nothing is done.
/// Whoever keeps books further out hears of it through `aside`.
pub(crate) fn spawn<S, R>(flight: Arc<Flight<S, R>>, mut aside: Aside)
where
    S: Service<Request<Payload>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
{
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            aside.sent();
            // what it came to is told by the flight itself
            let _ = timeout(LONGEST, read(flight, aside)).await;
        });
    }
}

async fn read<S, R>(flight: Arc<Flight<S, R>>, mut aside: Aside)
where
    S: Service<Request<Payload>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Into<BoxError>,
{
    let seat = flight.join(true);
    let (number, leads) = seat.place();
    let head = poll_fn(|cx| flight.poll_head(number, leads, cx)).await;
    match head {
        Outcome::Answer(head, meter) => {
            aside.answered(&head, &meter);
            let reader = Reader::new(seat, meter);
            let mut reader = Watch::new(reader, aside);
            while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut reader).poll_frame(cx)).await {}
        }
        Outcome::Failed(Failure::Answer(answer, verdict)) => {
            aside.failed(Some(&answer.map(drop)), verdict);
        }
        Outcome::Failed(Failure::Error(error)) => aside.failed(None, Standard.error(&error)),
        // who began it is told what came of it
        Outcome::OnesOwn { .. } => {}
    }
}
