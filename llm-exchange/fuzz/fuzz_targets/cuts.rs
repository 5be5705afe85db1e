//! A stream and where it is cut, out of one input: the first byte is the number of cuts, each of the
//! next bytes the length of a piece, and the stream is what follows.

pub fn split(input: &[u8]) -> Option<(&[u8], Vec<usize>)> {
    let (&count, input) = input.split_first()?;
    let (cuts, stream) = input.split_at(usize::from(count).min(input.len()));
    Some((stream, cuts.iter().copied().map(usize::from).collect()))
}
