//! Where the events of a body end.

use crate::{
    Framing,
    cut::{Elements, FindEnd, Found, Frames},
    event_stream, grpc,
};

/// Finds where events end in a body that passes, in the framings that are read from the front: an
/// array, Amazon's frames, gRPC's messages. It keeps none of the bytes.
///
/// ```
/// use llm_exchange::{Framing, stream::EventEnds};
///
/// let mut ends = EventEnds::new(Framing::Array).unwrap();
/// assert_eq!(ends.last_end(b"[{\"a\":1},\n{\"b\""), Some(8));
/// assert_eq!(ends.last_end(b":[2"), None);
/// assert_eq!(ends.last_end(b"]}\n]\n"), Some(5));
/// ```
#[derive(Debug)]
pub struct EventEnds {
    find: Find,
    broken: bool,
}

#[derive(Debug)]
enum Find {
    Array(Elements),
    EventStream(Frames<{ event_stream::PRELUDE }>),
    Grpc(Frames<{ grpc::PREFIX }>),
}

impl EventEnds {
    /// At the start of a body. `None`: a framing whose events end with a line.
    #[must_use]
    pub fn new(framing: Framing) -> Option<Self> {
        let find = match framing {
            Framing::Sse | Framing::Lines => return None,
            Framing::Array => Find::Array(Elements::default()),
            Framing::EventStream => Find::EventStream(Frames::new(event_stream::length)),
            Framing::Grpc => Find::Grpc(Frames::new(grpc::length)),
        };
        Some(Self {
            find,
            broken: false,
        })
    }

    /// Looks at the next bytes: one past the last event that ends in them. `None`: none does.
    ///
    /// Behind an array's closing bracket, and once the bytes are not of the framing, every byte is an
    /// end.
    pub fn last_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let (mut at, mut last) = (0, None);
        while at < chunk.len() {
            if self.broken {
                return Some(chunk.len());
            }
            match self.find_end(&chunk[at..]) {
                Found::Between(bytes) => {
                    at += bytes;
                    if self.is_closed() {
                        last = Some(at);
                    }
                }
                Found::End(bytes) => {
                    at += bytes;
                    last = Some(at);
                }
                Found::More => break,
                Found::Broken => self.broken = true,
            }
        }
        last
    }

    /// Whether bytes came that are not of the framing: nothing can be told of what follows.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it is an array, which has an end of its own.
    #[must_use]
    pub const fn is_array(&self) -> bool {
        matches!(self.find, Find::Array(_))
    }

    /// Whether all of an array came. No other framing tells its end.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(&self.find, Find::Array(elements) if elements.is_closed())
    }

    fn find_end(&mut self, chunk: &[u8]) -> Found {
        let find: &mut dyn FindEnd = match &mut self.find {
            Find::Array(find) => find,
            Find::EventStream(find) => find,
            Find::Grpc(find) => find,
        };
        let found = find.find_end(chunk);
        if matches!(found, Found::End(_)) {
            find.begin();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// The ends that are found in a body that comes in these chunks.
    fn ends<'c>(framing: Framing, chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<usize> {
        let mut ends = EventEnds::new(framing).unwrap();
        let (mut came, mut found) = (0, Vec::new());
        for chunk in chunks {
            found.extend(ends.last_end(chunk).map(|end| came + end));
            came += chunk.len();
        }
        found
    }

    proptest! {
        #[test]
        fn they_are_those_of_the_messages_however_the_body_is_cut(
            messages in vec(vec(any::<u8>(), 0..9), 1..6),
            size in 1usize..30,
        ) {
            for framing in [Framing::Grpc, Framing::EventStream] {
                let (mut body, mut real) = (Vec::new(), Vec::new());
                for message in &messages {
                    body.extend(match framing {
                        Framing::Grpc => grpc::prefixed(message),
                        _ => event_stream::event("chunk", message),
                    });
                    real.push(body.len());
                }
                let found = ends(framing, body.chunks(size));
                prop_assert!(found.iter().all(|end| real.contains(end)));
                prop_assert_eq!(found.last(), real.last());
                prop_assert_eq!(ends(framing, body.chunks(1)), real);
            }
        }

        #[test]
        fn an_arrays_are_those_of_its_elements_and_of_all_behind_it(
            numbers in vec(any::<u16>(), 1..5),
            size in 1usize..9,
        ) {
            let elements: Vec<_> = numbers.iter().map(|n| format!("{{\"a\":[{n}]}}")).collect();
            let mut body = String::from(" [");
            let mut real = Vec::new();
            for (n, element) in elements.iter().enumerate() {
                body.push_str(if n == 0 { "\n" } else { "\n,\r\n" });
                body.push_str(element);
                real.push(body.len());
            }
            body.push_str("\n]\n");
            let closed = body.len();
            real.extend([closed - 1, closed]);
            let found = ends(Framing::Array, body.as_bytes().chunks(size));
            prop_assert!(found.iter().all(|end| real.contains(end)));
            prop_assert_eq!(found.last(), Some(&closed));
            prop_assert_eq!(ends(Framing::Array, body.as_bytes().chunks(1)), real);
        }

        #[test]
        fn any_bytes_are_taken(
            body in vec(prop_oneof![0u8..3, any::<u8>()], 0..60),
            size in 1usize..9,
        ) {
            for framing in [Framing::Array, Framing::Grpc, Framing::EventStream] {
                let found = ends(framing, body.chunks(size));
                prop_assert!(found.is_sorted() && found.iter().all(|end| *end <= body.len()));
            }
        }
    }

    #[test]
    fn what_is_no_array_passes_as_it_is() {
        assert_eq!(ends(Framing::Array, [&b"<html>"[..], b"x"]), [6, 7]);
        assert_eq!(ends(Framing::Array, [&b"{\"error\":{}} \n"[..]]), [14]);
    }
}
