//! Who gets what, and when.

use fake_provider::{Behaviour, Failure, FakeProvider, Hint, OPTIONS, Script, WORDS};
use http::Request;

use crate::client::{CHAT, ask, chat, send_this, start};

async fn statuses(fake: &FakeProvider, x_fake: &str, model: &str, count: usize) -> Vec<u16> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(ask(fake, CHAT, x_fake, &chat(model)).await.status.as_u16());
    }
    all
}

#[tokio::test]
async fn a_script_of_a_model_goes_step_by_step() {
    let fake = start().await;
    let script = Script::new()
        .throttle(1, Hint::RetryAfterMs(50))
        .fail(2, Failure::overloaded())
        .then_ok();
    fake.on("gpt-4o", script);
    assert_eq!(
        statuses(&fake, "", "gpt-4o", 5).await,
        [429, 503, 503, 200, 200]
    );
    assert_eq!(statuses(&fake, "", "other", 1).await, [200]);
}

#[tokio::test]
async fn a_model_name_throttles_and_starts_over() {
    let fake = start().await;
    let twice = [429, 429, 200, 429, 429, 200];
    assert_eq!(statuses(&fake, "", "throttled-2", 6).await, twice);
    assert_eq!(statuses(&fake, "", "overloaded-1", 2).await, [503, 200]);
    assert_eq!(statuses(&fake, "", "quota", 3).await, [429; 3]);
}

#[tokio::test]
async fn a_header_counts_for_itself() {
    let fake = start().await;
    assert_eq!(
        statuses(&fake, "fail=1", "gpt-4o", 3).await,
        [500, 200, 500]
    );
    assert_eq!(
        statuses(&fake, "status=418,times=1", "gpt-4o", 3).await,
        [418, 200, 418]
    );
    assert_eq!(
        statuses(&fake, "fail=1", "gpt-4o", 1).await,
        [200],
        "where it was left"
    );
}

#[tokio::test]
async fn callers_are_counted_apart() {
    let fake = start().await;
    let mut all = Vec::new();
    for (name, value) in [
        ("x-fake-key", "a"),
        ("x-fake-key", "a"),
        ("x-fake-key", "b"),
        ("authorization", "Bearer sk-1"),
        ("authorization", "Bearer sk-1"),
        ("x-api-key", "sk-2"),
    ] {
        let body = chat("fail-1").to_string();
        let request = Request::post(CHAT)
            .header(name, value)
            .body(body.into())
            .unwrap();
        all.push(send_this(&fake, request).await.unwrap().status().as_u16());
    }
    assert_eq!(all, [500, 200, 500, 500, 200, 500]);
}

#[tokio::test]
async fn code_is_stronger_than_header_than_name_than_any() {
    let fake = start().await;
    fake.on_any(Behaviour::fails(Failure::status(418)));
    assert_eq!(statuses(&fake, "", "gpt-4o", 1).await, [418]);
    assert_eq!(statuses(&fake, "", "fail-1", 1).await, [500]);
    assert_eq!(statuses(&fake, "status=404", "fail-1", 1).await, [404]);
    fake.on("fail-1", Behaviour::ok());
    assert_eq!(statuses(&fake, "status=404", "fail-1", 1).await, [200]);
}

#[tokio::test]
async fn a_reset_starts_everything_over() {
    let fake = start().await;
    fake.on("gpt-4o", Script::new().fail(1, Failure::status(500)));
    assert_eq!(statuses(&fake, "", "gpt-4o", 2).await, [500, 200]);
    assert_eq!(statuses(&fake, "", "fail-1", 1).await, [500]);
    let request = Request::post("/fake/reset").body("".into()).unwrap();
    assert_eq!(send_this(&fake, request).await.unwrap().status(), 200);
    assert!(fake.log().is_empty());
    assert_eq!(statuses(&fake, "", "gpt-4o", 2).await, [500, 200]);
    assert_eq!(statuses(&fake, "", "fail-1", 1).await, [500]);
}

#[test]
fn the_readme_lists_every_option_and_word_as_the_program_does() {
    let readme = include_str!("../../README.md");
    for (name, value, what) in OPTIONS {
        let value = value.replace('|', "\\|");
        let row = format!("| `{name}{value}` | {what} |");
        assert!(readme.contains(&row), "{row}");
    }
    let (_, words) = readme.split_once("### Words").unwrap();
    let (words, _) = words.split_once("\n## ").unwrap();
    // wherever its lines end
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for (word, option) in WORDS {
        let listed = if word == option {
            format!("`{word}`")
        } else {
            format!("`{word}` (`{option}`)")
        };
        assert!(words.contains(&listed), "{listed}");
    }
}
