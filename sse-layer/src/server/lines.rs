use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http::Response;
use http_body::{Body, Frame};
use llm_exchange::BoxError;
use pin_project_lite::pin_project;
use serde::Serialize;

pin_project! {
    /// An NDJSON body: each value that comes out of a stream is written as JSON on a line of its own.
    ///
    /// An error of the stream, or a value that JSON cannot hold, breaks the body. Nothing is read ahead.
    /// The body is `Unpin` if the stream is.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use futures_util::{StreamExt, stream};
    /// use sse_layer::server::LineBody;
    ///
    /// let values = stream::iter([1, 2]).map(|n| Ok::<_, Infallible>(serde_json::json!({ "n": n })));
    /// let response = LineBody::new(values).into_response();
    /// assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    /// ```
    pub struct LineBody<S> {
        #[pin]
        values: S,
        over: bool,
    }
}

impl<S> LineBody<S> {
    /// A body of these values.
    pub const fn new(values: S) -> Self {
        Self {
            values,
            over: false,
        }
    }

    /// The answer with this body: 200, `application/x-ndjson`, and what keeps proxies from holding it
    /// up.
    pub fn into_response(self) -> Response<Self> {
        super::response(self, "application/x-ndjson")
    }
}

impl<S, T, E> Body for LineBody<S>
where
    S: Stream<Item = Result<T, E>>,
    T: Serialize,
    E: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        let next = ready!(this.values.poll_next(cx));
        let line = next.map(|value| line(&value.map_err(Into::into)?));
        *this.over = !matches!(line, Some(Ok(_)));
        Poll::Ready(line.map(|line| line.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

fn line(value: &impl Serialize) -> Result<Bytes, BoxError> {
    let mut line = serde_json::to_vec(value)?;
    // a raw value may have line ends, which stand only between tokens
    let ends = line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r'));
    ends.for_each(|byte| *byte = b' ');
    line.push(b'\n');
    Ok(line.into())
}

impl<S> fmt::Debug for LineBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineBody")
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
