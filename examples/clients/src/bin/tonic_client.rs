//! `retry-layer` and both layers of `sse-layer` under a generated gRPC client: statuses, pushback, and
//! streams that break or stall.

use std::{io::Write, time::Duration};

use clients::ChannelService;
use fake_provider::{At, Behaviour, Failure, FakeProvider, Hint, Script};
use google_protos::generativelanguage::{
    Content, GenerateContentRequest, GenerateContentResponse, Part,
    generative_service_client::GenerativeServiceClient,
};
use llm_exchange::{BoxError, Standard};
use retry_layer::{Retry, RetryLayer};
use sse_layer::{Sse, SseLayer, StreamTimeout, StreamTimeoutLayer};
use tokio::time::Instant;
use tonic::{Code, Status, transport::Endpoint};
use tower::Layer;

/// What a generated client is made over: plain tower.
type Client = GenerativeServiceClient<Sse<Retry<StreamTimeout<ChannelService>, Standard, ()>>>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = FakeProvider::start().await?;
    let once = |fault: Behaviour| Script::new().times(1, fault).then_ok();
    let pushback = |ms: &str| Hint::Pushback(ms.into());
    provider.on("throttled", once(Behaviour::throttled(pushback("300"))));
    let never = Failure::overloaded().hint(pushback("-1"));
    provider.on("not-again", Behaviour::fails(never));
    provider.on("hangs", once(Behaviour::hangs()));
    provider.on("breaks-early", once(Behaviour::ok().break_at(At::First)));
    provider.on("breaks-late", Behaviour::ok().break_at(2));
    provider.on("stalls-late", Behaviour::ok().stall_at(2));

    let retry = RetryLayer::new()
        .max_retries(3)
        .deadline(Duration::from_secs(60));
    // innermost: the clocks are of one attempt, and a retry acts on them
    let clocks = StreamTimeoutLayer::new()
        .headers(Duration::from_millis(500))
        .idle(Duration::from_millis(500));
    let channel = Endpoint::from_shared(provider.url())?.connect_lazy();
    let service = retry.layer(clocks.layer(ChannelService(channel)));
    // outermost: a stream that breaks has a status all the same
    let mut client = GenerativeServiceClient::new(SseLayer::new().layer(service));

    // nobody notices
    for model in ["throttled", "hangs", "breaks-early"] {
        stream(&mut client, model).await?;
    }
    // what was handed on stays; what can't be had is told by a status
    for (model, code) in [
        ("breaks-late", Code::Unavailable),
        ("stalls-late", Code::DeadlineExceeded),
        ("not-again", Code::Unavailable),
    ] {
        match stream(&mut client, model).await {
            Err(status) if status.code() == code => {}
            end => return Err(format!("{model} ended otherwise: {end:?}").into()),
        }
    }
    println!("the provider was asked {} times", provider.log().len());
    Ok(())
}

/// Prints a stream as it comes, and how it ends.
async fn stream(client: &mut Client, model: &str) -> Result<(), Status> {
    let began = Instant::now();
    print!("{model:>12}: ");
    let end = async {
        let mut stream = client
            .stream_generate_content(ask(model))
            .await?
            .into_inner();
        while let Some(message) = stream.message().await? {
            print!("{}", text(&message));
            std::io::stdout().flush()?;
        }
        Ok::<_, Status>(())
    }
    .await;
    let took = began.elapsed().as_millis();
    match &end {
        Ok(()) => println!(" (OK after {took} ms)"),
        Err(status) => println!(
            " ({}, {:?}, after {took} ms)",
            status.code(),
            status.message()
        ),
    }
    end
}

fn ask(model: &str) -> GenerateContentRequest {
    let part = Part {
        text: Some("one two three".into()),
        ..Part::default()
    };
    GenerateContentRequest {
        model: format!("models/{model}"),
        contents: vec![Content {
            parts: vec![part],
            role: "user".into(),
        }],
        ..GenerateContentRequest::default()
    }
}

fn text(message: &GenerateContentResponse) -> &str {
    let candidate = message.candidates.first();
    let content = candidate.and_then(|candidate| candidate.content.as_ref());
    let part = content.and_then(|content| content.parts.first());
    part.and_then(|part| part.text.as_deref())
        .unwrap_or_default()
}
