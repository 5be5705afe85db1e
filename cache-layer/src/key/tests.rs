//! The key, by properties: what changes it and what does not.

mod dialects;

use http::Request;
use llm_exchange::{Call, Payload, User};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Map, Value, json};

use super::*;

const URI: &str = "https://api.example/v1/chat/completions";

fn settings() -> KeySettings {
    KeySettings {
        secret: Secret::of(b"test"),
        sharing: Sharing::Scoped,
        vary: Vec::new(),
    }
}

/// Reads a request that is there already, as a runtime is not needed for it.
fn read(request: Request<String>) -> Request<Payload> {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };
    match pin!(Payload::read(request, 1 << 20)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(request) => request,
        Poll::Pending => panic!("the body is there"),
    }
}

fn keyed_by(settings: &KeySettings, request: Request<String>) -> Option<Keyed> {
    let request = read(request);
    let call = Call::of(&request)?.clone();
    settings.read(&request, &call)
}

fn key_of(body: &str) -> Key {
    key_with(URI, body, &[("authorization", "Bearer a")]).unwrap()
}

fn key_with(uri: &str, body: &str, headers: &[(&str, &str)]) -> Option<Key> {
    let mut request = Request::post(uri).body(body.to_owned()).unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    keyed_by(&settings(), request).map(|keyed| keyed.key)
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("messages".to_owned()),
        Just("content".to_owned()),
        Just("cache_control".to_owned()),
        Just("tools".to_owned()),
        "[a-z\"\\\\é]{1,4}",
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é\\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((names(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A chat completion with whatever fields beside the ones that are read.
fn requests() -> impl Strategy<Value = Value> {
    (values(), vec((names(), values()), 0..5)).prop_map(|(content, more)| {
        let mut request = Map::new();
        request.extend(more);
        request.insert("model".into(), "m".into());
        request.insert(
            "messages".into(),
            json!([{"role": "user", "content": content}]),
        );
        // documented as no matter at this place
        request.remove("cache_control");
        // of a type that the API takes, or the call is not read
        request.remove("n");
        request.remove("user");
        Value::Object(request)
    })
}

/// Writes JSON with its members turned and blanks between.
fn written(value: &Value, turn: usize) -> String {
    let blank = [" ", "", "\n", "\t "][turn % 4];
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(name, value)| {
                    let name = serde_json::to_string(name).unwrap();
                    format!(
                        "{blank}{name}{blank}:{blank}{}{blank}",
                        written(value, turn + 1)
                    )
                })
                .collect();
            if !members.is_empty() {
                let by = turn % members.len();
                members.rotate_left(by);
            }
            format!("{{{blank}{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| written(item, turn + 1)).collect();
            format!("[{blank}{}{blank}]", items.join(&format!("{blank},")))
        }
        scalar => scalar.to_string(),
    }
}

/// How many places of a value can be changed.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Object(members) => members.values().map(places).sum(),
        Value::Array(items) => items.iter().map(places).sum::<usize>(),
        _ => 0,
    }
}

/// Changes one place: a scalar to another, a list or an object by something more.
fn change(value: &mut Value, place: usize) {
    match at_place(value, place) {
        None => {}
        Some(Value::Object(members)) => {
            members.insert("zz_new".into(), Value::Null);
        }
        Some(Value::Array(items)) => items.push(Value::Null),
        Some(Value::String(text)) => text.push('!'),
        Some(scalar) => {
            *scalar = match &*scalar {
                Value::Bool(bool) => json!(!*bool),
                Value::Number(number) => json!(number.to_string()),
                _ => json!(0),
            }
        }
    }
}

fn at_place(value: &mut Value, mut place: usize) -> Option<&mut Value> {
    if place == 0 {
        return Some(value);
    }
    place -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Object(members) => members.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        let count = places(child);
        if place < count {
            return at_place(child, place);
        }
        place -= count;
    }
    None
}

