//! What the fuzz targets check, as the property tests do. Only there when built for fuzzing.

use crate::{
    Framing,
    cut::{Cutter, Elements, Lines, oracle},
    event_stream, grpc, route,
    stream::EventEnds,
};

/// gRPC messages, and their fields.
pub fn grpc(body: &[u8], cuts: &[usize]) {
    grpc::check(body, cuts, 1 << 16);
    grpc::check(body, cuts, 20);
    ends(Framing::Grpc, body, cuts);
    if let Ok(set) = grpc::set_varint(body, &[4, 1], 7) {
        assert_eq!(grpc::set_varint(&set, &[4, 1], 7).as_ref(), Ok(&set));
    }
}

/// Lines.
pub fn ndjson(body: &[u8], cuts: &[usize]) {
    for max in [20, 1 << 16] {
        oracle::cuts_do_not_matter(|| Cutter::new(Lines, max), body, cuts);
    }
}

/// The elements of an array: if it is JSON, they are those that serde finds.
pub fn elements(body: &[u8], cuts: &[usize]) {
    let new = || Cutter::new(Elements::default(), 1 << 16);
    let pieces = oracle::cuts_do_not_matter(new, body, cuts);
    ends(Framing::Array, body, cuts);
    if let Ok(array) = serde_json::from_slice::<Vec<serde_json::Value>>(body) {
        let read: Vec<serde_json::Value> = pieces
            .iter()
            .map(|piece| serde_json::from_slice(piece.as_ref().expect("a piece")).expect("JSON"))
            .collect();
        assert_eq!(read, array);
    }
}

/// Amazon's event stream.
pub fn event_stream(body: &[u8], cuts: &[usize]) {
    event_stream::check(body, cuts, 1 << 16);
    ends(Framing::EventStream, body, cuts);
}

/// Of the ends that are found byte by byte, those that are found in any chunks are the last ones.
fn ends(framing: Framing, body: &[u8], cuts: &[usize]) {
    let found = |cuts: &mut dyn Iterator<Item = usize>| {
        let mut ends = EventEnds::new(framing).expect("a framing that is read from the front");
        let (mut left, mut came, mut found) = (body, 0, Vec::new());
        for cut in cuts.chain([usize::MAX]) {
            let (chunk, rest) = left.split_at(cut.min(left.len()));
            found.extend(ends.last_end(chunk).map(|end| came + end));
            came += chunk.len();
            left = rest;
        }
        (found, ends.is_broken(), ends.is_closed())
    };
    let (each, broken, closed) = found(&mut std::iter::repeat_n(1, body.len()));
    let (some, also_broken, also_closed) = found(&mut cuts.iter().copied());
    assert_eq!((broken, closed), (also_broken, also_closed));
    assert!(some.iter().all(|end| each.contains(end)) && some.last() == each.last());
}

/// Paths, and a model put into them.
pub fn paths(path: &str, model: &str) {
    route::check(path, model);
}
