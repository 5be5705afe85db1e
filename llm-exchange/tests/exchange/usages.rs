//! No token in two fields, whatever a provider counts inside of what.

use futures_util::FutureExt;
use http::Response;
use http_body_util::{BodyExt, Full};
use llm_exchange::{Dialect, Meter, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::calls::call;

fn usage_of(dialect: Dialect, answer: &Value) -> Option<Usage> {
    let response = Response::builder()
        .header("content-type", "application/json")
        .body(Full::from(answer.to_string()))
        .unwrap();
    let (meter, response) = Meter::attach(response, &call(dialect));
    response
        .into_body()
        .collect()
        .now_or_never()
        .unwrap()
        .unwrap();
    meter.usage()
}

fn openai(usage: Value) -> Usage {
    let answer = json!({"choices": [{"finish_reason": "stop"}], "usage": usage});
    usage_of(Dialect::OpenAiChat, &answer).unwrap()
}

fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![0..100_000_u64, Just(0), any::<u32>().prop_map(u64::from)]
}

proptest! {
    #[test]
    fn openai_counts_details_inside_of_their_totals(
        [prompt, completion, cached, written, audio, reasoning, spoken] in prop::array::uniform7(tokens()),
        detailed in any::<bool>(),
    ) {
        let mut wire = json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        });
        if detailed {
            wire["prompt_tokens_details"] =
                json!({"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio});
            wire["completion_tokens_details"] =
                json!({"reasoning_tokens": reasoning, "audio_tokens": spoken});
        }
        let usage = openai(wire);
        // the provider's own numbers, whatever the details say
        prop_assert_eq!((usage.input(), usage.output()), (prompt, completion));
        if detailed && cached + written + audio <= prompt && reasoning + spoken <= completion {
            prop_assert_eq!(usage.cached, cached);
            prop_assert_eq!(usage.cache_write, written);
            prop_assert_eq!(usage.audio_input, audio);
            prop_assert_eq!(usage.reasoning, reasoning);
            prop_assert_eq!(usage.audio_output, spoken);
        }
    }

    #[test]
    fn what_the_total_has_more_was_generated_too(
        [prompt, completion, hidden] in prop::array::uniform3(tokens()),
        named in any::<bool>(),
    ) {
        // xAI names it as reasoning beside the completion, Gemini's compatible endpoint not at all
        let usage = openai(json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion + hidden,
            "completion_tokens_details": {"reasoning_tokens": if named { hidden } else { 0 }},
        }));
        prop_assert_eq!((usage.input(), usage.output()), (prompt, completion + hidden));
        prop_assert_eq!(usage.reasoning, hidden);
    }

    #[test]
    fn anthropic_counts_three_parts_of_the_prompt_beside_each_other(
        [input, read, short, long, output, thinking] in prop::array::uniform6(tokens()),
    ) {
        let answer = json!({"type": "message", "content": [], "stop_reason": "end_turn", "usage": {
            "input_tokens": input,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": short + long,
            "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
            "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": thinking},
        }});
        let usage = usage_of(Dialect::AnthropicMessages, &answer).unwrap();
        prop_assert_eq!(usage.input(), input + read + short + long);
        prop_assert_eq!(usage.output(), output);
        prop_assert_eq!((usage.uncached, usage.cached), (input, read));
        prop_assert_eq!((usage.cache_write, usage.cache_write_long), (short, long));
        prop_assert_eq!(usage.reasoning, thinking.min(output));
    }

    #[test]
    fn anthropics_parts_of_a_stream_merge_field_by_field(
        start in prop::array::uniform3(prop::option::of(0..9_999_u64)),
        deltas in prop::collection::vec(prop::array::uniform3(prop::option::of(0..9_999_u64)), 0..4),
    ) {
        let wire = |[input, cached, output]: [Option<u64>; 3]| {
            json!({"input_tokens": input, "cache_read_input_tokens": cached, "output_tokens": output})
        };
        let mut stream = format!(
            "data: {}\n\n",
            json!({"type": "message_start", "message": {"usage": wire(start)}})
        );
        let mut last = start;
        for delta in deltas {
            let event = json!({"type": "message_delta", "delta": {}, "usage": wire(delta)});
            stream.push_str(&format!("event: message_delta\ndata: {event}\n\n"));
            for (last, new) in last.iter_mut().zip(delta) {
                *last = new.or(*last);
            }
        }
        let response = Response::builder()
            .header("content-type", "text/event-stream")
            .body(Full::from(stream))
            .unwrap();
        let (meter, response) = Meter::attach(response, &call(Dialect::AnthropicMessages));
        response.into_body().collect().now_or_never().unwrap().unwrap();
        let [input, cached, output] = last;
        let expected = (input.is_some() || output.is_some())
            .then(|| (input.unwrap_or(0), cached.unwrap_or(0), output.unwrap_or(0)));
        let usage = meter.usage().map(|usage| (usage.uncached, usage.cached, usage.output()));
        prop_assert_eq!(usage, expected);
    }
}
