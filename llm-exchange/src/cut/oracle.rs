//! What must be true of every cutter: where the network cuts changes nothing, and all is bounded.

use bytes::Bytes;

use super::{Cutter, FindEnd, Uncut};

/// Pushes a body in pieces of these lengths, the rest as one, and takes all that comes of it.
pub(crate) fn feed<F: FindEnd>(
    cutter: &mut Cutter<F>,
    body: &[u8],
    cuts: &[usize],
) -> Vec<Result<Bytes, Uncut>> {
    let mut pieces = Vec::new();
    let mut left = body;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (chunk, rest) = left.split_at(cut.min(left.len()));
        left = rest;
        cutter.push(Bytes::copy_from_slice(chunk));
        while let Some(piece) = cutter.next_piece() {
            if let Ok(piece) = &piece {
                assert!(piece.len() <= cutter.max, "a piece over the limit");
            }
            pieces.push(piece);
        }
        assert!(
            cutter.begun.len() <= cutter.max,
            "more is kept than the limit"
        );
        assert!(cutter.chunk.is_empty() && cutter.waiting.is_empty());
    }
    pieces
}

/// The pieces are the same in one piece, byte by byte and as cut; so is what is left over.
pub(crate) fn cuts_do_not_matter<F: FindEnd>(
    new: impl Fn() -> Cutter<F>,
    body: &[u8],
    cuts: &[usize],
) -> Vec<Result<Bytes, Uncut>> {
    let run = |cuts: &[usize]| {
        let mut cutter = new();
        let pieces = feed(&mut cutter, body, cuts);
        let within = cutter.is_within();
        (pieces, within, cutter.rest())
    };
    let whole = run(&[]);
    assert_eq!(whole, run(&vec![1; body.len()]), "byte by byte");
    assert_eq!(whole, run(cuts), "cut at {cuts:?}");
    whole.0
}

/// Any JSON.
#[cfg(test)]
pub(crate) fn json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
    use proptest::prelude::*;
    use serde_json::Value;

    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~\u{e9}\u{2028}\"\\\\\\[\\]{}\n]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\\\]]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cut::{Elements, Frames, Lines};

    #[test]
    fn a_piece_in_one_chunk_is_a_slice_of_it() {
        let chunk = Bytes::from_static(b"{\"a\":1}\n{\"b\":2}\n");
        let mut cutter = Cutter::new(Lines, 100);
        cutter.push(chunk.clone());
        let first = cutter.next_piece().unwrap().unwrap();
        assert_eq!(first.as_ptr(), chunk.as_ptr());
        let second = cutter.next_piece().unwrap().unwrap();
        assert_eq!(second.as_ptr(), chunk[8..].as_ptr());
        assert_eq!(cutter.next_piece(), None);
        assert!(!cutter.is_within());
    }

    #[test]
    fn a_piece_over_the_limit_is_said_once_and_dropped() {
        let body = b"12345\n123\n12345678901234\n1\n12";
        let pieces = cuts_do_not_matter(|| Cutter::new(Lines, 4), body, &[3, 8]);
        assert_eq!(
            pieces,
            [
                Err(Uncut::TooLarge),
                Ok(Bytes::from("123\n")),
                Err(Uncut::TooLarge),
                Ok(Bytes::from("1\n"))
            ]
        );
    }

    #[test]
    fn what_did_not_end_is_the_rest() {
        let mut cutter = Cutter::new(Lines, 100);
        assert_eq!(feed(&mut cutter, b"a\nbcd", &[1, 2, 1]).len(), 1);
        assert!(cutter.is_within());
        assert_eq!(cutter.rest(), "bcd");
    }

    fn byte_length(head: &[u8; 1]) -> Option<usize> {
        (head[0] != 0).then_some(usize::from(head[0]))
    }

    proptest! {
        #[test]
        fn cuts_matter_to_no_format(
            body in prop::collection::vec(
                prop_oneof![any::<u8>(), Just(b'\n'), Just(b'"'), Just(b'['), Just(b','), Just(b'{'), Just(b'}'), 0u8..9],
                0..200,
            ),
            cuts in prop::collection::vec(0usize..20, 0..20),
            max in 1usize..40,
        ) {
            let body = &body;
            cuts_do_not_matter(|| Cutter::new(Lines, max), body, &cuts);
            cuts_do_not_matter(|| Cutter::new(Elements::default(), max), body, &cuts);
            cuts_do_not_matter(|| Cutter::new(Frames::new(byte_length), max), body, &cuts);
            let array = [b"[".as_slice(), body].concat();
            cuts_do_not_matter(|| Cutter::new(Elements::default(), max), &array, &cuts);
        }
    }
}
