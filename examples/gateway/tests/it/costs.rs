//! What calls cost, told in their heads and in the reports.

use cost_layer::metrics::{DURATION_BUCKETS, TOKEN_BUCKETS};
use fake_provider::Behaviour;
use http::{Method, header};
use http_body_util::Full;

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::common::{
    Answer, CHAT, SECOND, chat, exchange, house, house_with, read_until, start, streamed,
};

const MEMORY: &str = "[retry]\n[cost]\nledger = \"memory\"";

#[tokio::test]
async fn calls_are_charged_and_reported_by_model_with_their_latencies() {
    let house = house_with("", MEMORY).await;
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    let cost: f64 = answer.header("x-llm-cost-usd").unwrap().parse().unwrap();
    assert!(cost > 0.0);
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "echo: one two three"
    );
    let stream = house.ask(CHAT, streamed("gpt-4o")).await;
    assert_eq!(stream.header("x-llm-cost-usd"), None);
    assert!(
        !stream.text.contains("prompt_tokens"),
        "nobody asked for the usage"
    );
    // who has no price has no cost in its head
    assert_eq!(
        house
            .ask(CHAT, chat("who-knows"))
            .await
            .header("x-llm-cost-usd"),
        None
    );

    let get = |path| house.method(Method::GET, path);
    let daily = get("/report/daily").await.json();
    assert_eq!(
        (&daily[0]["model"], &daily[0]["requests"]),
        (&"gpt-4o".into(), &2.into())
    );
    assert!(daily[0]["cost_usd"].as_f64().unwrap() >= cost);
    assert!(daily[0]["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(daily[1]["unpriced"], 1);
    assert_eq!(
        get("/report/daily?day=1999-12-31").await.json(),
        serde_json::json!([])
    );
    assert_eq!(get("/report/daily?day=yesterday").await.status, 400);
    let model = get("/report/models/gpt-4o?days=7").await.json();
    assert_eq!(
        (&model["model"], &model["requests"]),
        (&"gpt-4o".into(), &2.into())
    );
    assert_eq!(
        get("/report/users/nobody?days=30").await.json()["requests"],
        0
    );
    let latency = get("/report/latency").await.json();
    assert_eq!(latency["gpt-4o"]["total"]["count"], 2);
    assert!(latency["gpt-4o"]["total"]["p95"].as_f64().unwrap() > 0.0);
    let metrics = get("/metrics").await.text;
    assert!(metrics.contains("llm_calls_total 3\n"), "{metrics}");
}

/// A line of Prometheus' text: its name with its labels, and its value.
fn samples(text: &str) -> impl Iterator<Item = (&str, f64)> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (of, value) = line.rsplit_once(' ').expect(line);
        (of, value.parse().expect(line))
    })
}

#[tokio::test]
async fn metrics_are_histograms_with_the_boundaries_of_the_conventions() {
    let house = house_with("", MEMORY).await;
    // the process has one recorder: these names are of this test alone
    let model = "gpt-4o-2024-08-06";
    house.fake.on(model, Behaviour::ok());
    for _ in 0..2 {
        house.ask(CHAT, chat(model)).await;
        house.ask(CHAT, streamed(model)).await;
    }
    let metrics = house.method(Method::GET, "/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4")
    );
    let text = &metrics.text;
    let label = format!("gen_ai_request_model=\"{model}\"");
    for (name, bounds, calls) in [
        (
            "gen_ai_client_operation_duration_seconds",
            &DURATION_BUCKETS,
            4.0,
        ),
        (
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            &DURATION_BUCKETS,
            2.0,
        ),
        (
            "gen_ai_client_inference_operation_input_tokens",
            &TOKEN_BUCKETS,
            4.0,
        ),
    ] {
        assert!(
            text.contains(&format!("# TYPE {name} histogram\n")),
            "{text}"
        );
        let ours = |kind: &str| {
            let start = format!("{name}_{kind}{{");
            let all = samples(text).filter(|(of, _)| of.starts_with(&start) && of.contains(&label));
            all.collect::<Vec<_>>()
        };
        let buckets = ours("bucket");
        let found: Vec<_> = buckets
            .iter()
            .map(|(of, _)| of.split("le=\"").nth(1).unwrap().split('"').next().unwrap())
            .collect();
        let expected = bounds.iter().map(ToString::to_string);
        let expected: Vec<_> = expected.chain(["+Inf".to_owned()]).collect();
        assert_eq!(found, expected, "{name}");
        assert!(buckets.is_sorted_by(|(_, a), (_, b)| a <= b), "{buckets:?}");
        assert_eq!(buckets.last().unwrap().1, calls, "{name}");
        assert_eq!(ours("count")[0].1, calls);
        assert!(ours("sum")[0].1 > 0.0);
    }
    assert!(!text.contains("quantile="), "{text}");
    // of each name one type, or Prometheus takes none of it
    let mut types: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), all, "{text}");
    assert!(types.contains(&"llm_cost_nano_usd_total"), "{types:?}");
    assert!(!text.contains("one two three") && !text.contains("sk-caller"));
}