proptest! {
    #[test]
    fn any_change_at_any_depth_is_another_key(mut request in requests(), at in any::<Index>()) {
        let before = key_of(&request.to_string());
        let place = at.index(places(&request));
        change(&mut request, place);
        // a changed model or messages may be no call any more
        if let Some(after) = key_with(URI, &request.to_string(), &[("authorization", "Bearer a")]) {
            prop_assert_ne!(before, after);
        }
    }

    #[test]
    fn order_and_whitespace_are_no_change(request in requests(), turn in 0usize..100) {
        prop_assert_eq!(key_of(&request.to_string()), key_of(&written(&request, turn)));
    }

    #[test]
    fn two_tenants_never_share_a_key(
        request in requests(),
        one in vec(("[a-z-]{1,9}", "[!-~]{1,6}"), 0..3),
        other in vec(("[a-z-]{1,9}", "[!-~]{1,6}"), 0..3),
        at in vec(any::<Index>(), 6),
        users in (proptest::option::of("[a-c]{0,2}"), proptest::option::of("[a-c]{0,2}")),
    ) {
        const HEADERS: [&str; 6] = [
            "authorization", "x-api-key", "api-key", "x-goog-api-key", "openai-project", "cookie",
        ];
        let body = request.to_string();
        let of = |headers: &[(String, String)], user: &Option<String>, at: &[Index]| {
            let mut request = Request::post(URI).body(body.clone()).unwrap();
            let mut scope = Vec::new();
            for ((_, value), at) in headers.iter().zip(at) {
                let name = HEADERS[at.index(HEADERS.len())];
                request.headers_mut().append(name, value.parse().unwrap());
                scope.push((name, value.clone()));
            }
            if let Some(user) = user {
                request.extensions_mut().insert(User::new(&**user));
            }
            scope.sort_by_key(|(name, _)| *name);
            let nobody = scope.is_empty() && user.is_none();
            let key = keyed_by(&settings(), request).map(|keyed| keyed.key);
            assert_eq!(key.is_none(), nobody);
            ((scope, user.clone()), key)
        };
        let (one, its) = of(&one, &users.0, &at[..3]);
        let (other, others) = of(&other, &users.1, &at[3..]);
        if its.is_some() && others.is_some() {
            prop_assert_eq!(one == other, its == others);
        }
    }

    #[test]
    fn whatever_the_bytes_the_walk_ends(bytes in vec(any::<u8>(), 0..64), text in "[\\[\\]{}\",:\\\\a1 ]{0,48}") {
        let dialect = llm_exchange::Dialect::OpenAiChat;
        canonical(&bytes, dialect, None, &mut Vec::new());
        canonical(text.as_bytes(), dialect, None, &mut Vec::new());
    }
}

