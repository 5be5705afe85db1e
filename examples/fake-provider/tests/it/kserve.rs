//! KServe's inference service, by a generated client over HTTP/2.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use fake_provider::{Behaviour, Failure, FakeProvider, Hint, Outcome, Script};
use futures_util::stream;
use google_protos::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse, Tensor,
    TensorContents, grpc_inference_service_client::GrpcInferenceServiceClient,
    infer_parameter::ParameterChoice,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming, body::Body};

use crate::client::{soon, start, until_last};

type Service = GrpcInferenceServiceClient<Client<HttpConnector, Body>>;

fn client(fake: &FakeProvider) -> Service {
    let http = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    GrpcInferenceServiceClient::with_origin(http, fake.url().parse().unwrap())
}

fn ask(model: &str, prompt: &str) -> ModelInferRequest {
    let contents = TensorContents {
        bytes_contents: vec![prompt.into()],
        ..TensorContents::default()
    };
    ModelInferRequest {
        model_name: model.into(),
        id: "4711".into(),
        inputs: vec![Tensor {
            name: "text_input".into(),
            datatype: "BYTES".into(),
            shape: vec![1],
            contents: Some(contents),
        }],
        ..ModelInferRequest::default()
    }
}

/// The text of an answer: behind its length.
fn text(response: &ModelInferResponse) -> &str {
    std::str::from_utf8(&response.raw_output_contents[0][4..]).unwrap()
}

/// What comes of these requests until the answer ends or `most` messages are there.
async fn read(
    answers: &mut Streaming<ModelStreamInferResponse>,
    most: usize,
) -> (Vec<ModelStreamInferResponse>, Option<Status>) {
    let mut all = Vec::new();
    while all.len() < most {
        match soon(answers.message()).await {
            Ok(Some(message)) => all.push(message),
            Ok(None) => return (all, None),
            Err(status) => return (all, Some(status)),
        }
    }
    (all, None)
}

async fn streamed(
    fake: &FakeProvider,
    model: &str,
) -> (Vec<ModelStreamInferResponse>, Option<Status>) {
    let asks = stream::iter([ask(model, "one two")]);
    match client(fake).model_stream_infer(asks).await {
        Ok(answers) => read(&mut answers.into_inner(), usize::MAX).await,
        Err(status) => (Vec::new(), Some(status)),
    }
}

#[tokio::test]
async fn a_call_is_answered_with_a_tensor_and_no_word_of_tokens() {
    let fake = start().await;
    let mut request = ask("llama", "one two three");
    let answer = client(&fake).model_infer(request.clone()).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(text(&answer), "echo: one two three");
    assert_eq!((&*answer.model_name, &*answer.id), ("llama", "4711"));
    assert_eq!(answer.outputs[0].name, "text_output");
    let received = until_last(&fake, Outcome::Whole).await;
    assert_eq!(received.model.as_deref(), Some("llama"));
    let cap = InferParameter {
        parameter_choice: Some(ParameterChoice::Int64Param(2)),
    };
    request.parameters.insert("max_tokens".into(), cap);
    let answer = client(&fake).model_infer(request).await.unwrap();
    assert_eq!(text(answer.get_ref()), "echo: one ");
}

#[tokio::test]
async fn an_error_is_a_status_with_its_pushback() {
    let fake = start().await;
    let throttled = Behaviour::throttled(Hint::Pushback("250".into()));
    fake.on(
        "llama",
        Script::from(vec![throttled, Behaviour::fails(Failure::status(404))]),
    );
    let status = client(&fake)
        .model_infer(ask("llama", "hi"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(
        status.metadata().get("grpc-retry-pushback-ms").unwrap(),
        "250"
    );
    let status = client(&fake)
        .model_infer(ask("llama", "hi"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    fake.on("llama", Behaviour::ok().break_at(1));
    client(&fake)
        .model_infer(ask("llama", "hi"))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_stream_answers_request_after_request_while_its_caller_goes_on() {
    let fake = start().await;
    let (requests, asked) = mpsc::channel(1);
    let asks = stream::unfold(asked, |mut asked| async {
        Some((asked.recv().await?, asked))
    });
    requests.send(ask("llama", "one")).await.unwrap();
    let mut answers = soon(client(&fake).model_stream_infer(asks))
        .await
        .unwrap()
        .into_inner();
    for prompt in ["one", "two"] {
        let (all, status) = read(&mut answers, 3).await;
        assert!(status.is_none());
        let of = |at: usize| all[at].infer_response.as_ref().unwrap();
        assert_eq!((text(of(0)), text(of(1))), ("echo: ", prompt));
        let last = of(2);
        assert!(last.outputs.is_empty() && last.parameters.contains_key("triton_final_response"));
        assert_eq!(fake.open_streams(), 1);
        if prompt == "one" {
            requests.send(ask("llama", "two")).await.unwrap();
        }
    }
    drop(requests);
    assert_eq!(read(&mut answers, 1).await.0, []);
    until_last(&fake, Outcome::Whole).await;
}

#[tokio::test]
async fn an_error_in_a_stream_is_a_text_and_the_call_stays_ok() {
    let fake = start().await;
    for (at, before) in [("0", 0), ("1", 1), ("2", 2)] {
        let (all, status) = streamed(&fake, &format!("llama+err-{at}")).await;
        assert!(status.is_none(), "{status:?}");
        assert_eq!(all.len(), before + 1, "{at}");
        assert_eq!(
            all[before].error_message,
            "The model is overloaded. Please try again later."
        );
        assert!(all[before].infer_response.is_none());
    }
}

#[tokio::test]
async fn a_stream_breaks_ends_and_stalls_where_the_script_says() {
    let fake = start().await;
    let (all, status) = streamed(&fake, "llama+break-2").await;
    assert!(all.len() == 2 && status.is_some());
    let (all, status) = streamed(&fake, "llama+end-2").await;
    assert_eq!(
        (all.len(), status.map(|status| status.code())),
        (2, Some(Code::Unknown))
    );
    let (all, status) = streamed(&fake, "llama+overloaded").await;
    assert_eq!(
        (all.len(), status.map(|status| status.code())),
        (0, Some(Code::Unavailable))
    );
    let asks = stream::iter([ask("llama+stall-1", "one")]);
    let answers = client(&fake).model_stream_infer(asks).await.unwrap();
    let mut answers = answers.into_inner();
    assert!(soon(answers.message()).await.unwrap().is_some());
    let next = tokio::time::timeout(Duration::from_millis(50), answers.message()).await;
    assert!(next.is_err());
    drop(answers);
    until_last(&fake, Outcome::ClientGone).await;
}