#[tokio::test]
async fn an_answer_that_is_too_long_to_be_held_is_charged_and_does_not_say_so() {
    let house = house_with("", MEMORY).await;
    house.fake.on("gpt-4o", Behaviour::ok().deltas(100_000));
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    assert!(answer.text.len() > 256 << 10, "{}", answer.text.len());
    assert_eq!(answer.json()["usage"]["completion_tokens"], 100_000);
    assert_eq!(answer.header("x-llm-cost-usd"), None);
    let daily = house.method(Method::GET, "/report/daily").await.json();
    assert!(daily[0]["cost_usd"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn without_the_section_there_are_no_reports_and_no_prices() {
    let house = house().await;
    assert_eq!(house.method(Method::GET, "/report/daily").await.status, 404);
    assert_eq!(
        house
            .ask(CHAT, chat("gpt-4o"))
            .await
            .header("x-llm-cost-usd"),
        None
    );
}

#[tokio::test]
async fn with_an_admin_token_nobody_looks_without_it() {
    let house = house_with("", &format!("{MEMORY}\n[admin]\ntoken_env = \"OUR_KEY\"")).await;
    for path in [
        "/report/daily",
        "/report/latency",
        "/report/users/a",
        "/metrics",
        "/dashboard",
        "/breakers",
    ] {
        let ask = |token: Option<&str>| {
            let mut request = http::Request::get(format!("{}{path}", house.gateway.url()));
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            house.send(request.body(Full::default()).unwrap())
        };
        assert_eq!(ask(None).await.status(), 401, "{path}");
        assert_eq!(ask(Some("sk-caller")).await.status(), 401);
        assert_eq!(ask(Some(crate::common::OUR_KEY)).await.status(), 200);
    }
    // calls need none
    assert_eq!(house.ask(CHAT, chat("gpt-4o")).await.status, 200);
}

#[tokio::test]
async fn without_a_token_only_who_calls_this_machine_by_its_own_name_looks() {
    let house = house_with("", MEMORY).await;
    let port = house.gateway.addr().port();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        ("[::1]".into(), 200),
        (format!("[::1]:{port}"), 200),
        // a page of the web whose name leads here
        (format!("evil.example:{port}"), 401),
        (format!("localhost.evil.example:{port}"), 401),
        ("".into(), 401),
    ] {
        for path in ["/report/daily", "/metrics"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let answer = exchange(house.raw().await, request.as_bytes()).await;
            let start = format!("HTTP/1.1 {status}");
            assert!(answer.starts_with(&start), "{host}: {answer}");
        }
    }
}

#[tokio::test]
async fn the_books_are_in_the_file_when_the_gateway_has_stopped_and_go_on_there() {
    let path = std::env::temp_dir().join(format!("gateway-costs-{}.db", std::process::id()));
    let sections = format!("[cost]\nledger_path = {:?}", path.display().to_string());
    for calls in 1..=2 {
        let house = house_with("", &sections).await;
        assert_eq!(house.ask(CHAT, chat("gpt-4o")).await.status, 200);
        let daily = Answer::of(
            house
                .send(
                    http::Request::get(format!("{}/report/daily", house.gateway.url()))
                        .body(Full::default())
                        .unwrap(),
                )
                .await,
        )
        .await;
        assert_eq!(daily.json()[0]["requests"], calls);
        assert!(house.gateway.shutdown(SECOND).await);
    }
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

#[tokio::test]
async fn after_a_restart_alerts_go_on_from_what_the_ledger_has() {
    let path = std::env::temp_dir().join(format!("gateway-alerts-{}.db", std::process::id()));
    let file = format!("[cost]\nledger_path = {:?}", path.display().to_string());
    let house = house_with("", &file).await;
    let answer = house.ask(CHAT, chat("gpt-4o")).await;
    let cost: f64 = answer.header("x-llm-cost-usd").unwrap().parse().unwrap();
    assert!(house.gateway.shutdown(SECOND).await);
    // one call is below it, two are above
    let limit = format!("{file}\nhourly_threshold_usd = {:.9}", cost * 1.5);
    let house = house_with("", &limit).await;
    assert_eq!(house.look("/alerts").await, serde_json::json!([]));
    assert_eq!(house.ask(CHAT, chat("gpt-4o")).await.status, 200);
    // asking for the report carries all records on
    house.look("/report/daily").await;
    assert_eq!(house.look("/alerts").await[0]["kind"], "hourly_spend");
    assert!(house.gateway.shutdown(SECOND).await);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

#[tokio::test]
async fn an_array_that_is_streamed_as_json_comes_element_by_element() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (first_came, first_is_there) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        read_until(&mut tcp, "contents").await;
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let element = |text: &str| {
            format!(
                r#"{{"candidates":[{{"content":{{"role":"model","parts":[{{"text":"{text}"}}]}}}}],"usageMetadata":{{"promptTokenCount":10,"candidatesTokenCount":3}},"modelVersion":"gemini-3.8-flash"}}"#
            )
        };
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let first = chunk(&format!("[{}", element("first")));
        tcp.write_all(format!("{head}{first}").as_bytes())
            .await
            .unwrap();
        // the rest comes only when the caller has the first one
        first_is_there.await.unwrap();
        let rest = chunk(&format!(",{}]", element("last")));
        tcp.write_all(format!("{rest}0\r\n\r\n").as_bytes())
            .await
            .unwrap();
    });
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[provider]]\nname = \"p\"\nbase_url = \"{url}\"\n{MEMORY}"
    );
    let gateway = start(&text).await;
    let mut caller = TcpStream::connect(gateway.addr()).await.unwrap();
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let request = format!(
        "POST /v1beta/models/gemini-3.8-flash:streamGenerateContent HTTP/1.1\r\nhost: x\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.write_all(request.as_bytes()).await.unwrap();
    let first = tokio::time::timeout(SECOND * 20, read_until(&mut caller, "first")).await;
    let first = first.expect("held until its end");
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    assert!(!first.contains("x-llm-cost-usd"), "{first}");
    first_came.send(()).unwrap();
    read_until(&mut caller, "last").await;
}
