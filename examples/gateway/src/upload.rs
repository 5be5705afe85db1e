//! The caller's body on its way in: bounded, and not waited for without end.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use llm_exchange::BoxError;
use pin_project_lite::pin_project;
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep, timeout},
};

/// The longest body of an LLM call: 32 MiB.
pub(crate) const MOST_BYTES: u64 = 32 << 20;

/// The longest time without a byte.
const IDLE: Duration = Duration::from_secs(60);

/// For how long, and how much, is read of a body that nobody wants.
const DISCARD_TIME: Duration = Duration::from_secs(5);
const DISCARD_BYTES: usize = 64 << 20;

/// Why an upload did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is longer than allowed.
    TooLong,
    /// Nothing came for a minute.
    Stalled,
    /// The caller's connection broke.
    Broken,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the upload is too long",
            Self::Stalled => "the upload stalled",
            Self::Broken => "the upload broke off",
        })
    }
}

impl std::error::Error for Fault {}

/// Tells, when the call has failed, whether its upload was the reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct UploadFault(Arc<OnceLock<Fault>>);

impl UploadFault {
    pub(crate) fn get(&self) -> Option<Fault> {
        self.0.get().copied()
    }

    fn set(&self, fault: Fault) {
        // the first one is the reason
        let _ = self.0.set(fault);
    }
}

pin_project! {
    /// A request body with limits.
    pub(crate) struct Upload {
        // none after a fault
        body: Option<Body>,
        left: u64,
        // runs while a byte is waited for
        #[pin]
        idle: Option<Sleep>,
        fault: UploadFault,
    }

    impl PinnedDrop for Upload {
        fn drop(this: Pin<&mut Self>) {
            // the call was answered, or refused, before its body was read
            if let Some(body) = this.project().body.take() {
                discard(body);
            }
        }
    }
}

impl Upload {
    /// Limits a body to so many bytes.
    ///
    /// # Errors
    ///
    /// It announces more: nothing of it was read.
    pub(crate) fn new(body: Body, most: u64) -> Result<(Self, UploadFault), Fault> {
        if body.size_hint().lower() > most {
            discard(body);
            return Err(Fault::TooLong);
        }
        let fault = UploadFault::default();
        let upload = Self {
            body: Some(body),
            left: most,
            idle: None,
            fault: fault.clone(),
        };
        Ok((upload, fault))
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some(body) = this.body else {
            return Poll::Ready(None);
        };
        let fault = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.idle.set(None);
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(length) {
                    Some(left) => {
                        *this.left = left;
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    None => Fault::TooLong,
                }
            }
            Poll::Ready(Some(Err(error))) => {
                this.fault.set(Fault::Broken);
                return Poll::Ready(Some(Err(error.into())));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                if this.idle.is_none() {
                    this.idle.set(Some(sleep(IDLE)));
                }
                if let Some(idle) = this.idle.as_mut().as_pin_mut() {
                    ready!(idle.poll(cx));
                }
                Fault::Stalled
            }
        };
        this.fault.set(fault);
        if let (Some(body), Fault::TooLong) = (this.body.take(), fault) {
            discard(body);
        }
        Poll::Ready(Some(Err(fault.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

/// Reads on for a little while, in a task of its own: a connection that is closed while bytes come
/// in is reset, and the caller might never see the answer that says why.
pub(crate) fn discard(mut body: Body) {
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    if body.is_end_stream() {
        return;
    }
    runtime.spawn(timeout(DISCARD_TIME, async move {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DISCARD_BYTES {
                break;
            }
        }
    }));
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Three bytes each so often.
    fn slow(every: Duration, count: usize) -> Body {
        struct Slow(Pin<Box<Sleep>>, Duration, usize);

        impl http_body::Body for Slow {
            type Data = Bytes;
            type Error = std::convert::Infallible;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                if self.2 == 0 {
                    return Poll::Ready(None);
                }
                ready!(self.0.as_mut().poll(cx));
                let next = Instant::now() + self.1;
                self.0.as_mut().reset(next);
                self.2 -= 1;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"abc")))))
            }
        }

        Body::new(Slow(Box::pin(sleep(every)), every, count))
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_goes_on_slowly_is_read_whole() {
        let (upload, fault) = Upload::new(slow(IDLE - Duration::from_secs(1), 4), 12).unwrap();
        assert_eq!(upload.collect().await.unwrap().to_bytes().len(), 12);
        assert_eq!(fault.get(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stops_is_given_up_after_a_minute() {
        let start = Instant::now();
        let (upload, fault) = Upload::new(slow(IDLE * 10, 4), 12).unwrap();
        let error = upload.collect().await.unwrap_err();
        assert_eq!(error.downcast_ref::<Fault>(), Some(&Fault::Stalled));
        assert_eq!(fault.get(), Some(Fault::Stalled));
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_is_cut_where_it_gets_too_long() {
        let (upload, fault) = Upload::new(slow(Duration::ZERO, 4), 11).unwrap();
        assert!(upload.collect().await.is_err());
        assert_eq!(fault.get(), Some(Fault::TooLong));
    }

    #[tokio::test]
    async fn an_upload_that_announces_too_much_is_not_begun() {
        assert!(Upload::new(Body::from("abcd"), 3).is_err());
        assert!(Upload::new(Body::from("abcd"), 4).is_ok());
    }
}
