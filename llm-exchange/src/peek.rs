//! Reading as little of an answer as tells what it is.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, response};
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use crate::{
    AnswerBody, BoxError, Dialect, Hints, ProviderError, Verdict, WallClock, body::Front,
    dialect::StreamEvent, sse,
};

/// How deep an answer was read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Its head alone.
    Head,
    /// At least one event of its stream, none of them content.
    FirstEvent,
    /// Its first content, its error, or its end.
    FirstContent,
}

/// How an answer ended before its first content.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The body ended in order, but with nothing in it.
    Truncated,
    /// The connection broke.
    Broken,
}

/// The facts of an answer so far. Made by [`peek`]; where more than the head was read for it, it
/// travels in the response's extensions, so that the next layer reads nothing again.
#[derive(Clone, Debug)]
pub struct Peeked {
    status: StatusCode,
    depth: Depth,
    hints: Hints,
    error: Option<Arc<ProviderError>>,
    ending: Option<Ending>,
    encoded: bool,
}

impl Peeked {
    /// The facts of an answer of which only the status is known; for tests of one's own
    /// [`Classify`](crate::Classify).
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            depth: Depth::Head,
            hints: Hints::default(),
            error: None,
            ending: None,
            encoded: false,
        }
    }

    /// The same answer with this error in its body or stream.
    #[must_use]
    pub fn with_error(mut self, error: ProviderError) -> Self {
        self.fail(error);
        self
    }

    fn fail(&mut self, error: ProviderError) {
        self.depth = Depth::FirstContent;
        self.error = Some(Arc::new(error));
    }

    /// The status of the head. A stream that failed has 200 here.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// How deep was read.
    #[must_use]
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    /// When to come back, and whether, as far as the provider said so. Read of failures only.
    #[must_use]
    pub const fn hints(&self) -> &Hints {
        &self.hints
    }

    /// The provider's error: the body of an error answer, the error event of a stream before any
    /// content, or a 200 whose JSON is an error.
    #[must_use]
    pub fn error(&self) -> Option<&ProviderError> {
        self.error.as_deref()
    }

    /// How the answer ended before its first content, if it did.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Whether the answer is compressed, so that only its head could be read.
    #[must_use]
    pub const fn is_encoded(&self) -> bool {
        self.encoded
    }

    /// What the facts mean, by [`Verdict::of`]; an answer that ended before its first content has
    /// [failed](Verdict::Failed).
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match Verdict::of(self.status, self.error()) {
            Verdict::Ok if self.ending.is_some() => Verdict::Failed,
            verdict => verdict,
        }
    }
}

/// How much of an answer is read before it is handed on.
#[derive(Clone, Copy, Debug)]
pub struct PeekLimits {
    max_bytes: u64,
    max_events: u32,
    commit_after: Duration,
}

impl Default for PeekLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 10,
            max_events: 256,
            commit_after: Duration::from_secs(15),
        }
    }
}

impl PeekLimits {
    /// The most bytes of an error's body, or of a stream's events before its first content.
    /// Default 64 KiB; a frame that crosses the limit is held whole.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The most events of a stream before its first content. Default 256.
    #[must_use]
    pub const fn max_events(mut self, events: u32) -> Self {
        self.max_events = events;
        self
    }

    /// How long after its head an answer is held back at most. Default 15 s: then what was read is
    /// handed on, so that a long thinking pause with its pings reaches the caller.
    #[must_use]
    pub const fn commit_after(mut self, after: Duration) -> Self {
        self.commit_after = after;
        self
    }
}

/// Reads of an answer what tells how it went: an error's body, a stream's events up to the first
/// content, of other JSON the first bytes, of anything else the head alone.
///
/// What was read is put back in front: the body of the result is byte for byte and frame for frame
/// the inner one. Until it is handed on, the call may be made again or elsewhere: that is the
/// commit point. The future needs a tokio timer once it has to wait.
pub fn peek<R>(
    response: Response<R>,
    dialect: Dialect,
    limits: PeekLimits,
    clock: &WallClock,
) -> Peek<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    let known = parts
        .extensions
        .get::<Peeked>()
        .filter(|known| known.depth > Depth::FirstEvent);
    let (peeked, how) = match known {
        Some(known) => (known.clone(), How::Head),
        None => {
            let mut peeked = Peeked::new(parts.status);
            peeked.encoded = is_encoded(&parts.headers);
            if is_error(parts.status) {
                peeked.hints = Hints::read(&parts.headers, clock);
            }
            let how = if peeked.encoded {
                How::Head
            } else {
                How::of(&parts)
            };
            (peeked, how)
        }
    };
    Peek {
        parts: Some(parts),
        body: Some(body),
        front: Front::default(),
        peeked,
        how,
        dialect,
        limits,
        timer: None,
    }
}

enum How {
    Head,
    /// Whole, up to the limit.
    Error,
    /// Until it is clear that it is no error.
    Json,
    Stream {
        /// Boxed: most answers are none, and every answer's future is moved.
        decoder: Box<sse::Decoder>,
        events: u32,
    },
}

