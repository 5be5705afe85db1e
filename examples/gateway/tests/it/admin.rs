//! What operators see and do.

use fake_provider::{Behaviour, Failure, Hint, Script};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::common::{Answer, CHAT, House, chat, config, house_with, streamed};

const ALL: &str = r#"
[[route]]
model = "down"
chain = [{ provider = "fake" }, { provider = "fake", model = "gpt-4o-mini" }]
[retry]
initial_delay = "1ms"
max_retries = 1
[breaker]
failure_threshold = 2
[cache]
[cost]
ledger = "memory"
[sse]
"#;

/// The newest call on the dashboard, when so many are there: a call is there when its body has gone.
pub(crate) async fn newest(house: &House, calls: usize) -> Value {
    loop {
        let board = house.look("/dashboard").await;
        let all = board["calls"].as_array().unwrap();
        if all.len() >= calls {
            return all[0].clone();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_dashboard_tells_of_each_call_what_the_layers_did_to_it() {
    let house = house_with("", ALL).await;
    let throttled = Behaviour::throttled(Hint::RetryAfterMs(5));
    house
        .fake
        .on("gpt-4o", Script::new().times(1, throttled).then_ok());
    house
        .fake
        .on("down", Behaviour::fails(Failure::overloaded()));
    let mut repeated = chat("gpt-4o");
    repeated["temperature"] = 0.into();

    house.ask(CHAT, &repeated).await;
    let call = newest(&house, 1).await;
    assert_eq!(call["steps"][0]["tried"], "gpt-4o");
    assert_eq!(call["steps"][0]["verdict"], "throttled");
    assert!(call["steps"][0]["ms"].as_u64() <= call["total_ms"].as_u64());
    assert_eq!((&call["ok"], &call["status"]), (&json!(true), &json!(200)));
    assert!(call["cost_usd"].as_f64().unwrap() > 0.0);
    assert!(call["output_tokens"].as_u64().unwrap() > 0);

    house.ask(CHAT, &repeated).await;
    let call = newest(&house, 2).await;
    assert_eq!(call["steps"], json!([{"cached": "hit"}]));
    assert_eq!(call["cost_usd"], 0.0);

    house.ask(CHAT, streamed("down")).await;
    let call = newest(&house, 3).await;
    assert_eq!(call["steps"][0]["tried"], "down");
    assert_eq!(call["steps"][0]["verdict"], "overloaded");
    assert_eq!(call["served"], "fake/gpt-4o-mini");
    assert_eq!(call["stream"], true);

    // its circuit is open by now
    house.ask(CHAT, streamed("down")).await;
    let call = newest(&house, 4).await;
    let skipped = call["steps"][0]["skipped"].as_str().unwrap();
    assert!(skipped.ends_with("refused (503)"), "{skipped}");

    let board = house.look("/dashboard").await;
    let row = |model: &str| {
        let rows = board["models"]["rows"].as_array().unwrap();
        rows.iter()
            .find(|row| row["model"] == model)
            .unwrap()
            .clone()
    };
    let (known, down) = (row("gpt-4o"), row("down"));
    assert_eq!(
        (&known["requests"], &known["cached"], &known["retries"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(
        (&down["requests"], &down["fell_back"]),
        (&2.into(), &2.into())
    );
    let bars: u64 = known["total"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bar| bar.as_u64().unwrap())
        .sum();
    assert_eq!(bars, 1, "a hit says nothing of the model");
    assert_eq!(board["cache"]["answers"]["hits"], 1);
    let hour = board["spend"].as_array().unwrap().last().unwrap();
    assert!(hour["models"]["gpt-4o"].as_f64().unwrap() > 0.0);
    // no word of what was asked or answered
    assert!(!board.to_string().contains("one two three"));
}

#[tokio::test]
async fn a_caller_who_leaves_is_on_the_dashboard_with_what_that_cost() {
    let house = house_with("", ALL).await;
    house.fake.on("gpt-4o", Behaviour::ok().stall_at(3));
    let response = house.send(house.post(CHAT, streamed("gpt-4o"))).await;
    let mut body = response.into_body();
    let mut seen = String::new();
    while !seen.contains("two") {
        let frame = body.frame().await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    drop(body);
    let call = newest(&house, 1).await;
    assert_eq!(
        (&call["end"], &call["ok"]),
        (&json!("caller_gone"), &json!(false))
    );
    assert_eq!(call["estimated"], true);
    assert!(call["cost_usd"].as_f64().unwrap() > 0.0);
    // the model has not failed
    let board = house.look("/dashboard").await;
    let row = &board["models"]["rows"][0];
    assert_eq!((&row["left"], &row["errors"]), (&json!(1), &json!(0)));
}

async fn post(house: &House, path: &str) -> Answer {
    let url = format!("{}{path}", house.gateway.admin_url());
    let request = Request::post(url).body(Full::default()).unwrap();
    Answer::of(house.send(request).await).await
}

#[tokio::test]
async fn a_circuit_is_opened_closed_and_reset_by_hand_whatever_its_model_is_called() {
    let house = house_with("", "[breaker]").await;
    let model = "meta-llama/Llama-3.3 70B";
    assert_eq!(house.ask(CHAT, chat(model)).await.status, 200);
    let circuits = house.look("/breakers").await;
    let key = circuits[0]["key"].as_str().unwrap();
    assert!(key.starts_with(model), "{key}");
    assert_eq!(circuits[0]["state"], "closed");
    let path = format!("/breakers/{}", key.replace(' ', "%20"));

    assert_eq!(
        post(&house, &format!("{path}/open")).await.json()[0]["state"],
        "forced_open"
    );
    assert_eq!(house.ask(CHAT, chat(model)).await.status, 503);
    assert_eq!(
        post(&house, &format!("{path}/close")).await.json()[0]["state"],
        "forced_closed"
    );
    assert_eq!(house.ask(CHAT, chat(model)).await.status, 200);
    assert_eq!(
        post(&house, &format!("{path}/reset")).await.json()[0]["state"],
        "closed"
    );

    assert_eq!(post(&house, "/breakers/nobody/open").await.status, 404);
    assert_eq!(post(&house, &format!("{path}/explode")).await.status, 404);
    assert_eq!(post(&house, "/breakers/x").await.status, 404);
}

#[tokio::test]
async fn what_is_switched_off_is_shown_as_such() {
    let house = house_with("", "").await;
    house.ask(CHAT, chat("gpt-4o")).await;
    let board = house.look("/dashboard").await;
    assert_eq!(board["spend"], Value::Null);
    assert_eq!(board["cache"], json!({"answers": null, "prompts": null}));
    assert_eq!(
        (&board["breakers"], &board["alerts"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(post(&house, "/breakers/x/open").await.status, 404);
    let call = newest(&house, 1).await;
    assert_eq!(
        (&call["model"], &call["ok"]),
        (&json!("gpt-4o"), &json!(true))
    );
    assert_eq!(call["cost_usd"], Value::Null);
}

#[tokio::test]
async fn a_page_of_another_origin_and_a_name_that_was_made_to_mean_this_machine_see_nothing() {
    let house = house_with("", "[breaker]").await;
    house.ask(CHAT, chat("gpt-4o")).await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("host", "rebound.example"),
    ] {
        for (method, path) in [
            (Method::GET, "/dashboard"),
            (Method::GET, "/breakers"),
            (Method::POST, "/breakers/gpt-4o/open"),
        ] {
            let url = format!("{}{path}", house.gateway.url());
            let request = Request::builder()
                .method(method)
                .uri(url)
                .header(name, value);
            let response = house.send(request.body(Full::default()).unwrap()).await;
            assert_eq!(
                response.status(),
                StatusCode::UNAUTHORIZED,
                "{name}: {path}"
            );
        }
    }
}

#[tokio::test]
async fn operators_have_a_listener_of_their_own_where_that_is_asked_for() {
    let house = house_with(
        "",
        "[cost]\nledger = \"memory\"\n[admin]\nlisten = \"127.0.0.1:0\"",
    )
    .await;
    assert_eq!(house.ask(CHAT, chat("gpt-4o")).await.status, 200);
    for path in [
        "/",
        "/dashboard",
        "/breakers",
        "/alerts",
        "/cache",
        "/metrics",
        "/report/daily",
    ] {
        let answer = house.method(Method::GET, path).await;
        assert_eq!(answer.status, 404, "{path}");
        let url = format!("{}{path}", house.gateway.admin_url());
        let request = Request::get(url).body(Full::default()).unwrap();
        assert_eq!(house.send(request).await.status(), 200, "{path}");
    }
    // and no call goes through there
    let url = format!("{}{CHAT}", house.gateway.admin_url());
    let call = Request::post(url).body(Full::from(chat("gpt-4o").to_string()));
    assert_eq!(house.send(call.unwrap()).await.status(), 404);
    assert!(house.gateway.shutdown(crate::common::SECOND).await);
}

#[tokio::test]
async fn the_page_comes_alone_and_may_load_nothing() {
    let house = house_with("", "").await;
    let page = house.method(Method::GET, "/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
    for foreign in [
        "https://",
        "@import",
        "<link rel=\"stylesheet\"",
        "<script src",
        "innerHTML",
    ] {
        assert!(!page.text.contains(foreign), "{foreign}");
    }
}

#[tokio::test]
async fn a_configuration_that_is_read_again_changes_routes_prices_and_keys_and_keeps_the_rest() {
    let sections = |disabled: bool| {
        format!(
            "[[route]]\nmodel = \"gpt-4o\"\nchain = [\n\
             {{ provider = \"fake\", disabled = {disabled} }},\n\
             {{ provider = \"fake\", model = \"gpt-4o-mini\" }}]\n\
             [cost]\nledger = \"memory\"\n[breaker]\n"
        )
    };
    let house = house_with("", &sections(false)).await;
    let served = async || {
        let answer = house.ask(CHAT, chat("gpt-4o")).await;
        answer.header("x-llm-model").map(str::to_owned)
    };
    assert_eq!(served().await.as_deref(), Some("gpt-4o"));
    // the first target is no fallback
    assert_eq!(newest(&house, 1).await["served"], Value::Null);
    let provider = |lines: &str| {
        format!(
            "[[provider]]\nname = \"fake\"\nbase_url = \"{}\"\n{lines}\n",
            house.fake.url()
        )
    };
    let text = |lines: &str, more: &str| format!("{}{}{more}", provider(lines), sections(true));

    house.gateway.reload(config(&text("", ""))).unwrap();
    assert_eq!(served().await.as_deref(), Some("gpt-4o-mini"));
    // what was booked and counted is still there
    let daily = house.look("/report/daily").await;
    let requests: u64 = daily
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(requests, 2);
    assert_eq!(house.look("/breakers").await.as_array().unwrap().len(), 2);

    // callers need a key from now on
    let keys = "[auth]\nkeys_env = \"GATEWAY_KEYS\"\n";
    house
        .gateway
        .reload(config(&text("api_key_env = \"OUR_KEY\"", keys)))
        .unwrap();
    assert_eq!(house.ask(CHAT, chat("gpt-4o")).await.status, 401);
    let mut call = house.post(CHAT, chat("gpt-4o"));
    let key = "Bearer sk-a-4711".parse().unwrap();
    call.headers_mut().insert(header::AUTHORIZATION, key);
    assert_eq!(house.send(call).await.status(), 200);
}

#[tokio::test]
async fn budgets_are_shown_of_who_called_and_what_was_reserved_stands_with_the_call() {
    let sections = "api_key_env = \"OUR_KEY\"\n[auth]\nkeys_env = \"GATEWAY_KEYS\"\n\
                    [budget]\nper_user_tokens_per_day = 5000\nper_user_usd_per_day = 2.5\n";
    let house = house_with(sections, "").await;
    let call = |body: Value| {
        let mut call = house.post(CHAT, body);
        let key = "Bearer sk-a-4711".parse().unwrap();
        call.headers_mut().insert(header::AUTHORIZATION, key);
        house.send(call)
    };
    let mut body = chat("gpt-4o");
    body["max_tokens"] = 100.into();
    let answer = Answer::of(call(body.clone()).await).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let used = answer.json()["usage"]["total_tokens"].as_u64().unwrap();
    let line = newest(&house, 1).await;
    assert!(line["steps"][0]["reserved"].as_u64().unwrap() > 100);
    assert_eq!(line["user"], "alice");
    let budgets = house.look("/budgets").await;
    let (tokens, money) = (&budgets["accounts"][0], &budgets["accounts"][1]);
    assert_eq!(
        tokens,
        &json!({"name": "user-day-tokens", "owner": "alice", "unit": "tokens", "used": used,
            "share": used as f64 / 5000.0, "reserved": 0, "limit": 5000, "remaining": 5000 - used})
    );
    assert_eq!(
        (&money["unit"], &money["limit"]),
        (&json!("usd"), &json!(2.5))
    );
    assert!(money["used"].as_f64().unwrap() > 0.0);
    assert_eq!(budgets["of"], 2);

    // what does not fit is refused, and is on the dashboard
    body["messages"][0]["content"] = "word ".repeat(9_000).into();
    assert_eq!(call(body).await.status(), 429);
    let line = newest(&house, 2).await;
    assert_eq!(line["steps"][0]["refused"], "budget_exceeded");
}

#[tokio::test]
async fn of_many_users_those_nearest_to_their_limits_are_shown_and_how_many_there_are() {
    let sections = "[auth]\nuser_header = \"x-user-id\"\n\
                    [budget]\nper_user_tokens_per_day = 100000\n[admin]\nmetric_users = 2\n";
    let house = house_with(sections, "[cost]\nledger = \"memory\"\n").await;
    let call = async |user: String, words: usize| {
        let mut body = chat("gpt-4o");
        body["messages"][0]["content"] = "word ".repeat(words).into();
        let mut call = house.post(CHAT, body);
        call.headers_mut()
            .insert("x-user-id", user.parse().unwrap());
        assert_eq!(Answer::of(house.send(call).await).await.status, 200);
    };
    // who spent most called first: it is not the last callers who are shown
    call("greedy".into(), 3_000).await;
    for number in 0..30 {
        call(format!("user-{number}"), 10).await;
    }
    newest(&house, 31).await;
    let budgets = house.look("/budgets").await;
    let accounts = budgets["accounts"].as_array().unwrap();
    assert_eq!((accounts.len(), &budgets["of"]), (24, &json!(31)));
    assert_eq!(accounts[0]["owner"], "greedy");
    let shares = accounts.iter().map(|one| one["share"].as_f64().unwrap());
    assert!(shares.is_sorted_by(|one, other| one >= other));

    // and in the metrics: the first two users by name, the others as one
    let metrics = house.method(Method::GET, "/metrics").await.text;
    let has = |line: &str| metrics.lines().any(|found| found.starts_with(line));
    for line in [
        r#"llm_user_calls_total{user="greedy"} 1"#,
        r#"llm_user_calls_total{user="other"} 29"#,
        r#"llm_user_calls_total{user="user-0"} 1"#,
        r#"llm_user_cost_usd_total{user="greedy"} 0.0"#,
        r#"llm_model_calls_total{model="gpt-4o"} 31"#,
        r#"llm_budget_account_ratio{limit="user-day-tokens",owner="greedy"} 0.0"#,
        r#"llm_budget_account_ratio{limit="user-day-tokens",owner="user-0"} 0.00"#,
        r#"llm_budget_account_ratio{limit="user-day-tokens",owner="other"} 0.00"#,
    ] {
        assert!(has(line), "{line}: {metrics}");
    }
    assert_eq!(metrics.matches("llm_user_calls_total{").count(), 3);
    assert_eq!(metrics.matches("llm_budget_account_ratio{").count(), 3);
}

#[tokio::test]
async fn the_amount_of_a_budget_changes_while_the_gateway_runs_and_what_was_used_stays() {
    let budget = |tokens: u64| format!("[budget]\nper_user_tokens_per_day = {tokens}\n");
    let house = house_with("", &budget(9_000)).await;
    assert_eq!(house.ask(CHAT, chat("gpt-4o")).await.status, 200);
    newest(&house, 1).await;
    let account = || async { house.look("/budgets").await["accounts"][0].clone() };
    let before = account().await;
    assert_eq!(
        (&before["owner"], &before["limit"]),
        (&json!("anonymous"), &json!(9_000))
    );
    let text = format!(
        "[[provider]]\nname = \"fake\"\nbase_url = \"{}\"\n{}",
        house.fake.url(),
        budget(5)
    );
    house.gateway.reload(config(&text)).unwrap();
    let after = account().await;
    assert_eq!(
        (&after["limit"], &after["used"]),
        (&json!(5), &before["used"])
    );
    assert_eq!(house.ask(CHAT, chat("gpt-4o")).await.status, 429);
}

#[tokio::test]
async fn prices_that_lack_most_models_are_refused_when_they_are_read_again() {
    let path = std::env::temp_dir().join(format!("gateway-few-{}.json", std::process::id()));
    std::fs::write(
        &path,
        r#"{"gpt-4o": {"input_cost_per_token": 1, "output_cost_per_token": 1}}"#,
    )
    .unwrap();
    let house = house_with("", "[cost]\nledger = \"memory\"").await;
    let cost = async || {
        let answer = house.ask(CHAT, chat("gpt-4o")).await;
        answer.header("x-llm-cost-usd").map(str::to_owned).unwrap()
    };
    let before = cost().await;
    let provider = format!(
        "[[provider]]\nname = \"fake\"\nbase_url = \"{}\"\napi_key_env = \"OUR_KEY\"\n",
        house.fake.url()
    );
    let text = format!(
        "{provider}[cost]\nledger = \"memory\"\nprices = \"{}\"\n[auth]\nkeys_env = \"GATEWAY_KEYS\"\n",
        path.display()
    );
    let refused = house.gateway.reload(config(&text)).unwrap_err().to_string();
    assert!(refused.contains("models in use"), "{refused}");
    // neither they nor the callers' keys that came with them
    assert_eq!(cost().await, before);
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_caller_who_leaves_before_there_is_an_answer_is_on_the_dashboard_too() {
    let house = house_with("", ALL).await;
    house.fake.on("gpt-4o", Behaviour::hangs());
    let call = tokio::spawn(house.caller.request(house.post(CHAT, streamed("gpt-4o"))));
    house.fake.until(|log| !log.is_empty()).await;
    call.abort();
    let call = newest(&house, 1).await;
    assert_eq!((&call["status"], &call["ok"]), (&json!(0), &json!(false)));
    assert_eq!(call["end"], "caller gone");
}
