//! The table: every dialect has all of its rows, and they fit each other.

use std::collections::HashSet;

use http::{Method, Uri};

use super::*;
use crate::{ProviderError, Tokens, meter::Open, route::Route, sse::Decoder};

/// A path of each dialect, as clients ask for it. The compiler asks for a new dialect's.
const fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "/v1/chat/completions",
        Dialect::OpenAiResponses => "/v1/responses",
        Dialect::OpenAiCompletions => "/v1/completions",
        Dialect::OpenAiEmbeddings => "/v1/embeddings",
        Dialect::AnthropicMessages => "/v1/messages",
        Dialect::Gemini => "/v1beta/models/flash:generateContent",
        Dialect::Ollama => "/api/chat",
        Dialect::BedrockConverse => "/model/nova/converse",
        Dialect::GeminiGrpc => {
            "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent"
        }
        Dialect::VertexGrpc => "/google.cloud.aiplatform.v1.PredictionService/GenerateContent",
        Dialect::KServeGrpc => "/inference.GRPCInferenceService/ModelInfer",
        Dialect::KServeStreamGrpc => "/inference.GRPCInferenceService/ModelStreamInfer",
    }
}

fn each(check: impl Fn(Dialect, &'static Wire)) {
    for &dialect in Dialect::ALL {
        check(dialect, dialect.wire());
    }
}

#[test]
fn the_table_has_every_dialect_once_in_their_order_and_each_its_own_name() {
    let mut names = HashSet::new();
    for (place, dialect) in Dialect::ALL.iter().enumerate() {
        assert_eq!(place, *dialect as usize);
        assert!(names.insert(dialect.as_str()), "{dialect:?}");
    }
}

#[test]
fn a_path_is_claimed_by_one_dialect_and_is_its_own_again_at_every_host() {
    each(|dialect, wire| {
        let claimed = Dialect::ALL.iter().filter(|other| {
            let route = Route::of(path(**other)).unwrap();
            route.dialect == dialect
        });
        assert_eq!(claimed.count(), 1, "{dialect:?}");
        for before in ["", "/proxy", "/a/b"] {
            let asked: Uri = format!("{before}{}", path(dialect)).parse().unwrap();
            assert_eq!(Dialect::of(&Method::POST, &asked), Some(dialect));
            assert_eq!(Dialect::of(&Method::GET, &asked), None);
            let at_host = (wire.path_at_host)(asked.path()).parse().unwrap();
            assert_eq!(Dialect::of(&Method::POST, &at_host), Some(dialect));
        }
    });
}

#[test]
fn an_error_of_ours_is_read_back_and_an_answer_that_begins_like_it_is_suspected() {
    each(|dialect, wire| {
        let body = (wire.error)(&Problem {
            status: 429,
            code: "too_much",
            message: "not now",
            event_number: 0,
        });
        let error = ProviderError::from_body(&body).expect("an error");
        assert_eq!(error.message(), Some("not now"), "{dialect:?}");
        if wire.framing != Framing::Grpc {
            assert_eq!((wire.looks_like_error)(&body), Some(true), "{dialect:?}");
        }
    });
}

#[test]
fn an_empty_request_or_garbage_is_read_or_refused_and_has_no_model_that_it_does_not_name() {
    each(|dialect, wire| {
        let empty: &[u8] = match wire.framing {
            Framing::Grpc => b"",
            _ => b"{}",
        };
        let facts = (wire.facts)(empty).expect("a request that asks for nothing");
        assert_eq!(facts.model, None, "{dialect:?}");
        if wire.framing != Framing::Grpc {
            assert!((wire.facts)(b"\xff{").is_err(), "{dialect:?}");
        }
    });
}

#[test]
fn a_stream_that_said_nothing_is_not_complete_and_garbage_says_nothing() {
    each(|dialect, wire| {
        let mut reading = Default::default();
        let mut deltas = Default::default();
        for garbage in [&b"\xff"[..], b"{", b"[]", b"null", b""] {
            let _ = (wire.read_event)(garbage, &mut reading);
            (wire.deltas)(garbage, &mut deltas);
            (wire.usage.1)(garbage, &mut reading);
        }
        assert!(!(wire.is_complete)(&reading), "{dialect:?}");
        assert_eq!(reading.usage(), None, "{dialect:?}");
    });
}

#[test]
fn the_rows_of_one_dialect_fit_each_other() {
    each(|dialect, wire| {
        let is_grpc = wire.framing == Framing::Grpc;
        let of_fields = matches!(wire.model, Place::Field(_) | Place::Nowhere);
        assert!(!is_grpc || of_fields, "{dialect:?}");
        for place in wire.output_cap {
            assert_eq!(matches!(place, Place::Field(_)), is_grpc, "{dialect:?}");
        }
        // an answer that can be capped can say that it was
        let open = Open {
            choices: vec![0],
            ..Open::default()
        };
        let ended = (wire.ended_by_limit)(&open, Tokens::default(), false);
        assert_eq!(ended.is_empty(), wire.output_cap.is_empty(), "{dialect:?}");
        assert!(!wire.usage_on_request || !is_grpc);
    });
}

#[test]
fn what_keeps_a_stream_alive_is_no_event_and_part_of_none() {
    for dialect in Dialect::ALL {
        let silence = dialect.keep_alive();
        let mut decoder = Decoder::new();
        let text = format!("{silence}data: 1\n\n{silence}{silence}data: 2\r\n\r\n{silence}");
        decoder.push(text.into());
        let mut said = Vec::new();
        while let Some(event) = decoder.next_event() {
            said.extend(event.unwrap().data().map(|data| data.to_vec()));
        }
        assert_eq!(said, [b"1", b"2"], "{dialect:?}");
    }
    assert!(!Dialect::Gemini.keep_alive().contains(':'));
}
