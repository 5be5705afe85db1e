//! Both gRPC services, by generated clients over HTTP/2.

use std::time::Duration;

use fake_provider::{Behaviour, Failure, FakeProvider, Hint, Outcome};
use google_protos::{
    aiplatform::{self, prediction_service_client::PredictionServiceClient},
    generativelanguage::{
        Content, GenerateContentRequest, GenerateContentResponse, GenerationConfig, Part,
        generative_service_client::GenerativeServiceClient,
    },
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tonic::{Code, Request, Status, body::Body};

use crate::client::{soon, start, until_last};

type Http = Client<hyper_util::client::legacy::connect::HttpConnector, Body>;

fn http() -> Http {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

fn client(fake: &FakeProvider) -> GenerativeServiceClient<Http> {
    GenerativeServiceClient::with_origin(http(), fake.url().parse().expect("a URI"))
}

fn request(fake: &str) -> Request<GenerateContentRequest> {
    let part = Part {
        text: Some("one two three".into()),
        ..Part::default()
    };
    let content = Content {
        parts: vec![part],
        role: "user".into(),
    };
    let mut request = Request::new(GenerateContentRequest {
        model: "models/gemini-flash".into(),
        contents: vec![content],
        ..GenerateContentRequest::default()
    });
    if !fake.is_empty() {
        request
            .metadata_mut()
            .insert("x-fake", fake.parse().expect("text"));
    }
    request
}

fn text(response: &GenerateContentResponse) -> &str {
    let content = response.candidates[0].content.as_ref().expect("content");
    content.parts[0].text.as_deref().unwrap_or_default()
}

async fn stream(
    fake: &FakeProvider,
    options: &str,
) -> Result<(Vec<GenerateContentResponse>, Option<Status>), Status> {
    let answer = client(fake)
        .stream_generate_content(request(options))
        .await?;
    let mut stream = answer.into_inner();
    let mut all = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(message)) => all.push(message),
            Ok(None) => return Ok((all, None)),
            Err(status) => return Ok((all, Some(status))),
        }
    }
}

#[tokio::test]
async fn a_call_is_answered_and_written_down() {
    let fake = start().await;
    let answer = client(&fake)
        .generate_content(request("reasoning=2"))
        .await
        .unwrap();
    let answer = answer.into_inner();
    assert_eq!(text(&answer), "echo: one two three");
    assert_eq!(answer.candidates[0].finish_reason, 1);
    let usage = answer.usage_metadata.unwrap();
    assert_eq!(
        (usage.prompt_token_count, usage.candidates_token_count),
        (3, 4)
    );
    assert_eq!(
        (usage.thoughts_token_count, usage.total_token_count),
        (2, 9)
    );
    let received = until_last(&fake, Outcome::Whole).await;
    assert_eq!(received.model.as_deref(), Some("gemini-flash"));
    assert!(received.path.ends_with("/GenerateContent"));
}

#[tokio::test]
async fn a_stream_has_a_message_for_each_word() {
    let fake = start().await;
    let (messages, error) = stream(&fake, "").await.unwrap();
    assert!(error.is_none());
    let texts: Vec<_> = messages.iter().map(text).collect();
    assert_eq!(texts, ["echo: ", "one ", "two ", "three", ""]);
    assert_eq!(messages[4].candidates[0].finish_reason, 1);
    assert_eq!(
        messages[1].usage_metadata.unwrap().candidates_token_count,
        2
    );
    let (cut, error) = stream(&fake, "segment=3").await.unwrap();
    assert!(error.is_none());
    assert_eq!(cut.len(), 5);
}

#[tokio::test]
async fn the_other_service_has_other_numbers() {
    let fake = start().await;
    let url = fake.url().parse().unwrap();
    let mut client = PredictionServiceClient::with_origin(http(), url);
    let mut ask = aiplatform::GenerateContentRequest {
        model: "projects/p/locations/l/publishers/google/models/gemini".into(),
        ..aiplatform::GenerateContentRequest::default()
    };
    ask.generation_config = Some(aiplatform::GenerationConfig {
        max_output_tokens: Some(1),
        candidate_count: Some(2),
    });
    fake.on("gemini", Behaviour::ok().deltas(3));
    let answer = client.generate_content(ask).await.unwrap().into_inner();
    assert_eq!(answer.candidates.len(), 2);
    assert_eq!(answer.candidates[0].finish_reason, 2, "MAX_TOKENS");
    assert_eq!(answer.model_version, "gemini");
}

