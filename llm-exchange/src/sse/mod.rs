//! Server-sent events: a decoder and an encoder for the streams that LLM APIs answer with.
//!
//! The decoder follows the [WHATWG specification][spec], works on bytes as they arrive and does no
//! input or output of its own. It yields *blocks*, each with the exact bytes it came from, and reads
//! the fields of a block only when asked. So a relay passes on what it does not change byte for byte
//! (comments, field order and line ends included), and pays little for what it does not look at.
//!
//! ```
//! use bytes::Bytes;
//! use llm_exchange::sse::Decoder;
//!
//! let mut decoder = Decoder::new();
//! let mut seen = Vec::new();
//! for chunk in [": hello\n\nevent: ping\nda", "ta: {}\n\ndata: [DO", "NE]\n\ndata: {\"cut"] {
//!     decoder.push(Bytes::from(chunk));
//!     while let Some(event) = decoder.next_event() {
//!         let event = event?;
//!         // `None`: nothing that the specification would hand to a reader, here the comment.
//!         if let Some(data) = event.data() {
//!             seen.push((event.name().into_owned(), String::from_utf8_lossy(&data).into_owned()));
//!         }
//!     }
//! }
//! assert_eq!(seen, [("ping".into(), "{}".into()), ("message".into(), "[DONE]".into())]);
//!
//! let rest = decoder.finish();
//! assert!(rest.is_truncated());
//! assert_eq!(rest.raw().as_ref(), b"data: {\"cut");
//! # Ok::<_, llm_exchange::sse::TooLarge>(())
//! ```
//!
//! # Copies and memory
//!
//! A block that lies within one pushed chunk is a slice of that chunk: no copy and no allocation, but
//! it keeps the whole chunk alive for as long as it lives. A block that spans chunks is copied
//! together, once. What is kept between chunks is bounded by
//! [`Decoder::max_event_bytes`] (twice that while the buffer grows), the last event id within the
//! same bound, and the chunks that were pushed and not yet taken.
//!
//! # What the decoder does not do
//!
//! It knows no `[DONE]`: what comes after it is decoded like anything else. It does not reconnect.
//! It does not judge UTF-8: bytes that are not UTF-8 pass through [`Event::raw`] and
//! [`Event::data`] as they came; a name or an id is read lossily, as the specification says.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

mod decoder;
mod encoder;
mod error;
mod event;
mod rest;
mod scan;

pub use self::{decoder::Decoder, encoder::Encoder, error::TooLarge, event::Event, rest::Rest};
