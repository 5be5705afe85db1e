use proptest::prelude::*;

use super::{write::frame, *};

fn read(body: &[u8]) -> (Vec<Result<Message, Uncut>>, bool) {
    let mut stream = EventStream::new(1 << 20);
    stream.push(Bytes::copy_from_slice(body));
    let all = std::iter::from_fn(|| stream.next_message()).collect();
    (all, stream.is_within())
}

#[test]
fn a_stream_of_bedrock_is_read() {
    let body = include_bytes!("../../tests/transcripts/58-bedrock-converse-stream.bin");
    let (messages, within) = read(body);
    let names: Vec<_> = messages
        .iter()
        .map(|message| message.as_ref().unwrap().name())
        .collect();
    assert_eq!(
        names,
        [
            "messageStart",
            "contentBlockDelta",
            "contentBlockStop",
            "messageStop",
            "metadata"
        ]
    );
    assert!(messages.iter().all(|one| one.as_ref().unwrap().is_event()));
    assert_eq!(
        messages[3].as_ref().unwrap().payload(),
        &b"{\"stopReason\":\"end_turn\"}"[..]
    );
    assert!(!within);
}

#[test]
fn one_wrong_bit_anywhere_is_noticed_and_ends_the_stream() {
    let good = frame(&[(":message-type", "event"), (":event-type", "x")], b"{}");
    let body = [good.clone(), good].concat();
    let half = body.len() / 2;
    for at in 0..half {
        let mut wrong = body.clone();
        wrong[at] ^= 4;
        assert_eq!(read(&wrong), (vec![Err(Uncut::Broken)], true), "byte {at}");
    }
    assert_eq!(read(&body).0.len(), 2);
}

#[test]
fn headers_of_every_kind_are_passed_over() {
    let mut headers = Vec::new();
    for (kind, bytes) in [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 2),
        (4, 4),
        (5, 8),
        (8, 8),
        (9, 16),
    ] {
        headers.extend([1, b'n', kind]);
        headers.extend(vec![0; bytes]);
    }
    headers.extend([1, b'b', 6, 0, 2, 1, 2]);
    headers.extend(b"\x0b:event-type\x07\x00\x01e");
    let mut rest = &headers[..];
    let mut names = Vec::new();
    while !rest.is_empty() {
        names.push(header(&mut rest).unwrap());
    }
    assert_eq!(names.len(), 10);
    assert_eq!(names[9], (&b":event-type"[..], Some(&b"e"[..])));
    assert_eq!(header(&mut &[1, b'n', 10][..]), None);
    assert_eq!(header(&mut &[9, b'n'][..]), None);
}

proptest! {
    #[test]
    fn frames_are_those_that_were_written_however_they_are_cut(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..4),
        lost in 0usize..3,
        cuts in prop::collection::vec(0usize..20, 0..20),
    ) {
        let mut body: Vec<u8> = payloads
            .iter()
            .flat_map(|payload| frame(&[(":event-type", "e"), ("other", "")], payload))
            .collect();
        body.truncate(body.len().saturating_sub(lost));
        check(&body, &cuts, 1 << 20);
        check(&body, &cuts, 60);
        let read: Vec<_> = read(&body).0.into_iter().map(|one| one.unwrap().into_payload()).collect();
        let whole = if lost == 0 { payloads.len() } else { payloads.len().saturating_sub(1) };
        prop_assert_eq!(read, &payloads[..whole]);
    }

    #[test]
    fn any_bytes_are_no_stream_and_do_no_harm(
        body in prop::collection::vec(any::<u8>(), 0..60),
        cuts in prop::collection::vec(0usize..20, 0..20),
    ) {
        check(&body, &cuts, 1 << 20);
    }
}
