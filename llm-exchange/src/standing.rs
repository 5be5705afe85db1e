//! A refusal that is given to many calls.

use std::{fmt, mem, sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, Response, StatusCode};

use crate::{AnswerBody, Dialect, ErrorAnswer, Refusal};

/// A refusal that a layer gives again and again: only the time to come back differs.
///
/// It is a `static` of the layer. Its JSON is written once for each dialect in which it was ever given, so that refusing is cheap when there is most of it.
///
/// ```
/// use http::StatusCode;
/// use llm_exchange::{AnswerBody, Dialect, Refusal, Room, StandingRefusal};
/// use std::time::Duration;
///
/// static CLOSED: StandingRefusal = StandingRefusal::new(
///     "opening-hours",
///     StatusCode::SERVICE_UNAVAILABLE,
///     "closed",
///     "this service is closed at night",
/// );
/// let until_morning = Duration::from_secs(8 * 3600);
/// let response: http::Response<AnswerBody<http_body_util::Empty<bytes::Bytes>>> =
///     CLOSED.answer(Some(Dialect::AnthropicMessages), until_morning, Room::default());
/// assert_eq!(response.headers()["retry-after"], "28800");
/// assert_eq!(Refusal::of(&response).unwrap().code(), "closed");
/// ```
pub struct StandingRefusal {
    layer: &'static str,
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    bodies: [OnceLock<Box<[u8]>>; Dialect::ALL.len()],
}

impl StandingRefusal {
    /// A refusal by the named layer: its status, its machine-readable code, a sentence for people.
    #[must_use]
    pub const fn new(
        layer: &'static str,
        status: StatusCode,
        code: &'static str,
        message: &'static str,
    ) -> Self {
        Self {
            layer,
            status,
            code,
            message,
            bodies: [const { OnceLock::new() }; Dialect::ALL.len()],
        }
    }

    /// The whole answer, as [`Refusal::into_response`] would give it, in the room that the refused
    /// request leaves.
    #[must_use]
    pub fn answer<R>(
        &'static self,
        dialect: Option<Dialect>,
        retry_after: Duration,
        room: Room,
    ) -> Response<AnswerBody<R>> {
        let answer =
            ErrorAnswer::new(self.status, self.code, self.message).retry_after(retry_after);
        let refusal = Refusal::new(self.layer, answer);
        if dialect.is_some_and(Dialect::is_grpc) {
            return refusal.into_response(dialect);
        }
        let body = self.bodies[dialect.unwrap_or(Dialect::OpenAiChat) as usize]
            .get_or_init(|| Box::from(&*refusal.answer().body(dialect)));
        refusal.into_response_of(Bytes::from_static(body), room)
    }
}

/// The room for headers and extensions of a request that is not sent, emptied: an answer that is written
/// there needs no memory of its own for them.
#[derive(Default)]
pub struct Room {
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: Extensions,
}

impl Room {
    /// Takes the headers and the extensions of the request, which is of no use then, and drops what is in
    /// them.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Self {
        let mut room = Self {
            headers: mem::take(request.headers_mut()),
            extensions: mem::take(request.extensions_mut()),
        };
        room.headers.clear();
        room.extensions.clear();
        room
    }
}

impl<B> From<Request<B>> for Room {
    fn from(mut request: Request<B>) -> Self {
        Self::of(&mut request)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}

impl fmt::Debug for StandingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandingRefusal")
            .field("layer", &self.layer)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}
