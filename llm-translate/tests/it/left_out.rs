//! What is not carried over, by name.

use crate::support::{
    Chat, Gemini, Messages, Responses, refused, request, smallest, translated, with,
};
use llm_exchange::Dialect;
use serde_json::{Value, json};

fn left_out(from: Dialect, to: Dialect, fields: Value) -> Vec<&'static str> {
    let translated = translated(from, to, &with(smallest(from), fields)).unwrap();
    translated.left_out().to_vec()
}

#[test]
fn an_effort_does_not_have_a_model_think_whose_thinking_is_disabled() {
    let asked = json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}});
    let asked = with(smallest(Messages), asked);
    assert_eq!(request(Messages, Chat, &asked)["reasoning_effort"], "none");
    assert_eq!(
        request(Messages, Gemini, &asked)["generationConfig"]["thinkingConfig"],
        json!({"includeThoughts": false, "thinkingBudget": 0})
    );
    for target in [Chat, Gemini] {
        let translated = translated(Messages, target, &asked).unwrap();
        assert_eq!(translated.left_out(), ["output_config.effort"]);
    }
}

#[test]
fn a_budget_beside_an_effort_is_not_lost_in_silence() {
    let budget = json!({"type": "enabled", "budget_tokens": 2_000});
    let asked = json!({"thinking": budget, "output_config": {"effort": "low"}});
    assert_eq!(left_out(Messages, Chat, asked.clone()), ["thinking"]);
    assert_eq!(left_out(Messages, Gemini, asked), ["thinking"]);
    let adaptive = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}});
    assert!(left_out(Messages, Chat, adaptive).is_empty());
    let both = json!({"thinkingLevel": "LOW", "thinkingBudget": 0});
    let asked = with(
        smallest(Gemini),
        json!({"generationConfig": {"thinkingConfig": both}}),
    );
    assert_eq!(
        refused(Gemini, Messages, &asked),
        "`generationConfig.thinkingConfig.thinkingBudget` is not valid: a level stands beside it"
    );
}

#[test]
fn thoughts_that_are_not_to_be_shown_do_not_have_a_model_think() {
    let config = json!({"thinkingConfig": {"includeThoughts": false}});
    let asked = with(smallest(Gemini), json!({"generationConfig": config}));
    assert_eq!(request(Gemini, Messages, &asked).get("thinking"), None);
}

#[test]
fn a_schema_that_takes_null_still_does() {
    let schema = |schema: Value| {
        let config = json!({"responseMimeType": "application/json", "responseSchema": schema});
        with(smallest(Gemini), json!({"generationConfig": config}))
    };
    let either = json!([{"type": "STRING"}, {"type": "NUMBER"}]);
    let asked = schema(json!({"nullable": true, "anyOf": either, "description": "d"}));
    assert_eq!(
        request(Gemini, Messages, &asked)["output_config"]["format"]["schema"],
        json!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}],
            "description": "d"})
    );
    let asked = schema(json!({"nullable": true, "enum": ["a"]}));
    assert_eq!(
        refused(Gemini, Messages, &asked),
        "`generationConfig.responseSchema.nullable` cannot be carried over: it says of no type"
    );
}

#[test]
fn hints_and_labels_are_left_out_by_name() {
    let text =
        json!({"type": "text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"}});
    for role in ["system", "user", "assistant"] {
        let messages = json!([{"role": role, "content": [text]}, {"role": "user", "content": "x"}]);
        let asked = json!({"messages": messages});
        assert_eq!(left_out(Chat, Messages, asked), ["prompt_cache_breakpoint"]);
    }
    let text = json!({"type": "input_text", "text": "hi", "prompt_cache_breakpoint": {}});
    let input = json!([{"role": "user", "phase": "commentary", "content": [text]}]);
    assert_eq!(
        left_out(Responses, Messages, json!({"input": input})),
        ["input.phase", "prompt_cache_breakpoint"]
    );
    let tool = json!({"name": "n", "input_schema": {}, "eager_input_streaming": true,
        "cache_control": {"type": "ephemeral"}});
    assert_eq!(
        left_out(Messages, Chat, json!({"tools": [tool]})),
        ["cache_control", "tools.eager_input_streaming"]
    );
    let image = json!({"mimeType": "image/png", "data": "aGk=", "displayName": "a cat"});
    let contents = json!([{"role": "user", "parts": [{"inlineData": image}]}]);
    assert_eq!(
        left_out(Gemini, Chat, json!({"contents": contents})),
        ["contents.parts.displayName"]
    );
    let schema = json!({"name": "s", "schema": {}, "strict": true});
    let format = json!({"type": "json_schema", "json_schema": schema});
    assert_eq!(
        left_out(Chat, Gemini, json!({"response_format": format})),
        ["response_format.json_schema.strict"]
    );
    assert_eq!(
        left_out(Chat, Messages, json!({"reasoning_effort": "minimal"})),
        ["reasoning_effort"]
    );
}

#[test]
fn options_of_a_stream_that_are_not_known_are_refused() {
    let options = |options: Value| {
        with(
            smallest(Responses),
            json!({"stream": true, "stream_options": options}),
        )
    };
    let known = options(json!({"include_obfuscation": false}));
    assert!(translated(Responses, Messages, &known).is_ok());
    assert_eq!(
        refused(Responses, Messages, &options(json!({"frobnicate": true}))),
        "`stream_options.frobnicate` is not known, so it cannot be carried over"
    );
}
