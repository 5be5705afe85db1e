//! What clients read of a stream, over any bytes: pieces in any framing, deltas of any dialect, the
//! answer put together and taken apart. Nothing panics, and where it is cut changes nothing.
//!
//! The first byte says framing and dialect, the next one the size of the pieces.
//!
//! ```text
//! cargo +nightly fuzz run streams fuzz/corpus/streams fuzz/seeds/streams
//! ```

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use llm_exchange::{
    Dialect, Framing,
    sse::Event,
    stream::{Collector, Delta, DeltaReader, PieceReader, expand},
};

const FRAMINGS: [Framing; 5] = [
    Framing::Sse,
    Framing::Lines,
    Framing::Array,
    Framing::EventStream,
    Framing::Grpc,
];

fuzz_target!(|input: &[u8]| {
    let [kind, size, stream @ ..] = input else {
        return;
    };
    let framing = FRAMINGS[usize::from(*kind) % FRAMINGS.len()];
    let dialect = Dialect::ALL[usize::from(*kind / 8) % Dialect::ALL.len()];
    let whole = read(framing, dialect, [stream]);
    let pieces = stream.chunks(usize::from(*size).max(1));
    assert_eq!(read(framing, dialect, pieces), whole);
    let _ = expand(dialect, stream, true);
});

/// The deltas, whether the stream was whole, and what it was put together to.
fn read<'c>(
    framing: Framing,
    dialect: Dialect,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> (Vec<Delta>, bool, Option<Bytes>) {
    let mut pieces = PieceReader::new(framing).max_bytes(1 << 16);
    let mut reader = DeltaReader::new(dialect);
    let mut collector = Some(Collector::new(dialect).max_bytes(1 << 18));
    let mut deltas = Vec::new();
    let mut failed = false;
    let mut piece = |data: &[u8]| {
        failed |= reader.push_data(data).is_err();
        deltas.extend(std::iter::from_fn(|| reader.next_delta()));
        if let Some(collecting) = &mut collector
            && collecting.push(&Event::new(data)).is_err()
        {
            collector = None;
        }
    };
    for chunk in chunks {
        pieces.push(Bytes::copy_from_slice(chunk));
        while let Some(next) = pieces.next_piece() {
            if let Ok(data) = next {
                piece(&data);
            }
        }
    }
    let last = pieces.finish();
    if let Ok(Some(data)) = &last {
        piece(data);
    }
    let whole = last.is_ok() && !failed && reader.finish().is_ok();
    let answer = collector.and_then(|collector| collector.finish().ok());
    (deltas, whole, answer)
}
