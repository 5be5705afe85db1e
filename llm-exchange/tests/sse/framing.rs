//! Lines, blocks and what is left at the end.

use bytes::Bytes;
use llm_exchange::sse::{Decoder, TooLarge};

use crate::support::{Run, byte_by_byte, data, named, next, seen, whole};

#[test]
fn lines_end_in_lf_cr_crlf_and_any_mix() {
    for stream in [
        "data: a\ndata: b\n\ndata: c\n\n",
        "data: a\rdata: b\r\rdata: c\r\r",
        "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n",
        "data: a\rdata: b\n\r\ndata: c\r\n\r",
        "data: a\r\ndata: b\r\r\ndata: c\n\r",
    ] {
        assert_eq!(data(stream), ["a\nb", "c"], "{stream:?}");
    }
}

#[test]
fn a_cr_at_the_end_of_a_chunk_is_not_held_back() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from("data: a\r\r"));
    assert_eq!(next(&mut decoder).unwrap().raw(), "data: a\r\r");

    decoder.push(Bytes::from("\ndata: b\r\n\r"));
    let second = next(&mut decoder).unwrap();
    assert_eq!(
        second.raw(),
        "\ndata: b\r\n\r",
        "the LF is the front of the next block"
    );
    assert_eq!(second.data().unwrap(), &b"b"[..]);

    decoder.push(Bytes::from("\n"));
    assert!(next(&mut decoder).is_none(), "and no block by itself");
    let rest = decoder.finish();
    assert_eq!(rest.raw(), "\n");
    assert!(!rest.is_truncated());
}

#[test]
fn the_lf_of_a_crlf_stays_with_its_block_if_it_is_there() {
    let run = whole("data: a\r\n\r\ndata: b\r\n\r\n");
    let raw: Vec<_> = run.events().map(|event| event.raw().clone()).collect();
    assert_eq!(raw, ["data: a\r\n\r\n", "data: b\r\n\r\n"]);
    assert!(run.rest.raw().is_empty());
}

#[test]
fn a_cut_inside_a_character_changes_nothing() {
    assert_eq!(data("data: 日本語 💛\n\n"), ["日本語 💛"]);
}

#[test]
fn the_separators_that_json_may_hold_end_no_line() {
    let stream = "data: {\"t\":\"a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\"}\n\n";
    assert_eq!(
        data(stream),
        ["{\"t\":\"a\u{2028}b\u{2029}c\u{85}d\u{b}e\u{c}f\"}"]
    );
}

#[test]
fn a_leading_byte_order_mark_is_stripped_once() {
    assert_eq!(data("\u{feff}data: a\n\n"), ["a"]);
    assert_eq!(
        data("\u{feff}\ndata: a\n\n"),
        ["a"],
        "an empty line may follow it"
    );
    assert!(
        data("\u{feff}\u{feff}data: a\n\n").is_empty(),
        "a second one is part of a name"
    );
    assert_eq!(
        data("data: a\n\n\u{feff}data: b\n\ndata: \u{feff}c\n\n"),
        ["a", "\u{feff}c"]
    );
}

#[test]
fn half_a_byte_order_mark_is_part_of_a_name() {
    for start in [&b"\xef"[..], b"\xef\xbb"] {
        let stream = [start, b"data: a\n\ndata: b\n\n"].concat();
        for run in [
            Run::over(Decoder::new(), [&stream[..]]),
            Run::over(Decoder::new(), stream.chunks(1)),
        ] {
            assert_eq!(run.seen(), [named("message", "b", "")]);
        }
    }
}

#[test]
fn a_block_without_data_is_relayed_but_is_no_event() {
    let run = whole(": OPENROUTER PROCESSING\n\n\nevent: only-name\n\ndata: a\n\n");
    let raw: Vec<_> = run.events().map(|event| event.raw().clone()).collect();
    assert_eq!(
        raw,
        [
            ": OPENROUTER PROCESSING\n\n",
            "\n",
            "event: only-name\n\n",
            "data: a\n\n"
        ]
    );
    assert_eq!(
        run.seen(),
        [named("message", "a", "")],
        "nor does its name stick"
    );
}

#[test]
fn what_comes_after_done_is_decoded() {
    assert_eq!(
        data("data: [DONE]\n\ndata: {\"late\":1}\n\n"),
        ["[DONE]", "{\"late\":1}"]
    );
}

#[test]
fn an_unterminated_last_event_is_the_rest() {
    for (stream, rest, truncated) in [
        ("data: a\n\n", "", false),
        ("data: a\n\ndata: [DONE]\n", "data: [DONE]\n", true),
        ("data: a\n\ndata: {\"b", "data: {\"b", true),
        ("data: a\n\nd", "d", true),
        ("data: a\n\n: ping\n", ": ping\n", false),
        ("data: a\n\n: pi", ": pi", false),
        ("data: a\n\n: ping\nevent: x\r", ": ping\nevent: x\r", true),
        ("\u{feff}", "\u{feff}", false),
        ("\u{feff}: hello", "\u{feff}: hello", false),
        ("", "", false),
    ] {
        for run in [whole(stream), byte_by_byte(stream)] {
            assert_eq!(run.rest.raw(), rest);
            assert_eq!(run.rest.is_truncated(), truncated, "{stream:?}");
            assert!(run.seen().len() <= 1);
        }
    }
}

#[test]
fn a_caller_can_flush_an_unterminated_event() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from("data: [DONE]"));
    assert!(next(&mut decoder).is_none());
    decoder.push(Bytes::from("\n\n"));
    assert_eq!(next(&mut decoder).unwrap().data().unwrap(), &b"[DONE]"[..]);
    assert!(!decoder.finish().is_truncated());
}

#[test]
fn finish_leaves_a_new_decoder_with_the_same_limit() {
    let mut decoder = Decoder::new().max_event_bytes(12);
    decoder.push(Bytes::from("id: 1\ndata\n\ndata: cut"));
    assert_eq!(next(&mut decoder).unwrap().id(), "1");
    assert!(next(&mut decoder).is_none());
    decoder.finish();

    decoder.push(Bytes::from("\u{feff}data: b\n\ndata: longer\n\n"));
    let event = next(&mut decoder).unwrap();
    assert_eq!(seen(&event), Some(named("message", "b", "")));
    assert_eq!(
        decoder.next_event().unwrap().unwrap_err(),
        TooLarge::new(12)
    );
}

#[test]
fn events_that_nobody_took_are_part_of_the_rest() {
    let mut decoder = Decoder::new();
    for chunk in ["da", "ta: a\n\ndata: b\n", "\ndata: c\n\n", "data: d"] {
        decoder.push(Bytes::from(chunk));
    }
    assert_eq!(next(&mut decoder).unwrap().raw(), "data: a\n\n");
    let rest = decoder.finish();
    assert_eq!(rest.raw(), "data: b\n\ndata: c\n\ndata: d");
    assert!(rest.is_truncated());
}
