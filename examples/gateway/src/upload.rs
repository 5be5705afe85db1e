//! The caller's body: bounded in silence.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use llm_exchange::BoxError;
use tokio::time::{Instant, Sleep, sleep};

/// The longest silence of a caller who is sending.
pub(crate) const MAX_SILENCE: Duration = Duration::from_secs(60);

/// Why a caller's body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    TooSlow,
    Broken,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooSlow => "the request body did not come in time",
            Self::Broken => "the request body broke off",
        })
    }
}

impl std::error::Error for Cut {}

/// A body whose sender does not fall silent. `why` tells whoever answers what went wrong with it.
pub(crate) struct Upload<B> {
    body: B,
    silence: Option<Pin<Box<Sleep>>>,
    why: Arc<OnceLock<Cut>>,
}

impl<B> Upload<B> {
    pub(crate) fn new(body: B) -> (Self, Arc<OnceLock<Cut>>) {
        let why = Arc::new(OnceLock::new());
        (
            Self {
                body,
                silence: None,
                why: Arc::clone(&why),
            },
            why,
        )
    }

    fn cut(&self, cut: Cut) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let _ = self.why.set(cut);
        Poll::Ready(Some(Err(cut.into())))
    }
}

impl<B> Body for Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => this.cut(Cut::Broken),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(silence) = &mut this.silence {
                    silence.as_mut().reset(Instant::now() + MAX_SILENCE);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => {
                let silence = this
                    .silence
                    .get_or_insert_with(|| Box::pin(sleep(MAX_SILENCE)));
                match silence.as_mut().poll(cx) {
                    Poll::Ready(()) => this.cut(Cut::TooSlow),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use testkit::ScriptedBody;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_falls_silent_is_cut_after_a_minute_and_not_before() {
        let almost = MAX_SILENCE - Duration::from_secs(1);
        let body = ScriptedBody::<BoxError>::new()
            .wait(almost)
            .data("a")
            .hang();
        let (mut upload, why) = Upload::new(body);
        let start = Instant::now();
        assert_eq!(
            upload.frame().await.unwrap().unwrap().into_data().unwrap(),
            "a"
        );
        assert_eq!(start.elapsed(), almost);
        upload.frame().await.unwrap().unwrap_err();
        assert_eq!(why.get(), Some(&Cut::TooSlow));
        assert_eq!(start.elapsed(), almost + MAX_SILENCE);
    }
}
