//! What a message of chat completions says: text, reasoning, tool calls.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::Spoken;
use crate::meter::Reading;

/// A delta, or a whole message.
#[derive(Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    custom: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

impl<'a> Said<'a> {
    pub(super) fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        spoken.say(self.content, reading);
        spoken.say(self.refusal, reading);
        // servers that send both names send the same text twice
        spoken.say(self.reasoning_content.or(self.reasoning), reading);
        if let Some(calls) = self.tool_calls {
            match serde_json::from_str::<Vec<ToolCall<'a>>>(calls.get()) {
                Ok(calls) => {
                    for call in calls {
                        // a call without a name and arguments is still one
                        spoken.silently();
                        let parts = call.function.iter().chain(&call.custom);
                        parts.for_each(|function| function.read(spoken, reading));
                    }
                }
                Err(_) => spoken.say(Some(calls), reading),
            }
        }
        spoken.say(self.function_call, reading);
        spoken.other(self.audio);
    }
}

impl<'a> Function<'a> {
    fn read(&self, spoken: &mut Spoken<'a>, reading: &mut Reading) {
        spoken.say(self.name, reading);
        spoken.say(self.arguments, reading);
        spoken.say(self.input, reading);
    }
}