#[tokio::test]
async fn an_error_answer_has_its_status_in_the_head() {
    let fake = start().await;
    for (option, code) in [
        ("throttle", Code::ResourceExhausted),
        ("overloaded", Code::Unavailable),
        ("fail", Code::Internal),
        ("context-length", Code::InvalidArgument),
        ("status=401", Code::Unauthenticated),
        ("key=secret", Code::Unauthenticated),
        ("err-at=1", Code::Unavailable),
    ] {
        let status = client(&fake)
            .generate_content(request(option))
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{option}");
    }
    let status = stream(&fake, "throttle").await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    until_last(&fake, Outcome::Whole).await;
}

#[tokio::test]
async fn what_is_said_about_coming_back_is_in_the_trailers() {
    let fake = start().await;
    let status = stream(&fake, "throttle,pushback=250,retry-info-ms=2500")
        .await
        .unwrap_err();
    assert_eq!(
        status.metadata().get("grpc-retry-pushback-ms").unwrap(),
        "250"
    );
    // RetryInfo{retry_delay{seconds: 2, nanos: 500000000}} stands in the details
    let delay = [0x0a, 8, 8, 2, 16, 0x80, 0xca, 0xb5, 0xee, 1];
    assert!(
        status
            .details()
            .windows(delay.len())
            .any(|bytes| bytes == delay)
    );
    let quota = stream(&fake, "quota").await.unwrap_err();
    assert!(quota.details().windows(6).any(|bytes| bytes == b"PerDay"));
}

#[tokio::test]
async fn a_stream_fails_in_its_trailers_where_asked() {
    let fake = start().await;
    for (at, before) in [("0", 0), ("2", 2)] {
        let option = format!("err-at={at},pushback=-1");
        let (messages, error) = stream(&fake, &option).await.unwrap();
        let error = error.expect("a status");
        assert_eq!((messages.len(), error.code()), (before, Code::Unavailable));
        assert_eq!(
            error.metadata().get("grpc-retry-pushback-ms").unwrap(),
            "-1"
        );
    }
    fake.on(
        "gemini-flash",
        Behaviour::ok().error_like(1, Failure::rate_limited().hint(Hint::Pushback("5".into()))),
    );
    let (messages, error) = stream(&fake, "").await.unwrap();
    assert_eq!(
        (messages.len(), error.unwrap().code()),
        (1, Code::ResourceExhausted)
    );
}

#[tokio::test]
async fn a_broken_stream_is_reset_and_loses_nothing_that_was_sent() {
    let fake = start().await;
    let (messages, error) = stream(&fake, "break-at=2").await.unwrap();
    assert_eq!(messages.len(), 2);
    assert!(error.is_some());
    until_last(&fake, Outcome::Broken).await;
    let error = client(&fake)
        .generate_content(request("break-at=1"))
        .await
        .unwrap_err();
    assert_ne!(error.code(), Code::Ok);
    until_last(&fake, Outcome::Broken).await;
}

#[tokio::test]
async fn a_stream_may_end_without_trailers() {
    let fake = start().await;
    let (messages, error) = stream(&fake, "end-at=2").await.unwrap();
    assert_eq!(messages.len(), 2);
    assert!(error.is_some(), "no status is no success");
    until_last(&fake, Outcome::Whole).await;
}

#[tokio::test]
async fn stalls_and_hangs_end_with_the_caller() {
    let fake = start().await;
    let answer = client(&fake)
        .stream_generate_content(request("stall-at=1"))
        .await
        .unwrap();
    let mut messages = answer.into_inner();
    assert!(messages.message().await.unwrap().is_some());
    let more = tokio::time::timeout(Duration::from_millis(20), messages.message()).await;
    assert!(more.is_err());
    drop(messages);
    until_last(&fake, Outcome::ClientGone).await;
    {
        let mut client = client(&fake);
        let call = client.generate_content(request("hang"));
        tokio::select! {
            _ = call => panic!("an answer"),
            () = soon(fake.until(|log| log.len() == 2)) => {}
        }
    }
    until_last(&fake, Outcome::ClientGone).await;
}

#[tokio::test]
async fn max_tokens_are_obeyed() {
    let fake = start().await;
    let mut ask = request("");
    ask.get_mut().generation_config = Some(GenerationConfig {
        max_output_tokens: Some(2),
        candidate_count: None,
    });
    let answer = client(&fake)
        .generate_content(ask)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (text(&answer), answer.candidates[0].finish_reason),
        ("echo: one ", 2)
    );
}
