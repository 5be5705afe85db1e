//! The deltas of a line. A tool call comes whole, and is given the next number.

use serde::Deserialize;

use crate::stream::{
    Delta, DeltaKind,
    delta::{Deltas, Field, json_of},
};

pub(super) fn read(data: &[u8], out: &mut Deltas) {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        message: Option<Message<'a>>,
        #[serde(borrow)]
        response: Field<'a>,
        #[serde(borrow)]
        thinking: Field<'a>,
    }

    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: Field<'a>,
        #[serde(borrow)]
        thinking: Field<'a>,
        #[serde(borrow)]
        tool_calls: Option<Vec<ToolCall<'a>>>,
    }

    #[derive(Deserialize)]
    struct ToolCall<'a> {
        #[serde(borrow)]
        function: Option<Function<'a>>,
    }

    #[derive(Deserialize)]
    struct Function<'a> {
        #[serde(borrow)]
        name: Field<'a>,
        #[serde(borrow)]
        arguments: Field<'a>,
    }

    let Ok(line) = serde_json::from_slice::<Line<'_>>(data) else {
        return;
    };
    out.say(0, DeltaKind::Reasoning, line.thinking);
    out.say(0, DeltaKind::Text, line.response);
    let Some(message) = line.message else { return };
    out.say(0, DeltaKind::Reasoning, message.thinking);
    out.say(0, DeltaKind::Text, message.content);
    let calls = message.tool_calls.into_iter().flatten();
    for function in calls.filter_map(|call| call.function) {
        let kind = DeltaKind::call(out.next_call(), None, function.name);
        out.push(Delta::new(0, kind, json_of(function.arguments)));
    }
}
