//! Bodies in another form.

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::BodyExt;
use llm_exchange::{AnswerBody, Dialect, End, Meter, Reshape};
use testkit::{BoxError, ScriptedBody};

use crate::calls::call;

/// Says each line in capitals once it is whole, and a last word, or ends at a full stop.
#[derive(Default)]
struct Loud {
    begun: Vec<u8>,
    over: bool,
}

impl Reshape for Loud {
    fn data(&mut self, data: Bytes) -> Bytes {
        self.begun.extend_from_slice(&data);
        self.over = self.begun.ends_with(b".");
        if self.over || self.begun.ends_with(b"\n") {
            return std::mem::take(&mut self.begun).to_ascii_uppercase().into();
        }
        Bytes::new()
    }

    fn end(&mut self) -> Bytes {
        "the end".into()
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

fn loud(body: ScriptedBody) -> AnswerBody<ScriptedBody> {
    AnswerBody::inner(body).reshaped(Loud::default())
}

async fn text(body: AnswerBody<ScriptedBody>) -> Result<String, BoxError> {
    let bytes = body.collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_what_is_made_of_it() {
    let body = ScriptedBody::chunks(["a", "b\n", "c"]);
    let mut body = loud(body.sized());
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().exact(), None);
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "AB\n");
    assert_eq!(text(body).await.unwrap(), "the end");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_end_is_let_go_and_not_waited_for() {
    let body = ScriptedBody::new().data("a.").data("b").hang();
    let watch = body.watch();
    let mut body = loud(body);
    let only = body.frame().await.unwrap().unwrap();
    assert_eq!(only.into_data().unwrap(), "A.");
    assert!(!watch.is_alive());
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_the_end_and_no_last_word_follows() {
    let body = ScriptedBody::new().data("a").error("reset");
    let mut body = loud(body);
    assert_eq!(
        body.frame().await.unwrap().unwrap_err().to_string(),
        "reset"
    );
    assert!(body.frame().await.is_none());
    let broken: AnswerBody<ScriptedBody> = AnswerBody::broken("reset".into());
    assert_eq!(text(broken).await.unwrap_err().to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn a_meter_reads_the_bytes_as_they_came() {
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let mut response = Response::new(ScriptedBody::new().data(stream));
    let kind = "text/event-stream".parse().unwrap();
    response.headers_mut().insert("content-type", kind);
    let (meter, response) = Meter::attach(response, &call(Dialect::OpenAiChat));
    let body = response.into_body().reshaped(Loud::default());
    let said = text(body).await.unwrap();
    assert!(said.starts_with("DATA: ") && said.ends_with("the end"));
    assert_eq!(meter.end(), Some(End::Complete));
    assert_eq!(meter.contents(), 1);
}