impl How {
    fn of(parts: &response::Parts) -> Self {
        if is_error(parts.status) {
            return Self::Error;
        }
        let media_type = parts
            .headers
            .get(header::CONTENT_TYPE)
            .map_or(&b""[..], |value| value.as_bytes().trim_ascii_start());
        if !parts.status.is_success() {
            Self::Head
        } else if starts_with_ignoring_case(media_type, b"text/event-stream") {
            Self::Stream {
                decoder: Box::default(),
                events: 0,
            }
        } else if starts_with_ignoring_case(media_type, b"application/json") {
            Self::Json
        } else {
            Self::Head
        }
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn starts_with_ignoring_case(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len())
        .is_some_and(|text| text.eq_ignore_ascii_case(start))
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The future of [`peek`]: the facts, and the answer with what was read put back in front.
///
/// It is `Unpin`: an answer that is there already is known without being pinned anywhere.
#[must_use = "futures do nothing unless polled"]
pub struct Peek<R> {
    parts: Option<response::Parts>,
    body: Option<R>,
    front: Front,
    peeked: Peeked,
    how: How,
    dialect: Dialect,
    limits: PeekLimits,
    /// Set when the body is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<R: Unpin> Unpin for Peek<R> {}

/// Whether to read on.
#[derive(PartialEq)]
enum Read {
    On,
    Enough,
}

/// What is read of an answer, apart from the waiting.
struct Reading<'a> {
    front: &'a mut Front,
    peeked: &'a mut Peeked,
    how: &'a mut How,
    dialect: Dialect,
    limits: PeekLimits,
}

impl Reading<'_> {
    fn frame(&mut self, frame: Frame<Bytes>) -> Read {
        let data = frame.data_ref().cloned();
        self.front.push(frame);
        let read = match data {
            Some(data) => self.data(data),
            None => Read::On,
        };
        if read == Read::On && self.front.len() >= self.limits.max_bytes {
            return Read::Enough;
        }
        read
    }

    fn data(&mut self, data: Bytes) -> Read {
        match self.how {
            How::Head => Read::Enough,
            How::Error => Read::On,
            How::Json => match self.dialect.looks_like_error(&self.front.concat()) {
                None => Read::On,
                Some(true) => {
                    *self.how = How::Error;
                    Read::On
                }
                Some(false) => {
                    self.peeked.depth = Depth::FirstContent;
                    Read::Enough
                }
            },
            How::Stream { decoder, events } => {
                decoder.push(data);
                while let Some(event) = decoder.next_event() {
                    let Ok(event) = event else {
                        return Read::Enough;
                    };
                    let Some(data) = event.data() else { continue };
                    match self.dialect.stream_event(&data) {
                        StreamEvent::Nothing => self.peeked.depth = Depth::FirstEvent,
                        StreamEvent::Content | StreamEvent::Finished => {
                            self.peeked.depth = Depth::FirstContent;
                            return Read::Enough;
                        }
                        StreamEvent::Error(error) => {
                            self.peeked.fail(error);
                            return Read::Enough;
                        }
                    }
                    *events += 1;
                    if *events >= self.limits.max_events {
                        return Read::Enough;
                    }
                }
                Read::On
            }
        }
    }

    fn ended(&mut self, ending: Ending) {
        match self.how {
            How::Head => {}
            // read by its beginning, whether it ended or not
            How::Error => {}
            How::Json | How::Stream { .. } => self.peeked.ending = Some(ending),
        }
        self.peeked.depth = Depth::FirstContent;
    }

    fn error_body(&mut self) {
        if let Some(error) = ProviderError::from_body(&self.front.concat()) {
            let hints = mem::take(&mut self.peeked.hints);
            self.peeked.hints = hints.or_retry_info(error.retry_info());
            self.peeked.fail(error);
        }
    }
}

impl<R> Future for Peek<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Output = (Peeked, Response<AnswerBody<R>>);

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut reading = Reading {
            front: &mut this.front,
            peeked: &mut this.peeked,
            how: &mut this.how,
            dialect: this.dialect,
            limits: this.limits,
        };
        let travels = !matches!(reading.how, How::Head | How::Json);
        while let (false, Some(body)) = (matches!(reading.how, How::Head), this.body.as_mut()) {
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if reading.frame(frame) == Read::Enough {
                        break;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    reading.front.fail(error.into());
                    reading.ended(Ending::Broken);
                    this.body = None;
                }
                Poll::Ready(None) => {
                    reading.ended(Ending::Truncated);
                    this.body = None;
                }
                Poll::Pending => {
                    // the data was asked for first, so a slow reader cannot run this clock out
                    let after = this.limits.commit_after;
                    let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(after)));
                    ready!(timer.as_mut().poll(cx));
                    break;
                }
            }
        }
        // an error's body that is too long, or does not come to its end, tells by its beginning
        if matches!(reading.how, How::Error) && reading.peeked.error.is_none() {
            reading.error_body();
        }
        let peeked = mem::replace(&mut this.peeked, Peeked::new(StatusCode::OK));
        let mut parts = this
            .parts
            .take()
            .expect("a future is not polled after it was ready");
        if travels || peeked.error.is_some() || peeked.ending.is_some() {
            parts.extensions.insert(peeked.clone());
        }
        let body = AnswerBody::read_ahead(mem::take(&mut this.front), this.body.take());
        Poll::Ready((peeked, Response::from_parts(parts, body)))
    }
}

impl<R> std::fmt::Debug for Peek<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peek")
            .field("peeked", &self.peeked)
            .finish_non_exhaustive()
    }
}
