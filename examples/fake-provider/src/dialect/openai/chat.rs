//! Chat completions.

use std::sync::Arc;

use serde_json::Value;

use super::{
    super::{Events, Wire, choices, flag, list, model, whole_number},
    CREATED, Event, Problem, Server, finish_reason, of_openai,
};
use crate::{
    ask::{Answer, Ask, prompt, quoted},
    behaviour::Shape,
    route::Route,
};

#[derive(Debug)]
pub(crate) struct Chat;

impl Wire for Chat {
    of_openai!();

    fn read(&self, route: &Route, body: &Value) -> Result<Ask, String> {
        let model = model(route, body)?;
        let (prompt_tokens, last_user) = prompt(list(body, "messages")?, "content");
        let cap =
            whole_number(body, "max_completion_tokens")?.or(whole_number(body, "max_tokens")?);
        if cap == Some(0) {
            return Err("max_tokens: at least 1 is required".to_owned());
        }
        let options = &body["stream_options"];
        Ok(Ask {
            model,
            stream: flag(body, "stream", false)?,
            include_usage: options["include_usage"] == true,
            running_usage: options["continuous_usage_stats"] == true,
            choices: choices(body, "n")?,
            cap,
            prompt_tokens,
            last_user,
            tool: body["tools"][0]["function"]["name"]
                .as_str()
                .map(str::to_owned),
        })
    }

    fn json(&self, answer: &Answer) -> String {
        let text = quoted(&answer.text());
        let choices: Vec<_> = (0..answer.choices)
            .map(|index| {
                let message = match &answer.tool {
                    Some(name) => format!(
                        r#""content":null,"refusal":null,"tool_calls":[{{"id":"{}","type":"function","function":{{"name":{},"arguments":{text}}}}}]"#,
                        call_id(answer, index),
                        quoted(name),
                    ),
                    None => format!(r#""content":{text},"refusal":null,"annotations":[]"#),
                };
                let reasoning = if answer.reasoning.is_empty() {
                    String::new()
                } else {
                    format!(r#","reasoning_content":{}"#, quoted(&answer.reasoning.concat()))
                };
                format!(
                    r#"{{"index":{index},"message":{{"role":"assistant",{message}{reasoning}}},"logprobs":null,"finish_reason":"{}"}}"#,
                    finish_reason(answer)
                )
            })
            .collect();
        let usage = if answer.usage {
            format!(
                r#","usage":{}"#,
                answer.server.usage(answer, answer.deltas())
            )
        } else {
            String::new()
        };
        format!(
            r#"{{"id":"{}","object":"chat.completion","created":{CREATED},"model":{},"choices":[{}]{usage}{}}}"#,
            id(answer),
            quoted(&answer.model),
            choices.join(","),
            answer.server.marks(),
        )
    }

    fn events(&self, answer: Answer) -> Events {
        let answer = Arc::new(answer);
        let server = answer.server;
        let before = server.first_event().map(|choices| chunk(&answer, choices));
        let opening = each(&answer, move |answer, index| {
            let delta = match &answer.tool {
                Some(name) => format!(
                    r#""role":"assistant","content":null,"tool_calls":[{{"index":0,"id":"{}","type":"function","function":{{"name":{},"arguments":""}}}}]"#,
                    call_id(answer, index),
                    quoted(name),
                ),
                None => r#""role":"assistant","content":"","refusal":null"#.into(),
            };
            choice(answer, index, &delta, "null", &server.at_start(answer))
        });
        let reasoning = deltas(&answer, answer.reasoning.len(), 0, |answer, at| {
            format!(r#""reasoning_content":{}"#, quoted(&answer.reasoning[at]))
        });
        let thought = answer.reasoning.len();
        let content = deltas(&answer, answer.pieces.len(), thought, |answer, at| {
            let piece = quoted(&answer.pieces[at]);
            match answer.tool {
                Some(_) => {
                    format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":{piece}}}}}]"#)
                }
                None => format!(r#""content":{piece}"#),
            }
        });
        let finish = each(&answer, move |answer, index| {
            let last = index + 1 == answer.choices;
            let extra = if last {
                server.at_finish(answer)
            } else {
                null_usage(answer)
            };
            choice(answer, index, "", &quoted(finish_reason(answer)), &extra)
        });
        let usage = server.sends_usage_chunk(&answer).then(|| {
            let usage = server.usage(&answer, answer.deltas());
            chunk(&answer, &format!(r#""choices":[],"usage":{usage}"#))
        });
        let done = std::iter::once(Event::data("[DONE]"));
        Box::new(
            before
                .into_iter()
                .chain(opening)
                .chain(reasoning)
                .chain(content)
                .chain(finish)
                .chain(usage)
                .chain(done),
        )
    }

    fn error_events(&self, problem: Problem, _: usize, shape: &Shape) -> Vec<Event> {
        shape.server.error_events(problem)
    }
}

fn id(answer: &Answer) -> String {
    format!("chatcmpl-fake-{}", answer.number)
}

fn call_id(answer: &Answer, index: usize) -> String {
    format!("call_fake_{}_{index}", answer.number)
}

/// `members` are the chunk's own, with choices among them.
fn chunk(answer: &Answer, members: &str) -> Event {
    Event::data(format!(
        r#"{{"id":"{}","object":"chat.completion.chunk","created":{CREATED},"model":{}{},{members}}}"#,
        id(answer),
        quoted(&answer.model),
        answer.server.marks(),
    ))
}

/// Where usage was asked for, every chunk but the last says that it has none.
fn null_usage(answer: &Answer) -> String {
    let says = answer.include_usage && answer.usage && answer.server == Server::OpenAi;
    if says {
        r#","usage":null"#.into()
    } else {
        String::new()
    }
}

fn choice(answer: &Answer, index: usize, delta: &str, finish: &str, extra: &str) -> Event {
    chunk(
        answer,
        &format!(
            r#""choices":[{{"index":{index},"delta":{{{delta}}},"logprobs":null,"finish_reason":{finish}}}]{extra}"#
        ),
    )
}

/// One event for each choice.
fn each(
    answer: &Arc<Answer>,
    event: impl Fn(&Answer, usize) -> Event + Send + 'static,
) -> impl Iterator<Item = Event> + Send + 'static {
    let answer = answer.clone();
    (0..answer.choices).map(move |index| event(&answer, index))
}

/// One event for each choice and delta; only the first choice's counts as a delta. `before` deltas
/// came earlier.
fn deltas(
    answer: &Arc<Answer>,
    count: usize,
    before: usize,
    delta: impl Fn(&Answer, usize) -> String + Send + Sync + 'static,
) -> impl Iterator<Item = Event> + Send + 'static {
    let answer = answer.clone();
    (0..count * answer.choices).map(move |at| {
        let (nth, index) = (at / answer.choices, at % answer.choices);
        let extra = if answer.running_usage {
            let usage = answer.server.usage(&answer, before + nth + 1);
            format!(r#","usage":{usage}"#)
        } else {
            null_usage(&answer)
        };
        let event = choice(&answer, index, &delta(&answer, nth), "null", &extra);
        if index == 0 {
            event.with_content()
        } else {
            event
        }
    })
}
