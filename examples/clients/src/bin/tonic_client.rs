//! `retry-layer` under a generated gRPC client: statuses, pushback and streams that break.

use std::time::Duration;

use clients::ChannelService;
use fake_provider::{At, Behaviour, Failure, FakeProvider, Hint, Script};
use google_protos::generativelanguage::{
    Content, GenerateContentRequest, GenerateContentResponse, Part,
    generative_service_client::GenerativeServiceClient,
};
use llm_exchange::BoxError;
use retry_layer::RetryLayer;
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = FakeProvider::start().await?;
    let throttled = Behaviour::throttled(Hint::Pushback("300".into()));
    provider.on("throttled", Script::new().times(2, throttled).then_ok());
    let never = Failure::overloaded().hint(Hint::Pushback("-1".into()));
    provider.on("not-again", Behaviour::fails(never));
    let early = Behaviour::ok().break_at(At::First);
    provider.on("breaks-early", Script::new().times(1, early).then_ok());
    provider.on("breaks-late", Behaviour::ok().break_at(2));

    let retry = RetryLayer::new()
        .max_retries(3)
        .deadline(Duration::from_secs(60));
    let channel = Endpoint::from_shared(provider.url())?.connect_lazy();
    let mut client = GenerativeServiceClient::new(retry.layer(ChannelService(channel)));

    let began = Instant::now();
    let answer = client.generate_content(ask("throttled")).await?;
    let took = began.elapsed().as_millis();
    println!(
        "throttled twice:  {:?} after {took} ms",
        text(answer.get_ref())
    );

    let mut stream = client
        .stream_generate_content(ask("breaks-early"))
        .await?
        .into_inner();
    print!("broken early:     ");
    while let Some(message) = stream.message().await? {
        print!("{}", text(&message));
    }
    println!(" (nobody noticed)");

    // what was handed on stays; what can't be had is told
    let mut stream = client
        .stream_generate_content(ask("breaks-late"))
        .await?
        .into_inner();
    print!("broken late:      ");
    let status = loop {
        match stream.message().await {
            Ok(Some(message)) => print!("{}", text(&message)),
            Ok(None) => return Err("the stream did not break".into()),
            Err(status) => break status,
        }
    };
    println!("and then {}", status.code());

    match client.generate_content(ask("not-again")).await {
        Ok(_) => return Err("it was answered".into()),
        Err(status) => println!("not again:        {} at once", status.code()),
    }
    println!("the provider was asked {} times", provider.log().len());
    Ok(())
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
