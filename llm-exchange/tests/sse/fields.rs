//! The fields of a block.

use std::time::Duration;

use bytes::Bytes;
use llm_exchange::sse::{Decoder, Event};

use crate::support::{Run, byte_by_byte, data, named, next, whole};

#[test]
fn only_one_space_is_removed() {
    assert_eq!(
        data("data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta \n\n"),
        ["a", "a", " a", "\ta "]
    );
}

#[test]
fn data_lines_join_with_lf() {
    assert_eq!(
        data("data: a\nid: 1\ndata\n: b\ndata:\ndata: c\n\n"),
        ["a\n\n\nc"]
    );
}

#[test]
fn a_field_without_a_colon_is_empty() {
    assert_eq!(data("data\n\n"), [""]);
    assert_eq!(data("data\ndata\n\n"), ["\n"]);
    assert_eq!(
        whole("event: x\nevent\ndata\n\n").seen(),
        [named("message", "", "")]
    );
}

#[test]
fn unknown_fields_and_near_misses_are_ignored() {
    let stream = "foo: 1\n data: 2\nDATA: 3\ndatax: 4\ndat: 5\ndata : 6\ndata: 7\nda\n\n";
    assert_eq!(data(stream), ["7"]);
}

#[test]
fn the_last_name_counts_and_an_empty_one_is_message() {
    let stream = "event: a\nevent: b\ndata\n\ndata\n\nevent: a\nevent:\ndata\n\nerror: x\ndata\n\n";
    let names: Vec<_> = whole(stream)
        .seen()
        .into_iter()
        .map(|seen| seen.name)
        .collect();
    assert_eq!(names, ["b", "message", "message", "message"]);
}

#[test]
fn the_last_event_id_is_kept_across_events() {
    let stream = "data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid: 2\n\ndata: d\n\nid: x\0y\ndata: e\n\n\
                  id: 3\nid: \0\ndata: f\n\nid\ndata: g\n\nid: 4\nid: 5\ndata: h\n\nid: 6\n";
    let run = whole(stream);
    let ids: Vec<_> = run
        .seen()
        .into_iter()
        .map(|seen| (seen.data, seen.id))
        .collect();
    let expected = [
        ("a", ""),
        ("b", "1"),
        ("c", "1"),
        ("d", "2"),
        ("e", "2"),
        ("f", "3"),
        ("g", ""),
        ("h", "5"),
    ];
    assert_eq!(
        ids,
        expected.map(|(data, id)| (data.to_owned(), id.to_owned()))
    );
    assert_eq!(run.seen(), byte_by_byte(stream).seen());
}

#[test]
fn retry_is_digits_only() {
    let retry = |value: &str| {
        let run = whole(&format!("retry:{value}\n\n"));
        run.events()
            .next()
            .unwrap()
            .retry()
            .map(|retry| retry.as_millis())
    };
    assert_eq!(retry("1500"), Some(1500));
    assert_eq!(retry(" 007"), Some(7));
    assert_eq!(retry("18446744073709551615"), Some(u128::from(u64::MAX)));
    for none in [
        "",
        "+5",
        "-5",
        "5s",
        " 5 ",
        "  5",
        "1.5",
        "18446744073709551616",
        "٣",
    ] {
        assert_eq!(retry(none), None, "{none:?}");
    }
    let run = whole("retry: 1\nretry: 2\nretry: x\ndata\n\ndata\n\n");
    let all: Vec<_> = run.events().map(Event::retry).collect();
    assert_eq!(
        all,
        [Some(Duration::from_millis(2)), None],
        "of this block alone"
    );
}

#[test]
fn bytes_that_are_not_utf8_pass_through() {
    let stream = b"event: \xffping\nid: \x80\ndata: a\xe2\x80\xffb\n\n\xfe\xff\n\n";
    for size in [1, 3, stream.len()] {
        let run = Run::over(Decoder::new(), stream.chunks(size));
        assert_eq!(run.raw(), stream);
        let first = run.events().next().unwrap();
        assert_eq!(first.data().unwrap(), &b"a\xe2\x80\xffb"[..]);
        assert_eq!(first.name(), "\u{fffd}ping");
        assert_eq!(first.id(), "\u{fffd}");
        assert_eq!(run.events().count(), 2);
    }
}

#[test]
fn debug_shows_no_data() {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::from(
        "id: canary\nevent: ping\ndata: canary\n\ndata: canary",
    ));
    let event = next(&mut decoder).unwrap();
    assert!(next(&mut decoder).is_none());
    let shown = format!("{event:?} {decoder:?} {:?}", decoder.finish());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("ping"), "{shown}");
}
