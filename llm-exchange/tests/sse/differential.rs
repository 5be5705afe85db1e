//! Random streams, cut at random, against two other decoders.

use proptest::{collection::vec, prelude::*, sample::select};

use crate::oracles;

/// Pieces of streams, so that random sequences of them meet the grammar's corners.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let field = select(vec![
        "data", "event", "id", "retry", "dat", "datas", "Data", "eventid", "", " data", "i", "foo",
    ]);
    let colon = select(vec![":", ": ", ":  ", "", " ", "::", ":\t"]);
    let value = prop_oneof![
        select(vec![
            "",
            "x",
            "[DONE]",
            "{\"a\":\"b\"}",
            "1500",
            "007",
            "+5",
            "-1",
            "12x",
            "4294967296",
            "18446744073709551616",
            "ping",
            "\0",
            "a\0b",
            "\u{2028}",
            "\u{2029}",
            "\u{85}",
            "\u{feff}",
            "日本",
            "data: y",
            ": z",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        // Not UTF-8: stray continuations, a character cut short, a surrogate, overlong, impossible.
        select(vec![
            &b"\xff"[..],
            b"\x80",
            b"\xe2\x80",
            b"\xef\xbb",
            b"\xf0\x9f\x92",
            b"\xed\xa0\x80",
            b"\xc0\xaf",
        ])
        .prop_map(<[u8]>::to_vec),
        vec(any::<u8>(), 0..6),
    ];
    let line_end = || select(vec!["\n", "\r", "\r\n"]);
    let line = (field, colon, value, line_end()).prop_map(|(field, colon, value, end)| {
        [field.as_bytes(), colon.as_bytes(), &value, end.as_bytes()].concat()
    });
    prop_oneof![
        6 => line,
        5 => line_end().prop_map(|end| end.as_bytes().to_vec()),
        2 => Just(b": comment\n".to_vec()),
        1 => Just("\u{feff}".as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let bom = select(vec![
        &b""[..],
        b"\xef\xbb\xbf",
        b"\xef\xbb",
        b"\xef",
        b"\xef\xbb\xbf\xef\xbb\xbf",
    ]);
    (bom, vec(piece(), 0..24)).prop_map(|(bom, pieces)| [bom.to_vec(), pieces.concat()].concat())
}

/// Zero is an empty chunk.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        Just(vec![1; 400]),
        vec(0..6_usize, 0..100),
        vec(0..80_usize, 0..12)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn two_other_decoders_agree_however_the_stream_is_cut(stream in stream(), cuts in cuts()) {
        oracles::check(&stream, &cuts);
    }

    #[test]
    fn noise_is_no_exception(
        stream in vec(select(b"d:ai \n\r\0\xef\xbb\xbf\xff".to_vec()), 0..200),
        cuts in cuts(),
    ) {
        oracles::check(&stream, &cuts);
    }
}
