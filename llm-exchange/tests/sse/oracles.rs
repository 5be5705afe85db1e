//! The decoder against two others, and against itself. Shared with the fuzz target.

use llm_exchange::sse::{Decoder, Event};
use sse_core::{SseDecoder, SseEvent};
use sse_parse::SseParser;

use crate::support::{Run, Seen, seen};

/// The stream in pieces: each cut is a length, taken in turn until the stream is used up.
pub(crate) fn pieces<'i>(mut input: &'i [u8], cuts: &[usize]) -> Vec<&'i [u8]> {
    let mut pieces = Vec::new();
    for &cut in cuts {
        let (piece, after) = input.split_at(cut.min(input.len()));
        pieces.push(piece);
        input = after;
    }
    pieces.push(input);
    pieces
}

/// As `sse-core` sees it. Its reconnection times are left out: it reads them as 32 bits and ignores
/// longer ones, for which the specification gives no reason.
pub(crate) fn by_sse_core(input: &[u8]) -> Vec<Seen> {
    let mut decoder = SseDecoder::new();
    let mut input = input;
    let mut all = Vec::new();
    while let Some(event) = decoder.next(&mut input) {
        if let SseEvent::Message(message) = event.expect("the input is below its limit") {
            all.push(Seen {
                name: message.event.into_owned(),
                data: message.data,
                id: message
                    .last_event_id
                    .as_deref()
                    .unwrap_or_default()
                    .to_owned(),
            });
        }
    }
    all
}

/// As `sse-parse` sees it, with the reconnection times.
pub(crate) fn by_sse_parse(input: &[u8]) -> (Vec<Seen>, Vec<Option<u128>>) {
    let mut parser = SseParser::new();
    parser.feed(input);
    parser.finish();
    std::iter::from_fn(|| parser.next_event())
        .map(|event| {
            let retry = event.retry.map(|retry| retry.as_millis());
            (
                Seen {
                    name: event.event,
                    data: event.data,
                    id: event.id,
                },
                retry,
            )
        })
        .unzip()
}

/// All that must hold for any input and any cuts.
pub(crate) fn check(input: &[u8], cuts: &[usize]) {
    let whole = Run::over(Decoder::new(), [input]);
    let cut = Run::over(Decoder::new(), pieces(input, cuts));

    assert_eq!(whole.raw(), input, "in one piece, no byte is lost or added");
    assert_eq!(cut.raw(), input, "in pieces, no byte is lost or added");

    assert_eq!(whole.seen(), by_sse_core(input), "sse-core agrees");
    let (seen, retries) = by_sse_parse(input);
    assert_eq!(whole.seen(), seen, "sse-parse agrees");
    assert_eq!(whole.retries(), retries, "sse-parse agrees about retry");

    // All but `raw`, in which the LF of a blank line's CRLF may have moved to the next block.
    let fields = |run: &Run| -> Vec<_> {
        let fields = |event: &Event| (seen_or_not(event), event.id().to_owned(), event.retry());
        run.events().map(fields).collect()
    };
    assert_eq!(
        fields(&whole),
        fields(&cut),
        "where it is cut changes no block"
    );
    assert_eq!(whole.rest.is_truncated(), cut.rest.is_truncated());

    // With a limit in the middle of what occurs, the same blocks are too large however it is cut.
    let limit = input.len() / 3;
    let too_large = |pieces: Vec<&[u8]>| -> Vec<_> {
        let run = Run::over(Decoder::new().max_event_bytes(limit), pieces);
        let blocks = run
            .blocks
            .iter()
            .map(|block| block.as_ref().map(seen_or_not).map_err(|e| *e));
        blocks.collect()
    };
    assert_eq!(
        too_large(vec![input]),
        too_large(pieces(input, cuts)),
        "nor what is too large"
    );
}

fn seen_or_not(event: &Event) -> (Option<Seen>, String) {
    (seen(event), event.name().into_owned())
}
