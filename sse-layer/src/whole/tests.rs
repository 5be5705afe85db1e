use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// Everything that goes on, and whether each frame ended with a whole event.
fn run(whole: &mut Whole, chunks: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in chunks {
        let passed = whole.push(Bytes::copy_from_slice(chunk));
        for part in passed.held.iter().chain(&passed.data) {
            out.extend_from_slice(part);
        }
    }
    out
}

#[test]
fn a_frame_of_whole_events_goes_on_as_it_is() {
    let mut whole = Whole::new(Framing::Sse);
    let frame = Bytes::from_static(b"data: a\n\ndata: b\n\n");
    let passed = whole.push(frame.clone());
    assert_eq!(passed.held, None);
    assert_eq!(passed.data.unwrap().as_ptr(), frame.as_ptr());
    assert!(!whole.is_holding());
}

#[test]
fn what_has_begun_waits_for_its_end_and_is_not_copied() {
    let mut whole = Whole::new(Framing::Sse);
    let first = Bytes::from_static(b"data: a\n\ndata: b");
    let second = Bytes::from_static(b"c\n\ndata: d");
    let passed = whole.push(first.clone());
    assert_eq!(passed.data.unwrap(), "data: a\n\n");
    let passed = whole.push(second.clone());
    assert_eq!(passed.held.unwrap().as_ptr(), first[9..].as_ptr());
    assert_eq!(passed.data.unwrap().as_ptr(), second.as_ptr());
    assert_eq!(whole.release().unwrap(), "data: d");
}

#[test]
fn every_line_end_and_every_cut_of_one_is_understood() {
    for (chunks, passed) in [
        (vec!["data: a\r\n\r", "\ndata: b"], "data: a\r\n\r\n"),
        (vec!["data: a\r", "\n", "\r", "\n"], "data: a\r\n\r\n"),
        (vec!["data: a\r", "\ndata: b\r\n"], ""),
        (vec!["data: a\n\r", "x"], "data: a\n\r"),
        (vec!["data: a\r\r", "\n"], "data: a\r\r\n"),
        (vec!["data: a\r\n\n", "x"], "data: a\r\n\n"),
        (vec!["\n", ": c\n\n"], "\n: c\n\n"),
        (vec!["", "data: a\n", "", "\n"], "data: a\n\n"),
    ] {
        let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
        let out = run(&mut Whole::new(Framing::Sse), &chunks);
        assert_eq!(String::from_utf8(out).unwrap(), passed, "{chunks:?}");
    }
}

#[test]
fn an_event_that_is_too_long_to_hold_goes_on_in_pieces_until_its_end() {
    let mut whole = Whole {
        most_held: 10,
        ..Whole::new(Framing::Sse)
    };
    assert_eq!(run(&mut whole, &[b"data: 1234"]), b"");
    assert_eq!(run(&mut whole, &[b"5"]), b"data: 12345");
    assert!(whole.is_within());
    assert_eq!(run(&mut whole, &[b"6"]), b"6");
    assert!(whole.is_within());
    assert_eq!(run(&mut whole, &[b"7\n\ndata"]), b"7\n\n");
    assert!(!whole.is_within() && whole.is_holding());
}

#[test]
fn a_line_may_be_an_event_too() {
    let mut whole = Whole::new(Framing::Lines);
    let chunks: [&[u8]; 3] = [b"{\"a\":1}\n{\"b\"", b":2", b"}\r\n"];
    assert_eq!(run(&mut whole, &chunks[..2]), b"{\"a\":1}\n");
    assert_eq!(run(&mut whole, &chunks[2..]), b"{\"b\":2}\r\n");
    assert!(!whole.is_holding());
}

#[test]
fn an_element_goes_on_with_the_comma_before_it_and_waits_for_its_end() {
    let mut whole = Whole::new(Framing::Array);
    assert_eq!(run(&mut whole, &[b"[", b"\n{\"a\""]), b"");
    assert!(!whole.has_begun() && whole.can_end());
    assert_eq!(run(&mut whole, &[b":1}\n,\n", b"{"]), b"[\n{\"a\":1}");
    assert!(whole.has_begun() && whole.can_end());
    assert_eq!(run(&mut whole, &[b"}\n]", b"\n"]), b"\n,\n{}\n]\n");
    assert!(!whole.is_holding());
}

#[test]
fn what_is_too_long_to_hold_or_not_of_the_framing_cannot_be_ended() {
    let mut whole = Whole {
        most_held: 10,
        ..Whole::new(Framing::Grpc)
    };
    assert_eq!(
        run(&mut whole, &[b"\0\0\0\0\x01a\0\0\0\0\x09"]),
        b"\0\0\0\0\x01a"
    );
    assert!(whole.can_end());
    run(&mut whole, &[b"123456"]);
    assert!(whole.is_within() && !whole.can_end());
    assert_eq!(run(&mut whole, &[b"789", b"\0"]), b"789");
    assert!(whole.can_end());

    let mut whole = Whole::new(Framing::Array);
    assert_eq!(run(&mut whole, &[b"<html>"]), b"<html>");
    assert!(!whole.can_end() && !whole.is_holding());
}

/// By the definition: up to the last line end that follows a line end, CRLF being one.
fn naive(stream: &[u8]) -> usize {
    let (mut whole, mut blank, mut i) = (0, true, 0);
    while i < stream.len() {
        let crlf = stream[i..].starts_with(b"\r\n");
        if crlf || matches!(stream[i], b'\r' | b'\n') {
            i += if crlf { 2 } else { 1 };
            if blank {
                whole = i;
            }
            blank = true;
        } else {
            blank = false;
            i += 1;
        }
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_passed_on_is_always_all_whole_events_and_nothing_else(
        chunks in vec(vec(select(b"\n\r\n\r:dx".to_vec()), 0..5), 0..12),
    ) {
        let mut whole = Whole::new(Framing::Sse);
        let (mut stream, mut out) = (Vec::new(), Vec::new());
        for chunk in &chunks {
            stream.extend_from_slice(chunk);
            out.extend(run(&mut whole, &[chunk]));
            prop_assert_eq!(&*out, &stream[..naive(&stream)]);
            prop_assert!(!whole.is_within());
        }
        out.extend(whole.release().unwrap_or_default());
        prop_assert_eq!(out, stream);
    }
}
