//! What the encoder writes is what decoders read.

use std::time::Duration;

use llm_exchange::sse::{Decoder, Encoder, Event};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::oracles::{by_sse_core, by_sse_parse};
use crate::support::{Run, Seen, seen, whole};

fn raw(encoder: Encoder) -> String {
    String::from_utf8(encoder.event().raw().to_vec()).expect("UTF-8")
}

#[test]
fn lines_stand_in_the_order_of_the_calls() {
    let encoder = Encoder::new()
        .comment("first")
        .id("7")
        .retry(Duration::from_millis(1500))
        .name("delta")
        .data("{}");
    assert_eq!(
        raw(encoder),
        ": first\nid: 7\nretry: 1500\nevent: delta\ndata: {}\n\n"
    );
}

#[test]
fn every_line_of_the_data_is_a_line_of_its_own() {
    assert_eq!(
        raw(Encoder::new().data("a\nb\r\nc\rd")),
        "data: a\ndata: b\ndata: c\ndata: d\n\n"
    );
    assert_eq!(raw(Encoder::new().data("a\n")), "data: a\ndata:\n\n");
    assert_eq!(raw(Encoder::new().data("")), "data:\n\n");
    assert_eq!(
        raw(Encoder::new().data("a").data("b")),
        "data: a\ndata: b\n\n"
    );
}

#[test]
fn no_field_can_be_smuggled_in_by_a_line_end() {
    let event = Encoder::new()
        .name("a\ndata: x")
        .id("b\r\nevent: y\0")
        .comment("c\n\ndata: z")
        .event();
    assert_eq!(
        event.raw(),
        "event: adata: x\nid: bevent: y\n: c\n:\n: data: z\n\n"
    );
    assert_eq!(event.data(), None);
    assert_eq!((&*event.name(), event.id()), ("adata: x", "bevent: y"));
}

#[test]
fn an_event_made_here_is_like_one_that_was_decoded() {
    let made = Encoder::new().name("n").id("7").data("a\nb").event();
    assert_eq!((&*made.name(), made.id()), ("n", "7"));
    assert_eq!(made.data().unwrap().as_ref(), b"a\nb");
    let decoded = Run::over(Decoder::new(), [made.raw().as_ref()]);
    assert_eq!(decoded.seen(), [seen(&made).unwrap()]);
    assert_eq!(Event::named("n", "d").raw(), "event: n\ndata: d\n\n");
    assert_eq!(Event::new("d").raw(), "data: d\n\n");
    assert_eq!(Encoder::new().event().raw(), "\n");
    assert_eq!(whole("\n").blocks.len(), 1);
}

#[test]
fn debug_shows_nothing_of_what_is_written() {
    let encoder = Encoder::new().data("canary");
    let shown = format!("{encoder:?}");
    assert!(!(shown + &format!("{:?}", encoder.event())).contains("canary"));
}

#[derive(Clone, Debug)]
enum Line {
    Name(String),
    Id(String),
    Retry(u64),
    Data(String),
    Comment(String),
}

fn text() -> impl Strategy<Value = String> {
    let part = select(vec![
        "",
        "a",
        " ",
        ":",
        "data: x",
        "\n",
        "\r",
        "\r\n",
        "\0",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        "日本",
        "{\"a\":\"b\"}",
        "[DONE]",
    ]);
    prop_oneof![
        vec(part, 0..6).prop_map(|parts| parts.concat()),
        any::<String>()
    ]
}

fn line() -> impl Strategy<Value = Line> {
    prop_oneof![
        text().prop_map(Line::Name),
        text().prop_map(Line::Id),
        any::<u32>().prop_map(|millis| Line::Retry(millis.into())),
        text().prop_map(Line::Data),
        text().prop_map(Line::Comment),
    ]
}

/// What a reader should see of these lines: without what a field cannot hold.
fn expected(lines: &[Line], last_id: &mut String) -> Option<Seen> {
    let mut name = String::new();
    let mut data: Option<String> = None;
    for line in lines {
        match line {
            Line::Name(text) => name = text.replace(['\n', '\r'], ""),
            Line::Id(text) => *last_id = text.replace(['\n', '\r', '\0'], ""),
            Line::Data(text) => {
                let text = text.replace("\r\n", "\n").replace('\r', "\n");
                data = Some(data.map_or(text.clone(), |data| data + "\n" + &text));
            }
            Line::Retry(_) | Line::Comment(_) => {}
        }
    }
    Some(Seen {
        name: if name.is_empty() {
            "message".into()
        } else {
            name
        },
        data: data?,
        id: last_id.clone(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_by_every_decoder(events in vec(vec(line(), 0..6), 0..6)) {
        let mut last_id = String::new();
        let mut stream = Vec::new();
        let mut all = Vec::new();
        for lines in &events {
            let encoder = lines.iter().fold(Encoder::new(), |encoder, line| match line {
                Line::Name(text) => encoder.name(text),
                Line::Id(text) => encoder.id(text),
                Line::Retry(millis) => encoder.retry(Duration::from_millis(*millis)),
                Line::Data(text) => encoder.data(text),
                Line::Comment(text) => encoder.comment(text),
            });
            stream.extend_from_slice(encoder.event().raw());
            all.extend(expected(lines, &mut last_id));
        }
        let ours = Run::over(Decoder::new(), [&*stream]);
        prop_assert_eq!(ours.events().count(), events.len(), "one block each");
        prop_assert_eq!(ours.seen(), all.clone());
        prop_assert!(!ours.rest.is_truncated());
        prop_assert_eq!(by_sse_core(&stream), all.clone());
        let (seen, retries) = by_sse_parse(&stream);
        prop_assert_eq!(seen, all);
        prop_assert_eq!(retries, ours.retries());
    }
}
