//! What was asked of who answers, and a stream that goes on with another one's answer.

use std::sync::{Arc, OnceLock};

use http::Response;
use http_body::Body;
use tokio::time::Instant;

use super::Meter;
use crate::{AnswerBody, Call};

/// What the call asked that an answer is to; where the stream went on with another answer, of each
/// of them. A list that only grows, so that its names can be lent.
pub(super) struct Asked {
    pub(super) model: Option<Arc<str>>,
    /// Where it was sent, if not where its caller sent it.
    pub(super) host: Option<Arc<str>>,
    pub(super) estimated_input: u64,
    then: OnceLock<Box<Self>>,
}

impl Asked {
    pub(super) fn of(call: &Call) -> Self {
        Self {
            model: call.shared_model(),
            host: call.shared_host(),
            estimated_input: call.estimated_input(),
            then: OnceLock::new(),
        }
    }

    pub(super) fn last(&self) -> &Self {
        let mut last = self;
        while let Some(next) = last.then.get() {
            last = next;
        }
        last
    }
}

impl Meter {
    /// A new meter of an answer that may be read further in already, in its place in the extensions:
    /// for a layer that changes which bytes pass, such as one that goes on with a stream where it
    /// broke. What it reads is what layers further out see. It began when the one further in did.
    pub fn anew<R>(mut response: Response<R>, call: &Call) -> (Self, Response<AnswerBody<R>>)
    where
        R: Body,
    {
        let inner = response.extensions_mut().remove::<Self>();
        let began = inner.map_or_else(Instant::now, |inner| inner.began());
        Self::read(response, call, began)
    }

    /// From the next byte on, the answer to this call goes on in the same stream, another attempt's
    /// at the same answer. The one before is
    /// [left behind](crate::Attempts::leave_behind) with a meter of its own. `None`: it was left
    /// behind, and no other answers yet.
    ///
    /// From then on [`tokens`](Self::tokens), [`usage`](Self::usage) and [`spent`](Self::spent) are
    /// of this attempt alone, so that each is booked once and at its own model's price; progress,
    /// places in the body and [`output_tokens`](Self::output_tokens) go on. Only for a meter made with
    /// [`anew`](Self::anew).
    pub fn goes_on(&self, call: Option<&Call>) {
        self.reading().goes_on();
        let last = self.0.asked.last();
        let nobody = || Asked {
            model: last.model.clone(),
            host: last.host.clone(),
            estimated_input: 0,
            then: OnceLock::new(),
        };
        let asked = call.map_or_else(nobody, Asked::of);
        let _ = last.then.set(Box::new(asked));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt, Full};
    use testkit::ScriptedBody;

    use super::*;
    use crate::{End, Payload};

    async fn call(model: &str) -> Arc<Call> {
        let json = format!(r#"{{"model":"{model}","stream":true,"messages":["0123456789ab"]}}"#);
        let request = Request::post("/v1/chat/completions").body(Full::from(json));
        let request = Payload::read(request.unwrap(), 1 << 20).await;
        Arc::clone(Call::of(&request).unwrap())
    }

    fn chunk(model: &str, rest: &str) -> Bytes {
        format!("data: {{\"id\":\"1\",\"model\":\"{model}\",{rest}}}\n\n").into()
    }

    fn says(model: &str, text: &str) -> Bytes {
        let choices = r#""choices":[{"index":0,"delta":{"content":""#;
        chunk(model, &format!("{choices}{text}\"}}}}]"))
    }

    #[tokio::test]
    async fn a_stream_that_goes_on_is_charged_for_each_attempt_apart_and_capped_as_one() {
        let (first, second) = (call("a").await, call("b").await);
        first.attempts().watch_output(6);
        let finish = r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#;
        let usage = r#""choices":[],"usage":{"prompt_tokens":20,"completion_tokens":4}"#;
        let frames = [
            says("a-1", "four tokens, sixt"),
            says("b-1", "another sixteen."),
            chunk("b-1", finish),
            chunk("b-1", usage),
            "data: [DONE]\n\n".into(),
        ];
        let response = Response::builder()
            .header("content-type", "text/event-stream")
            .body(ScriptedBody::<crate::BoxError>::chunks(frames))
            .unwrap();
        let (inner, response) = Meter::attach(response, &first);
        let (meter, response) = Meter::anew(response, &first);
        assert_eq!(meter.began(), inner.began());
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        let before = meter.tokens();
        assert!(before.output > 0 && meter.reached(6).is_none());
        meter.goes_on(None);
        assert_eq!(meter.spent().0.total(), 0);
        meter.goes_on(Some(&second));
        assert_eq!(
            (meter.tokens().output, meter.output_tokens()),
            (0, before.output)
        );
        assert_eq!(meter.asked_model(), Some("b"));
        body.frame().await.unwrap().unwrap();
        assert!(meter.tokens().output < 6 && meter.reached(6).is_some());
        assert_eq!(meter.model().as_deref(), Some("b-1"));
        body.collect().await.unwrap();
        assert_eq!(meter.end(), Some(End::Complete));
        assert_eq!(meter.usage().unwrap().output(), 4);
        assert_eq!(meter.spent().0.input(), 20);
        assert_eq!(meter.output_tokens(), before.output + 4);
        assert_eq!(inner.output_tokens(), 4);
    }
}
