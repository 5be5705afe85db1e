//! Copies, limits and time.

use std::borrow::Cow;

use bytes::Bytes;
use llm_exchange::sse::{Decoder, Event, Rest, TooLarge};

use crate::support::{Run, byte_by_byte, next, whole};

#[test]
fn chunks_may_be_pushed_ahead() {
    let mut decoder = Decoder::new();
    for chunk in ["data: a\n\nda", "", "ta: b\n", "\ndata: c\n\n", ""] {
        decoder.push(Bytes::from(chunk));
    }
    let all: Vec<_> = std::iter::from_fn(|| next(&mut decoder)).collect();
    let raw: Vec<_> = all.iter().map(|event| event.raw().clone()).collect();
    assert_eq!(raw, ["data: a\n\n", "data: b\n\n", "data: c\n\n"]);
}

#[test]
fn an_event_within_one_chunk_is_not_copied() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from("data: a\n\ndata: th"));
    decoder.next_event();
    assert!(next(&mut decoder).is_none());

    let chunk = Bytes::from("is spans\n\nevent: x\nid: 7\ndata: b\n\n: c\n\ndata: d\n\ndata: e");
    decoder.push(chunk.clone());
    assert_eq!(next(&mut decoder).unwrap().raw(), "data: this spans\n\n");
    let within = chunk.as_ptr_range();
    for expected in ["event: x\nid: 7\ndata: b\n\n", ": c\n\n", "data: d\n\n"] {
        let event = next(&mut decoder).unwrap();
        assert_eq!(event.raw(), expected);
        let raw = event.raw().as_ptr_range();
        assert!(
            within.start <= raw.start && raw.end <= within.end,
            "a slice of the chunk"
        );
        if let Some(data) = event.data() {
            assert!(matches!(data, Cow::Borrowed(_)));
        }
    }
}

#[test]
fn an_event_that_fills_its_chunk_is_that_chunk() {
    let mut decoder = Decoder::new();
    let chunk = Bytes::from("data: {}\r\n\r\n");
    decoder.push(chunk.clone());
    assert_eq!(
        next(&mut decoder).unwrap().raw().as_ptr_range(),
        chunk.as_ptr_range()
    );
}

#[test]
fn a_block_over_the_limit_is_an_error_once_and_decoding_goes_on() {
    let long = format!("data: {}\n\n", "x".repeat(100));
    let stream = format!("data: a\n\n{long}data: b\n\n{long}{long}data: c\n\n");
    for size in [1, 2, 7, 64, 1000] {
        let decoder = Decoder::new().max_event_bytes(50);
        let run = Run::over(decoder, stream.as_bytes().chunks(size));
        let all: Vec<_> = run
            .blocks
            .iter()
            .map(|block| {
                block
                    .as_ref()
                    .map(|event| event.raw().clone())
                    .map_err(TooLarge::limit)
            })
            .collect();
        let event = |text: &'static str| Ok(Bytes::from(text));
        let expected = [
            event("data: a\n\n"),
            Err(50),
            event("data: b\n\n"),
            Err(50),
            Err(50),
            event("data: c\n\n"),
        ];
        assert_eq!(all, expected, "in chunks of {size}");
        assert!(!run.rest.is_truncated());
    }
}

#[test]
fn the_limit_counts_every_byte_of_a_block_but_no_half_of_a_crlf() {
    let fits = |stream: &str, limit: usize| {
        let runs = [stream.len(), 1].map(|size| {
            let decoder = Decoder::new().max_event_bytes(limit);
            let run = Run::over(decoder, stream.as_bytes().chunks(size));
            run.blocks.iter().all(Result::is_ok)
        });
        assert_eq!(runs[0], runs[1], "however it is cut");
        runs[0]
    };
    for (stream, len) in [
        ("data: abc\n\n", 11),
        (": abcdefg\n\n", 11),
        ("data: ab\r\n\r\n", 11),
        ("data: ab\r\n\r\ndata: ab\r\n\r\n", 11),
        ("\u{feff}data: abc\n\n", 11),
        ("a\nb\nc\n\n", 7),
    ] {
        assert!(fits(stream, len), "{stream:?}");
        assert!(!fits(stream, len - 1), "{stream:?}");
    }
}

#[test]
fn a_block_over_the_limit_is_not_buffered() {
    let mut decoder = Decoder::new().max_event_bytes(1000);
    decoder.push(Bytes::from("data: "));
    assert!(decoder.next_event().is_none());
    let mut errors = 0;
    for _ in 0..1000 {
        decoder.push(Bytes::from_static(&[b'x'; 100]));
        errors += usize::from(decoder.next_event().is_some());
        assert!(decoder.next_event().is_none());
    }
    assert_eq!(errors, 1);
    let debug = format!("{decoder:?}");
    assert!(
        debug.contains("begun_len: 0") && debug.contains("discarding: true"),
        "{debug}"
    );
    let rest = decoder.finish();
    assert!(rest.raw().is_empty());
    assert!(rest.is_truncated(), "its end never came");
}

#[test]
fn the_default_limit_is_4_mib() {
    let block = |len: usize| format!("data:{}\n\n", "x".repeat(len - 7)).into_bytes();
    for (len, fits) in [(4 << 20, true), ((4 << 20) + 1, false)] {
        let block = block(len);
        for size in [len, 16 << 10] {
            let run = Run::over(Decoder::new(), block.chunks(size));
            assert_eq!(run.blocks.len(), 1);
            assert_eq!(run.blocks[0].is_ok(), fits);
            if fits {
                assert!(run.raw() == block, "byte for byte");
            }
        }
    }
}

#[test]
fn time_is_linear_in_the_input() {
    // Quadratic work over this would be 10^12 steps and outlast any patience.
    let one_line = format!("data: {}\n\n", "x".repeat(2 << 20));
    assert_eq!(byte_by_byte(&one_line).seen().len(), 1);
    let many_lines = format!("{}\n", "data: x\n".repeat(200_000));
    assert_eq!(byte_by_byte(&many_lines).seen().len(), 1);
    let many_events = "data: x\n\n".repeat(500_000);
    assert_eq!(whole(&many_events).events().count(), 500_000);
}

#[test]
fn the_types_are_send_sync_and_unpin() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<Decoder>();
    check::<Event>();
    check::<Rest>();
    check::<TooLarge>();
}
