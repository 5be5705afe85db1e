//! What is limited, and for whom.

use std::time::{Duration, SystemTime};

use budget_layer::{Amount, BudgetLayer, Limit, MemoryStore, OverBudget, Zone, owner_of_key};
use llm_exchange::{Attempts, Money, Refusal, User, WallClock};
use tokio::task::JoinSet;

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn a_call_within_its_budget_is_answered_as_ever_and_charged_what_it_used() {
    let layer = daily(10_000);
    let script = Script::new().then(answered());
    let response = layer.layer(script).oneshot(chat("")).await.unwrap();
    assert_eq!(response.status(), 200);
    // the prompt at 9, and 4,096 for the answer
    assert_eq!(
        response.headers()["x-llm-budget-remaining"],
        "user-day-tokens=5895"
    );
    assert!(!response.headers().contains_key("x-llm-budget-warning"));
    assert_eq!(alice(&layer.handle()).await, (0, INPUT + 4_096));
    assert!(text(response).await.contains("Hello"));
    assert_eq!(alice(&layer.handle()).await, (150, 0));
}

#[tokio::test(start_paused = true)]
async fn each_user_has_an_account_and_none_pays_for_another() {
    let layer = daily(1_000);
    for user in ["alice", "bob"] {
        for _ in 0..5 {
            assert_eq!(ask(&layer, answered(), of_user(user, chat(""))).await, 200);
        }
        // of 750 used 250 are left, and the least answer is 256
        let refused = ask(&layer, answered(), of_user(user, chat(""))).await;
        assert_eq!(refused, 429, "{user}");
    }
    assert_eq!(layer.handle().stats().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_one_limit_refuses_reserves_in_none() {
    let layer = daily(100_000)
        .limit(Limit::for_all().minutely().tokens(5_000))
        .limit(Limit::per_model().in_total().tokens(100_000));
    let handle = layer.handle();
    let script = Script::new().then(Answer::hang());
    let call = layer.layer(script).oneshot(chat(r#""max_tokens":4800,"#));
    tokio::pin!(call);
    assert!(is_pending(call.as_mut()).await);
    let before = alice(&handle).await;
    assert_eq!(before, (0, INPUT + 4_800));
    let script = Script::new();
    let refused = layer.layer(script.clone());
    let refused = refused.oneshot(of_user("bob", chat(""))).await.unwrap();
    assert_eq!((refused.status().as_u16(), script.calls()), (429, 0));
    let over = OverBudget::of(&refused).unwrap();
    assert_eq!(&*over.limit, "all-minute-tokens");
    assert_eq!(over.remaining, Amount::Tokens(191));
    assert_eq!(over.asked, Amount::Tokens(INPUT + 256));
    assert_eq!(account(&handle, DAY, "bob").await, (0, 0));
    assert_eq!(alice(&handle).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_at_once_never_pass_a_limit_for_five_hundred() {
    let each = INPUT + 91;
    let layer = daily(500 * each).least_output(91);
    let mut calls = JoinSet::new();
    for _ in 0..1_000 {
        let script = Script::new().then_always(|| answered().after(SECOND));
        calls.spawn(layer.layer(script).oneshot(chat(r#""max_tokens":91,"#)));
    }
    let (mut admitted, mut refused) = (0, 0);
    let mut bodies = Vec::new();
    while let Some(call) = calls.join_next().await {
        let response = call.unwrap().unwrap();
        match response.status().as_u16() {
            200 => admitted += 1,
            _ => refused += 1,
        }
        bodies.push(response.into_body());
    }
    assert_eq!((admitted, refused), (500, 500));
    assert_eq!(alice(&layer.handle()).await, (0, 500 * each));
}

fn at(text: &str) -> SystemTime {
    let at: jiff::Timestamp = text.parse().unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_secs(at.as_second().unsigned_abs())
}

#[tokio::test(start_paused = true)]
async fn the_retry_after_is_true_and_a_new_day_begins_in_the_zone_of_the_layer() {
    let now = std::sync::Arc::new(std::sync::Mutex::new(at("2026-03-28T22:59:00Z")));
    let read = now.clone();
    let clock = WallClock::from_fn(std::sync::Arc::new(move || *read.lock().unwrap()));
    let layer = BudgetLayer::new(MemoryStore::new().clock(clock))
        .limit(Limit::per_user().daily().tokens(300))
        .time_zone(Zone::named("Europe/Berlin").unwrap());
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
    let refuse = async || {
        let script = Script::new();
        let refused = layer.layer(script).oneshot(chat("")).await.unwrap();
        assert_eq!(refused.status(), 429);
        let header = |name: &str| refused.headers()[name].to_str().unwrap().to_owned();
        (header("retry-after"), header("retry-after-ms"))
    };
    // a minute before midnight
    assert_eq!(refuse().await, ("60".into(), "60000".into()));
    *now.lock().unwrap() = at("2026-03-28T23:00:00Z");
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
    // that day has 23 hours
    assert_eq!(refuse().await.0, (23 * 3_600).to_string());
    // a clock that steps back opens no window again
    *now.lock().unwrap() = at("2026-03-28T12:00:00Z");
    assert_eq!(refuse().await.0, (34 * 3_600).to_string());
}

#[tokio::test(start_paused = true)]
async fn of_several_limits_the_longest_wait_is_told_and_none_where_it_would_never_fit() {
    let clock = WallClock::fixed(at("2026-11-25T12:00:00Z"));
    let store = || MemoryStore::new().clock(clock.clone());
    let (minute, hour) = (Limit::per_user().minutely(), Limit::per_user().hourly());
    for limits in [[&minute, &hour], [&hour, &minute]] {
        let limits = limits.map(|limit| limit.clone().tokens(300));
        let layer = BudgetLayer::new(store());
        let layer = limits.into_iter().fold(layer, BudgetLayer::limit);
        assert_eq!(ask(&layer, answered(), chat("")).await, 200);
        let refused = layer.layer(Script::new()).oneshot(chat("")).await.unwrap();
        assert_eq!(refused.headers()["retry-after"], "3600");
        assert_eq!(refused.headers()["x-should-retry"], "false");
    }

    let layer = BudgetLayer::new(store()).limit(Limit::per_user().in_total().tokens(200));
    let refused = layer.layer(Script::new()).oneshot(chat("")).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(!refused.headers().contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn a_rolling_window_gives_back_what_was_used_when_it_is_old() {
    let now = std::sync::Arc::new(std::sync::Mutex::new(at("2026-11-25T12:00:00Z")));
    let read = now.clone();
    let clock = WallClock::from_fn(std::sync::Arc::new(move || *read.lock().unwrap()));
    let hour = Duration::from_secs(3_600);
    let layer = BudgetLayer::new(MemoryStore::new().clock(clock))
        .limit(Limit::per_user().rolling(hour).tokens(300));
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
    let refused = layer.layer(Script::new()).oneshot(chat("")).await.unwrap();
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((3_600..=3_660).contains(&wait), "{wait}");
    *now.lock().unwrap() += Duration::from_secs(wait - 1);
    assert_eq!(ask(&layer, answered(), chat("")).await, 429);
    *now.lock().unwrap() += SECOND;
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_users_limit_without_a_user_is_refused_unless_the_anonymous_have_an_account() {
    let nobody = || {
        let mut request = chat("");
        request.extensions_mut().clear();
        request
    };
    let script = Script::new();
    let refused = daily(9_000).layer(script).oneshot(nobody()).await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(
        Refusal::of(&refused).unwrap().code(),
        "budget_owner_unknown"
    );

    // a limit that refuses nothing does not refuse that either
    let layer = BudgetLayer::default()
        .limit(Limit::for_all().daily().tokens(9_000))
        .limit(Limit::per_user().daily().tokens(1).shadow());
    assert_eq!(ask(&layer, answered(), nobody()).await, 200);
    let all = account(&layer.handle(), "all-day-tokens", "").await;
    assert_eq!(all, (150, 0));

    let layer = daily(9_000).anonymous("nobody");
    assert_eq!(ask(&layer, answered(), nobody()).await, 200);
    assert_eq!(account(&layer.handle(), DAY, "nobody").await, (150, 0));
    assert_eq!(alice(&layer.handle()).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_app_says_who_is_spending_and_from_which_team() {
    let layer = daily(9_000)
        .user(|parts| Some(User::new(parts.headers.get("x-user")?.to_str().ok()?)))
        .limit(
            Limit::per("team", |asked| {
                let user = asked.user()?.as_str();
                let team = if user == "carol" { "red" } else { "blue" };
                Some(format!("{team}/{}", asked.call().model()?))
            })
            .monthly()
            .tokens(9_000),
        );
    for user in ["carol", "dave", "erin"] {
        let mut request = chat("");
        request
            .headers_mut()
            .insert("x-user", user.parse().unwrap());
        assert_eq!(ask(&layer, answered(), request).await, 200);
    }
    let handle = layer.handle();
    let team = "team-month-tokens";
    assert_eq!(account(&handle, team, "blue/m").await, (300, 0));
    assert_eq!(account(&handle, team, "red/m").await, (150, 0));
    assert_eq!(account(&handle, DAY, "dave").await, (150, 0));
    // the extension is not looked at where the app says who it is
    assert_eq!(ask(&layer, answered(), chat("")).await, 403);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_the_same_in_every_header_and_nothing_beside_it_makes_it_another() {
    let layer = BudgetLayer::default().limit(Limit::per_key().daily().tokens(90_000));
    let with = |headers: &[(&'static str, &str)], query: &str| {
        let mut request = chat("");
        request.headers_mut().remove("authorization");
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let uri = format!("https://api.example/v1/chat/completions{query}");
        *request.uri_mut() = uri.parse().unwrap();
        request
    };
    let signed = |date: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKID/{date}/us-east-1/bedrock/aws4_request, Signature={date}"
        )
    };
    let key = "sk-one";
    let same = [
        with(&[("authorization", "Bearer sk-one")], ""),
        with(&[("authorization", "bearer  sk-one")], ""),
        with(&[("x-api-key", key)], ""),
        with(&[("x-goog-api-key", key), ("cookie", "a=1")], ""),
        with(&[("api-key", key), ("openai-organization", "org-2")], ""),
        with(&[], "?key=sk-one"),
        with(&[], "?key=sk%2Done"),
        with(&[("x-api-key", key)], "?key=sk-one"),
    ];
    let calls = same.len() as u64;
    for request in same {
        assert_eq!(ask(&layer, answered(), request).await, 200);
    }
    let handle = layer.handle();
    let used = async |owner: &str| account(&handle, "key-day-tokens", owner).await;
    let owner = owner_of_key(key);
    assert!(!owner.contains("one"), "no store sees it");
    assert_eq!(used(&owner).await, (150 * calls, 0));

    // of several keys nobody knows which counts: each is charged
    let two = with(
        &[("x-api-key", key), ("authorization", "Bearer sk-two")],
        "",
    );
    assert_eq!(ask(&layer, answered(), two).await, 200);
    assert_eq!(used(&owner).await, (150 * calls + 150, 0));
    assert_eq!(used(&owner_of_key("sk-two")).await, (150, 0));

    // AWS signs each call anew
    for date in ["20261124", "20261125"] {
        let aws = signed(date);
        let request = with(&[("authorization", &aws), ("x-amz-date", date)], "");
        assert_eq!(ask(&layer, answered(), request).await, 200);
    }
    let aws = owner_of_key("AWS4-HMAC-SHA256 Credential=AKID");
    assert_eq!(used(&aws).await, (300, 0));

    for none in [
        with(&[], ""),
        with(&[("cookie", "a=1")], ""),
        with(&["a", "b", "c", "d", "e"].map(|key| ("x-api-key", key)), ""),
    ] {
        assert_eq!(ask(&layer, answered(), none).await, 403);
    }
}

fn dollars(text: &str) -> Money {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn money_is_reserved_by_its_price_and_settled_by_what_was_used() {
    let layer = BudgetLayer::default()
        .limit(Limit::per_user().daily().money(dollars("0.05")))
        .priced_by(prices);
    let handle = layer.handle();
    let script = Script::new().then(answered());
    let request = chat(r#""max_tokens":1000,"#);
    let response = layer.layer(script).oneshot(request).await.unwrap();
    let account = async || handle.account("user-day-usd", "alice").await.unwrap();
    // 9 tokens in at $1 and 1,000 out at $10, for a million
    assert_eq!(account().await.reserved, Amount::Money(dollars("0.010009")));
    assert_eq!(
        response.headers()["x-llm-budget-remaining"],
        "user-day-usd=0.039991"
    );
    text(response).await;
    let account = account().await;
    assert_eq!(account.used, Amount::Money(dollars("0.0006")));
    assert_eq!(account.reserved, Amount::Money(Money::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_is_refused_by_a_limit_of_money_unless_there_is_a_fallback() {
    let free = || {
        let text = format!("{{\"model\":\"free\",{PROMPT}}}");
        post("https://api.example/v1/chat/completions", &text)
    };
    let layer = BudgetLayer::default()
        .limit(Limit::per_user().daily().money(Money::usd(5)))
        .priced_by(prices);
    let refused = layer.layer(Script::new()).oneshot(free()).await.unwrap();
    assert_eq!(refused.status(), 400);
    assert_eq!(
        Refusal::of(&refused).unwrap().code(),
        "budget_price_unknown"
    );
    // nobody said what anything costs
    let unpriced = BudgetLayer::default().limit(Limit::per_request().money(Money::usd(5)));
    assert_eq!(ask(&unpriced, answered(), chat("")).await, 400);

    let layer = layer.fallback_price(|purchase: &llm_exchange::Purchase<'_>| {
        let picos = purchase.usage.total() * 1_000_000;
        Some(Money::from_picos(picos.into()))
    });
    // an answer that does not say which model it is of
    let json = r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50}}"#;
    let answer = Answer::json(200, json);
    assert_eq!(ask(&layer, answer, free()).await, 200);
    let account = layer
        .handle()
        .account("user-day-usd", "alice")
        .await
        .unwrap();
    assert_eq!(account.used, Amount::Money(dollars("0.00015")));
}

#[tokio::test(start_paused = true)]
async fn a_request_may_be_so_large_and_no_larger() {
    let layer = BudgetLayer::default().limit(Limit::per_request().tokens(500));
    let script = Script::new().then_always(answered).collect_bodies();
    let small = layer.layer(script.clone()).oneshot(chat("")).await.unwrap();
    assert_eq!(small.status(), 200);
    // what one request may have is left for the answer
    assert_eq!(sent(&script)["max_completion_tokens"], 491);

    let long = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "word ".repeat(2_000)
    );
    let long = post("https://api.example/v1/chat/completions", &long);
    let refused = layer.layer(script.clone()).oneshot(long).await.unwrap();
    assert_eq!(refused.status(), 413);
    assert_eq!(
        Refusal::of(&refused).unwrap().code(),
        "budget_request_too_large"
    );
    assert_eq!(
        OverBudget::of(&refused).unwrap().amount,
        Amount::Tokens(500)
    );
    assert_eq!(script.calls(), 1);

    // in money: $0.005 are 499 tokens out
    let layer = BudgetLayer::default()
        .limit(Limit::per_request().money(dollars("0.005")))
        .priced_by(prices);
    let small = layer.layer(script.clone()).oneshot(chat("")).await.unwrap();
    assert_eq!(small.status(), 200);
    assert_eq!(sent(&script)["max_completion_tokens"], 499);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_limited_passes_and_no_llm_call_is_looked_at() {
    let script = Script::new()
        .then_always(|| Answer::json(200, "{}"))
        .collect_bodies();
    let layer = daily(1);
    for (method, uri) in [
        ("GET", "/v1/models"),
        ("POST", "/upload"),
        ("GET", "/v1/chat/completions"),
    ] {
        let body = "{\"not\": \"an llm call\"}";
        let mut request = post(uri, body);
        *request.method_mut() = method.parse().unwrap();
        let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{method} {uri}");
        assert!(!response.headers().contains_key("x-llm-budget-remaining"));
        assert_eq!(
            script.seen().last().unwrap().body.as_deref(),
            Some(body.as_bytes())
        );
    }
    // no limit is no budget
    let none = BudgetLayer::default();
    assert_eq!(ask(&none, answered(), chat("")).await, 200);
    assert_eq!(none.handle().limits(), []);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_everything_is_counted_and_nothing_refused_changed_or_cut() {
    let layer = daily(100).limit(Limit::per_request().tokens(10)).shadow();
    let script = Script::new().then_always(streamed).collect_bodies();
    for _ in 0..3 {
        let request = stream();
        let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        text(response).await;
        let body = sent(&script);
        assert!(body.get("max_completion_tokens").is_none(), "{body}");
    }
    assert_eq!(alice(&layer.handle()).await, (450, 0));
    let stats = layer.handle().stats();
    assert_eq!((stats.refused, stats.cut), (0, 0));
    assert!(stats.would_refuse >= 3, "{stats:?}");
    // one limit alone
    let layer = daily(100_000).limit(Limit::for_all().hourly().tokens(1).shadow());
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
    let stats = layer.handle().stats();
    assert_eq!((stats.refused, stats.would_refuse), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn from_four_fifths_on_answers_warn() {
    let layer = daily(1_000).limit(Limit::for_all().daily().tokens(1_000).warn_at(50));
    let warning = async |cap: u64| {
        let script = Script::new().then(answered());
        let request = chat(&format!("\"max_tokens\":{cap},"));
        let response = layer.layer(script).oneshot(request).await.unwrap();
        let warning = response.headers().get("x-llm-budget-warning").cloned();
        text(response).await;
        warning.map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(warning(300).await, None);
    // 150 used and 9 + 400 reserved
    assert_eq!(warning(400).await.unwrap(), "all-day-tokens=55%");
    assert_eq!(
        warning(600).await.unwrap(),
        "user-day-tokens=90%, all-day-tokens=90%"
    );
}

#[tokio::test(start_paused = true)]
async fn limits_are_changed_granted_and_reset_while_calls_run_and_what_was_spent_is_kept() {
    let layer = daily(300);
    let handle = layer.handle();
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
    assert_eq!(ask(&layer, answered(), chat("")).await, 429);
    handle.set_limit(DAY, Amount::Tokens(600)).unwrap();
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
    assert_eq!(alice(&handle).await, (300, 0));

    handle.set_limit(DAY, Amount::Tokens(300)).unwrap();
    assert_eq!(ask(&layer, answered(), chat("")).await, 429);
    let granted = handle
        .grant(DAY, "alice", Amount::Tokens(500))
        .await
        .unwrap();
    assert_eq!(granted.remaining, Amount::Tokens(500));
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
    handle.reset(DAY, "alice").await.unwrap();
    assert_eq!(alice(&handle).await, (0, 0));

    let own = Some(Amount::Tokens(10));
    handle.set_limit_of(DAY, "alice", own).await.unwrap();
    assert_eq!(ask(&layer, answered(), chat("")).await, 429);
    assert_eq!(ask(&layer, answered(), of_user("bob", chat(""))).await, 200);
    handle.set_limit_of(DAY, "alice", None).await.unwrap();
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);

    let of_alice = handle.user("alice").await.unwrap();
    let of_both = handle.users(["bob", "alice"]).await.unwrap();
    assert_eq!(of_both.len(), 2);
    assert_eq!(of_both[1], of_alice);
    let of_bob = handle.account(DAY, "bob").await.unwrap();
    assert_eq!(of_both[0], [(DAY.into(), of_bob)]);
    assert!(handle.users([]).await.unwrap().is_empty());
    assert_eq!((of_alice.len(), &*of_alice[0].0), (1, DAY));
    assert!(handle.set_limit("no-such", Amount::Tokens(1)).is_err());
    assert!(handle.set_limit(DAY, Amount::Money(Money::ZERO)).is_err());
    assert!(handle.account("no-such", "alice").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_same_name_takes_the_place_of_the_one_before() {
    let layer = daily(1).limit(Limit::per_user().daily().tokens(9_000));
    assert_eq!(ask(&layer, answered(), chat("")).await, 200);
    assert_eq!(layer.handle().limits().len(), 1);
    let other = layer.limit(Limit::per_user().daily().tokens(1).named("other"));
    assert_eq!(ask(&other, answered(), chat("")).await, 429);
}

#[tokio::test(start_paused = true)]
async fn two_budgets_in_one_stack_both_hold() {
    let outer = daily(9_000);
    let inner = BudgetLayer::default().limit(Limit::for_all().daily().tokens(9_000));
    let script = Script::new().then(answered());
    let attempts = Attempts::default();
    let mut request = chat("");
    request.extensions_mut().insert(attempts.clone());
    let response = outer
        .layer(inner.layer(script))
        .oneshot(request)
        .await
        .unwrap();
    // both are asked before a further attempt
    assert_eq!(attempts.again(), Ok(2));
    text(response).await;
    assert_eq!(alice(&outer.handle()).await, (150, 0));
    let all = account(&inner.handle(), "all-day-tokens", "").await;
    assert_eq!(all, (150, 0));
}