#[test]
fn a_key_is_written_and_read() {
    let key = key_of(r#"{"model":"m","messages":[]}"#);
    let text = key.to_string();
    assert_eq!(text.len(), 64);
    assert_eq!(text.parse(), Ok(key));
    assert_eq!(text.to_uppercase().parse(), Ok(key));
    for none in [
        "",
        "00",
        &text[1..],
        &format!("{text}0"),
        &text.replace('0', "g"),
        &"é".repeat(32),
    ] {
        assert!(none.parse::<Key>().is_err() || none == text, "{none}");
    }
}

#[test]
fn what_is_documented_not_to_matter_does_not() {
    let plain = key_of(r#"{"model":"m","messages":[]}"#);
    for more in [
        r#""user":"u""#,
        r#""stream":true,"stream_options":{"include_usage":true}"#,
        r#""metadata":{"a":"b"},"store":true,"service_tier":"flex""#,
        r#""prompt_cache_key":"k","safety_identifier":"s""#,
    ] {
        let body = format!(r#"{{{more},"model":"m","messages":[]}}"#);
        assert_eq!(plain, key_of(&body), "{more}");
    }
    for more in [
        r#""seed":1"#,
        r#""n":1"#,
        r#""unheard_of":null"#,
        r#""response_format":{}"#,
    ] {
        let body = format!(r#"{{{more},"model":"m","messages":[]}}"#);
        assert_ne!(plain, key_of(&body), "{more}");
    }
}

#[test]
fn marks_of_the_prompt_cache_do_not_matter_where_they_are_marks() {
    let key = |body: &str| key_with("https://a/v1/messages", body, &[("x-api-key", "k")]).unwrap();
    let mark = r#","cache_control":{"type":"ephemeral"}"#;
    let body = |mark: &str, schema: &str| {
        format!(
            r#"{{"model":"m","max_tokens":9,"tools":[{{"name":"t","input_schema":{{"properties":{{"x":1{schema}}}}}{mark}}}],
            "system":[{{"type":"text","text":"s"{mark}}}],
            "messages":[{{"role":"user","content":[{{"type":"tool_result","content":[{{"type":"text","text":"x"{mark}}}]{mark}}}]}}]}}"#
        )
    };
    assert_eq!(key(&body("", "")), key(&body(mark, "")));
    // a tool's own parameter of that name
    assert_ne!(key(&body("", "")), key(&body("", mark)));
}

#[test]
fn where_and_how_it_is_asked_is_part_of_the_key() {
    let body = r#"{"model":"m","messages":[]}"#;
    let auth = ("authorization", "Bearer a");
    let plain = key_with(URI, body, &[auth]).unwrap();
    for uri in [
        "https://api.other/v1/chat/completions",
        "https://api.example:8443/v1/chat/completions",
        "https://api.example/x/v1/chat/completions",
        "https://api.example/v1/chat/completions?api-version=2",
    ] {
        assert_ne!(plain, key_with(uri, body, &[auth]).unwrap(), "{uri}");
    }
    for header in ["anthropic-beta", "openai-beta", "x-goog-request-params"] {
        assert_ne!(plain, key_with(URI, body, &[auth, (header, "x")]).unwrap());
    }
    for header in [
        "user-agent",
        "x-stainless-retry-count",
        "traceparent",
        "accept",
    ] {
        assert_eq!(plain, key_with(URI, body, &[auth, (header, "x")]).unwrap());
    }
    let varied = |value: &str| {
        let mut settings = settings();
        settings.vary.push(HeaderName::from_static("x-route"));
        let mut request = Request::post(URI).body(body.to_owned()).unwrap();
        request
            .headers_mut()
            .insert("x-route", value.parse().unwrap());
        request
            .headers_mut()
            .insert("authorization", "a".parse().unwrap());
        keyed_by(&settings, request).unwrap().key
    };
    assert_ne!(varied("a"), varied("b"));
}

#[test]
fn a_key_in_the_address_is_a_credential() {
    let body = r#"{"model":"m","messages":[]}"#;
    let of = |key: &str| key_with(&format!("{URI}?alt=sse&key={key}"), body, &[]).unwrap();
    assert_ne!(of("a"), of("b"));
    assert_eq!(of("a"), of("a"));
    assert!(key_with(URI, body, &[]).is_none());
    assert!(key_with(URI, body, &[("authorization", "AWS4-HMAC-SHA256 x")]).is_none());
}

#[test]
fn another_secret_makes_other_keys_and_several_answers_have_several() {
    let request = || {
        Request::post(URI)
            .header("authorization", "a")
            .body(r#"{"model":"m","messages":[]}"#.to_owned())
            .unwrap()
    };
    let keyed = keyed_by(&settings(), request()).unwrap();
    let other = KeySettings {
        secret: Secret::random(),
        ..settings()
    };
    assert_ne!(keyed.key, keyed_by(&other, request()).unwrap().key);
    assert_ne!(keyed.key, settings().another(keyed.key, 1));
    assert_ne!(keyed_by(&other, request()).unwrap().key, {
        let one_more = KeySettings {
            secret: Secret::random(),
            ..settings()
        };
        keyed_by(&one_more, request()).unwrap().key
    });
}

#[test]
fn what_makes_a_call_deterministic_or_not_is_seen() {
    let read = |more: &str| {
        let body = format!(r#"{{"model":"m","messages":[]{more}}}"#);
        canonical(
            body.as_bytes(),
            llm_exchange::Dialect::OpenAiChat,
            None,
            &mut Vec::new(),
        )
        .unwrap()
    };
    for zero in ["0", "0.0", "-0", "0e3"] {
        assert!(
            read(&format!(r#","temperature":{zero}"#)).temperature_zero,
            "{zero}"
        );
    }
    for other in [
        "",
        r#","temperature":0.1"#,
        r#","temperature":null"#,
        r#","temperature":"0""#,
    ] {
        assert!(!read(other).temperature_zero, "{other}");
    }
    assert!(read(r#","previous_response_id":"r""#).stateful);
    assert!(read(r#","background":true"#).stateful);
    assert!(read(r#","prompt":{"id":"pmpt_1"}"#).stateful);
    assert!(!read(r#","prompt":"once""#).stateful);
    assert!(read(r#","input":["a",{"type":"item_reference","id":"msg_1"}]"#).stateful);
    assert!(!read(r#","input":[{"type":"message","content":"item_reference"}]"#).stateful);
    assert!(!read(r#","previous_response_id":null,"background":false"#).stateful);
    assert!(read(r#","tools":[{"type":"web_search"}]"#).looks_up);
    assert!(read(r#","web_search_options":{}"#).looks_up);
    assert!(read(r#","tools":[{"googleSearch":{}}]"#).looks_up);
    let own = r#","tools":[{"type":"function","function":{"parameters":{"type":"object"}}},{"name":"t"}]"#;
    assert!(!read(own).looks_up);
}

#[test]
fn what_everybody_shares_is_shared_whatever_header_says_who_pays() {
    let shared = KeySettings {
        sharing: Sharing::Everybody,
        ..settings()
    };
    let varied = KeySettings {
        vary: vec![HeaderName::from_static("openai-project")],
        ..shared.clone()
    };
    let key = |settings: &KeySettings, header: &'static str, value: &'static str| {
        let body = r#"{"model":"m","messages":[]}"#.to_owned();
        let request = Request::post(URI).header(header, value).body(body);
        keyed_by(settings, request.unwrap()).unwrap().key
    };
    for header in [
        "x-goog-api-key",
        "x-goog-user-project",
        "openai-organization",
        "openai-project",
        "anthropic-workspace-id",
        "anthropic-user-profile-id",
        "authorization",
    ] {
        let (one, two) = (key(&shared, header, "a"), key(&shared, header, "b"));
        assert_eq!(one, two, "{header}");
    }
    for header in ["openai-beta", "anthropic-beta", "x-goog-request-params"] {
        let (one, two) = (key(&shared, header, "a"), key(&shared, header, "b"));
        assert_ne!(one, two, "{header}");
    }
    let by = |value| key(&varied, "openai-project", value);
    assert_ne!(by("a"), by("b"));
}

#[test]
fn a_temperature_counts_only_where_the_dialect_has_it() {
    let at_zero = |uri: &str, member: &str| {
        let zero = r#""temperature":0"#;
        let zero = match member {
            "" => zero.to_owned(),
            member => format!(r#""{member}":{{{zero}}}"#),
        };
        let body = format!(r#"{{"model":"m","messages":[],"contents":[],{zero}}}"#);
        let request = Request::post(uri).header("authorization", "a").body(body);
        let keyed = keyed_by(&settings(), request.unwrap()).unwrap();
        keyed.seen.temperature_zero
    };
    let members = [
        "",
        "options",
        "generationConfig",
        "generation_config",
        "inferenceConfig",
    ];
    let gemini = "https://h/v1beta/models/m:generateContent";
    for (uri, has_it) in [
        (URI, &[""][..]),
        ("https://h/v1/responses", &[""]),
        ("https://h/v1/messages", &[""]),
        (gemini, &["generationConfig", "generation_config"]),
        ("https://h/api/chat", &["options"]),
        ("https://h/model/m/converse", &["inferenceConfig"]),
    ] {
        for member in members {
            assert_eq!(
                at_zero(uri, member),
                has_it.contains(&member),
                "{uri} {member}"
            );
        }
    }
    let schema = r#"{"contents":[],"generationConfig":{"responseSchema":{"temperature":0}}}"#;
    let dialect = llm_exchange::Dialect::Gemini;
    let seen = canonical(schema.as_bytes(), dialect, None, &mut Vec::new()).unwrap();
    assert!(!seen.temperature_zero);
}
