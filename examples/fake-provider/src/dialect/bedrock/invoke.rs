//! `/model/ID/invoke`: Anthropic's format, its events wrapped.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::{Anthropic, Events, Wire},
    Event, PADDING, of_bedrock,
};
use crate::{
    ask::{Answer, Ask},
    route::Route,
};

#[derive(Debug)]
pub(crate) struct Invoke;

impl Wire for Invoke {
    of_bedrock!();

    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        if !body["anthropic_version"].is_string() {
            return Err("anthropic_version: Field required".to_owned());
        }
        let ask = Anthropic.read(route, body)?;
        // the path says it, and the body can't
        let stream = route.stream.unwrap_or(false);
        Ok(Ask { stream, ..ask })
    }

    fn json(&self, answer: &Answer) -> String {
        Anthropic.json(answer)
    }

    fn events(&self, answer: Answer) -> Events {
        let metrics = answer.usage.then(|| {
            json!({
                "inputTokenCount": answer.prompt_tokens,
                "outputTokenCount": answer.deltas(),
                "invocationLatency": 1,
                "firstByteLatency": 1,
            })
        });
        Box::new(Anthropic.events(answer).map(move |event| {
            let mut json = event.data;
            if json == MESSAGE_STOP
                && let Some(metrics) = &metrics
            {
                // Amazon's own count, beside Anthropic's
                json = format!(
                    r#"{{"type":"message_stop","amazon-bedrock-invocationMetrics":{metrics}}}"#
                );
            }
            let wrapped = json!({"bytes": STANDARD.encode(json), "p": PADDING});
            Event {
                delta: event.delta,
                ..Event::frame("chunk", wrapped.to_string())
            }
        }))
    }
}

const MESSAGE_STOP: &str = r#"{"type":"message_stop"}"#;
