//! The `async-openai` SDK on a stack of our layers, which retry in place of the SDK's own retries.

use std::time::Duration;

use async_openai::{Client, config::OpenAIConfig, types::chat};
use clients::{OpenAiService, ReqwestService};
use fake_provider::{Failure, FakeProvider, Hint, Script};
use futures_util::StreamExt;
use llm_exchange::BoxError;
use retry_layer::RetryLayer;
use sse_layer::StreamTimeoutLayer;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let provider = FakeProvider::start().await?;
    // the SDK alone takes this page for an answer that it cannot read, and gives up
    let page = Failure::status(429).html(500).hint(Hint::RetryAfterMs(300));
    provider.on("gpt-6-sol", Script::new().fail(2, page).then_ok());

    let reqwest = reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .build()?;
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new().deadline(Duration::from_secs(60)))
        .layer(StreamTimeoutLayer::new().first_content(Duration::from_secs(30)))
        .service(ReqwestService(reqwest));
    let config = OpenAIConfig::new()
        .with_api_base(format!("{}/v1", provider.url()))
        .with_api_key("any");
    let client = Client::with_config(config).with_http_service(OpenAiService(stack));

    let request = || {
        let question = chat::ChatCompletionRequestUserMessage::from("Which fruit is sour?");
        chat::CreateChatCompletionRequestArgs::default()
            .model("gpt-6-sol")
            .messages([question.into()])
            .build()
    };
    let answer = client.chat().create(request()?).await?;
    let text = answer.choices[0].message.content.as_deref();
    println!("whole:    {}", text.unwrap_or_default());

    let mut stream = client.chat().create_stream(request()?).await?;
    print!("streamed: ");
    while let Some(chunk) = stream.next().await {
        for choice in chunk?.choices {
            print!("{}", choice.delta.content.unwrap_or_default());
        }
    }
    println!("\nthe provider was asked {} times", provider.log().len());
    Ok(())
}
