//! The request that goes on.

use http::Request;
use llm_exchange::{Call, Dialect, NotRewritten, Payload};
use serde_json::value::RawValue;

use super::{
    check::{Why, check},
    prefill::Prefill,
    seam,
};
use crate::{
    Skipped,
    members::{Members, elements, text},
    target::Spec,
};

/// What the caller has so far, as the further attempt is given it.
pub(crate) struct Beginning {
    pub(super) text: String,
    /// Output tokens that it took.
    pub(super) tokens: u64,
}
impl Beginning {
    /// Whether an answer to this call that has come so far can be gone on with by another attempt.
    pub(crate) fn check(&self, request: &Request<Payload>) -> Result<(), &'static str> {
        check(request, self)
    }

    /// Makes of the request to a target, with all that the app put on it, the one that goes on. After an error it is of no use any more.
    pub(crate) fn go_on(
        &self,
        request: &mut Request<Payload>,
        spec: &Spec,
    ) -> Result<Prefill, Skipped> {
        let prefill = prefill(request, spec).ok_or(Skipped::NotGoneOn)?;
        match check(request, self).and_then(|()| go_on(request, prefill, self)) {
            Ok(()) => Ok(prefill),
            Err(why) => {
                tracing::debug!(why, "a target cannot go on with the answer");
                Err(Skipped::NotGoneOn)
            }
        }
    }
}

/// How the target would be asked to go on.
fn prefill(request: &Request<Payload>, spec: &Spec) -> Option<Prefill> {
    let call = Call::of(request)?;
    let prefill = spec
        .prefill
        .unwrap_or_else(|| Prefill::known(request, call));
    Some(prefill).filter(|prefill| *prefill != Prefill::Never)
}

fn go_on(
    request: &mut Request<Payload>,
    prefill: Prefill,
    beginning: &Beginning,
) -> Result<(), Why> {
    let call = Call::of(request).ok_or("it is no LLM call")?;
    let cap = call.output_cap();
    let is_gemini = call.dialect() == Dialect::Gemini;
    let list = if is_gemini { "contents" } else { "messages" };
    let said = text(seam::split(&beginning.text).0);
    let message = match (is_gemini, prefill) {
        (true, _) => format!(r#"{{"role":"model","parts":[{{"text":{said}}}]}}"#),
        (_, Prefill::PrefixMember) => {
            format!(r#"{{"role":"assistant","content":{said},"prefix":true}}"#)
        }
        _ => format!(r#"{{"role":"assistant","content":{said}}}"#),
    };
    let body = request.body().whole().ok_or("its request is not kept")?;
    let members = Members::of(body).ok_or("its request is no object")?;
    let before = members
        .get(list)
        .and_then(elements)
        .ok_or("its messages are not read")?;
    let all: Vec<_> = before
        .into_iter()
        .map(RawValue::get)
        .chain([&*message])
        .collect();
    let all = format!("[{}]", all.join(","));
    let not_written = "the request cannot be rewritten";
    Call::set_parameter(request, list, &all).map_err(|_| not_written)?;
    if prefill == Prefill::ContinueFinalMessage {
        continue_final(request).map_err(|_| not_written)?;
    }
    if let Some(cap) = cap {
        let left = cap.checked_sub(beginning.tokens).filter(|left| *left > 0);
        let left = left.ok_or("its output cap is reached")?;
        Call::set_output_cap(request, left).map_err(|_| not_written)?;
    }
    Ok(())
}

/// Says that the last message is to be continued.
pub(crate) fn continue_final(request: &mut Request<Payload>) -> Result<(), NotRewritten> {
    Call::set_parameter(request, "continue_final_message", "true")?;
    Call::set_parameter(request, "add_generation_prompt", "false")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::check::tests::{CHAT_PATH, GEMINI_PATH, MESSAGES_PATH, asks, request, said},
        *,
    };
    use crate::Target;

    async fn gone_on(path: &str, list: &str, more: Value, prefill: Prefill) -> Value {
        let mut request = request(path, &asks(list, more)).await;
        go_on(&mut request, prefill, &said("Hel\"lo \n")).unwrap();
        serde_json::from_slice(request.body().whole().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_request_goes_on_from_the_text_without_blanks_at_its_end_and_with_a_lower_cap() {
        let sent = gone_on(
            CHAT_PATH,
            "messages",
            json!({"max_tokens": 99}),
            Prefill::PrefixMember,
        )
        .await;
        let last = json!({"role": "assistant", "content": "Hel\"lo", "prefix": true});
        assert_eq!(
            (&sent["messages"][1], &sent["max_tokens"]),
            (&last, &json!(89))
        );
        let sent = gone_on(
            CHAT_PATH,
            "messages",
            json!({}),
            Prefill::ContinueFinalMessage,
        )
        .await;
        assert_eq!(
            sent["messages"][1],
            json!({"role": "assistant", "content": "Hel\"lo"})
        );
        assert_eq!(
            (
                &sent["continue_final_message"],
                &sent["add_generation_prompt"]
            ),
            (&json!(true), &json!(false))
        );
        assert_eq!(sent.get("max_completion_tokens"), None);
        let sent = gone_on(
            MESSAGES_PATH,
            "messages",
            json!({"max_tokens": 11}),
            Prefill::LastMessage,
        )
        .await;
        assert_eq!(
            (&sent["messages"][1]["content"], &sent["max_tokens"]),
            (&json!("Hel\"lo"), &json!(1))
        );
        let capped = json!({"generationConfig": {"maxOutputTokens": 20}});
        let sent = gone_on(GEMINI_PATH, "contents", capped, Prefill::LastMessage).await;
        assert_eq!(
            sent["contents"][1],
            json!({"role": "model", "parts": [{"text": "Hel\"lo"}]})
        );
        assert_eq!(sent["generationConfig"]["maxOutputTokens"], 10);
    }

    #[tokio::test]
    async fn a_cap_that_is_reached_is_not_gone_past() {
        let mut request =
            request(MESSAGES_PATH, &asks("messages", json!({"max_tokens": 10}))).await;
        assert!(go_on(&mut request, Prefill::LastMessage, &said("Hello")).is_err());
    }

    #[tokio::test]
    async fn a_model_that_is_not_known_is_asked_only_where_the_app_says_so() {
        let request = request(CHAT_PATH, &asks("messages", json!({}))).await;
        let of = |target: Target| prefill(&request, &target.spec);
        assert_eq!(of(Target::model("m")), None);
        let named = Target::model("m").prefill(Prefill::LastMessage);
        assert_eq!(of(named), Some(Prefill::LastMessage));
    }
}
