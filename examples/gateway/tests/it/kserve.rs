//! KServe's inference service through the gateway, over HTTP/2.

use fake_provider::{Behaviour, Failure, FakeProvider, Hint, Outcome, Script};
use futures_util::stream;
use google_protos::inference::{
    ModelInferRequest, ModelInferResponse, Tensor, TensorContents,
    grpc_inference_service_client::GrpcInferenceServiceClient,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tonic::{Code, body::Body};

use crate::common::*;

type Service = GrpcInferenceServiceClient<Client<HttpConnector, Body>>;

/// Two servers of models, and a route for each of two models.
struct Servers {
    one: FakeProvider,
    other: FakeProvider,
    gateway: gateway::Gateway,
}

async fn servers() -> Servers {
    let one = FakeProvider::start().await.unwrap();
    let other = FakeProvider::start().await.unwrap();
    let provider = |name: &str, fake: &FakeProvider| {
        format!(
            "[[provider]]\nname = \"{name}\"\nbase_url = \"{}\"\ndialect = \"kserve\"\n",
            fake.url()
        )
    };
    let route = |model: &str, name: &str| {
        format!("[[route]]\nmodel = \"{model}\"\nchain = [{{ provider = \"{name}\" }}]\n")
    };
    let text = [
        "listen = \"127.0.0.1:0\"\n".to_owned(),
        provider("one", &one),
        provider("other", &other),
        route("llama", "one"),
        route("mistral", "other"),
        "[retry]\ninitial_delay = \"10ms\"\n[cost]\nledger = \"memory\"\n".to_owned(),
    ];
    Servers {
        one,
        other,
        gateway: start(&text.concat()).await,
    }
}

impl Servers {
    fn client(&self) -> Service {
        let http = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        Service::with_origin(http, self.gateway.url().parse().unwrap())
    }

    /// Today's line of this model.
    async fn booked(&self, model: &str) -> Value {
        let client: Client<HttpConnector, http_body_util::Full<bytes::Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let url = format!("{}/report/daily", self.gateway.admin_url());
        let answer = Answer::of(client.get(url.parse().unwrap()).await.unwrap()).await;
        let daily = answer.json();
        let lines = daily.as_array().unwrap();
        let line = lines.iter().find(|line| line["model"] == model);
        line.cloned().unwrap_or_default()
    }
}

fn ask(model: &str) -> ModelInferRequest {
    let contents = TensorContents {
        bytes_contents: vec![b"one two three".to_vec()],
        ..TensorContents::default()
    };
    ModelInferRequest {
        model_name: model.into(),
        inputs: vec![Tensor {
            name: "text_input".into(),
            datatype: "BYTES".into(),
            shape: vec![1],
            contents: Some(contents),
        }],
        ..ModelInferRequest::default()
    }
}

fn text(response: &ModelInferResponse) -> &str {
    std::str::from_utf8(&response.raw_output_contents[0][4..]).unwrap()
}

#[tokio::test]
async fn a_call_goes_where_its_model_is_again_after_a_pushback_and_is_booked_by_estimate() {
    let servers = servers().await;
    let throttled = Failure::rate_limited().hint(Hint::Pushback("20".into()));
    let script = Script::new().fail(2, throttled).then_ok();
    servers.other.on("mistral", script);
    let answer = servers.client().model_infer(ask("mistral")).await.unwrap();
    assert_eq!(answer.metadata().get("x-llm-attempts").unwrap(), "3");
    assert_eq!(text(answer.get_ref()), "echo: one two three");
    assert_eq!(servers.other.log().len(), 3);
    servers.client().model_infer(ask("llama")).await.unwrap();
    assert_eq!(servers.one.log().len(), 1);
    let line = servers.booked("mistral").await;
    assert_eq!(
        (&line["requests"], &line["estimated"]),
        (&json!(1), &json!(1))
    );
    // of tensors nobody knows the tokens: what was asked is estimated, and there is no price
    assert!(line["input_tokens"].as_u64().unwrap() > 0, "{line}");
    assert_eq!(
        (&line["output_tokens"], &line["unpriced"]),
        (&json!(0), &json!(1))
    );
}

#[tokio::test]
async fn a_status_and_what_it_says_of_coming_back_reach_the_caller() {
    let servers = servers().await;
    let never = Failure::rate_limited().hint(Hint::Pushback("-1".into()));
    servers.one.on("llama", Behaviour::fails(never));
    let status = servers
        .client()
        .model_infer(ask("llama"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(
        status.metadata().get("grpc-retry-pushback-ms").unwrap(),
        "-1"
    );
    assert_eq!(servers.one.log().len(), 1, "the server wants no other");
    let status = servers.client().model_infer(ask("")).await.unwrap_err();
    assert_eq!(status.message(), "the request names no model");
    servers.one.on("llama", Behaviour::ok().break_at(1));
    servers
        .client()
        .model_infer(ask("llama"))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn tritons_stream_passes_both_ways_and_is_sent_once() {
    let servers = servers().await;
    let asks = stream::iter([ask("llama"), ask("llama")]);
    let answers = servers.client().model_stream_infer(asks).await.unwrap();
    let mut answers = answers.into_inner();
    let mut said = String::new();
    while let Some(message) = answers.message().await.unwrap() {
        let response = message.infer_response.unwrap();
        if !response.outputs.is_empty() {
            said.push_str(text(&response));
        }
    }
    assert_eq!(said, "echo: one two threeecho: one two three");
    // the requests of such a call are not read, so it has no route: the first server gets it
    let log = servers.one.log();
    assert_eq!((log.len(), log[0].outcome), (1, Outcome::Whole));
    servers.one.on("llama", Behaviour::ok().error_at(1));
    let asks = stream::iter([ask("llama")]);
    let answers = servers.client().model_stream_infer(asks).await.unwrap();
    let mut answers = answers.into_inner();
    answers.message().await.unwrap().unwrap();
    let failed = answers.message().await.unwrap().unwrap();
    assert!(failed.error_message.contains("overloaded"));
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!(servers.one.log().len(), 2);
}
