//! The one scan of an answer's body.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, response};
use http_body::{Body, Frame};
use tokio::time::Instant;

use super::{Meter, Reading, answer_scan::AnswerScan, stream_scan::StreamScan};
use crate::{AskedModel, BodyEnd, BoxError, Call, Dialect, ProviderError, dialect::Framing};

/// Reads a body as it passes and tells its meter.
pub(crate) struct Scan {
    meter: Meter,
    kind: Kind,
}

#[allow(
    clippy::large_enum_variant,
    reason = "a scan is boxed, and most are of streams"
)]
enum Kind {
    Stream(StreamScan),
    Answer(AnswerScan),
    /// Compressed, or of a type that is not read.
    Opaque,
}

impl Scan {
    pub(crate) fn new(parts: &response::Parts, call: &Call, began: Instant) -> Self {
        let asked = parts.extensions.get::<AskedModel>();
        let of_another = asked.map(|asked| call.asking(&asked.model, asked.host.as_ref()));
        let call = of_another.as_ref().unwrap_or(call);
        let (dialect, stream) = (call.dialect(), call.is_stream());
        let format = Format::of(parts.status, &parts.headers, dialect, stream);
        let kind = match format {
            Format::Events(framing) => Kind::Stream(StreamScan::new(call, framing)),
            Format::Json => Kind::Answer(AnswerScan::new(call.dialect(), parts)),
            Format::Encoded | Format::Other => Kind::Opaque,
        };
        let is_stream = match format {
            Format::Events(Framing::Grpc) => call.is_stream(),
            Format::Events(_) => true,
            Format::Json | Format::Encoded | Format::Other => false,
        };
        let framing = match format {
            Format::Events(framing) => Some(framing),
            Format::Json | Format::Encoded | Format::Other => None,
        };
        let meter = Meter::new(parts.status, is_stream, framing, call, began);
        if matches!(kind, Kind::Opaque) {
            meter.reading().unreadable = true;
        }
        let scan = Self { meter, kind };
        // an answer that has only trailers has them in its head
        scan.trailers(&parts.headers);
        scan
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What the body gave just now: a frame, its error, or its end.
    pub(crate) fn passed<R: Body>(
        &mut self,
        frame: &Option<Result<Frame<Bytes>, BoxError>>,
        body: &R,
    ) {
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref()
                    && !data.is_empty()
                {
                    self.data(data);
                }
                if let Some(trailers) = frame.trailers_ref() {
                    self.trailers(trailers);
                }
                // the reader may stop here, without asking for the end
                if body.is_end_stream() || body.size_hint().exact() == Some(0) {
                    self.end(&BodyEnd::Whole);
                }
            }
            Some(Err(error)) => self.end(&BodyEnd::Failed(error)),
            None => self.end(&BodyEnd::Whole),
        }
    }

    fn data(&mut self, data: &Bytes) {
        let shared = &*self.meter.0;
        let mut reading = self.meter.reading();
        let contents = match &mut self.kind {
            Kind::Stream(scan) => scan.push(data, &mut reading),
            Kind::Answer(scan) => {
                scan.push(data.clone());
                1
            }
            Kind::Opaque => 1,
        };
        if contents > 0 {
            shared.first_content.get_or_init(Instant::now);
            let so_far = shared.contents.load(super::Relaxed);
            shared.contents.store(so_far + contents, super::Relaxed);
        }
        let scanned = shared.scanned.load(super::Relaxed) + data.len() as u64;
        shared.scanned.store(scanned, super::Relaxed);
        self.publish(&reading);
    }

    /// gRPC's status is the proof of the end.
    fn trailers(&self, trailers: &HeaderMap) {
        let Kind::Stream(scan) = &self.kind else {
            return;
        };
        if scan.framing() != Framing::Grpc || !trailers.contains_key("grpc-status") {
            return;
        }
        let mut reading = self.meter.reading();
        match ProviderError::from_grpc(trailers) {
            Some(error) => reading.fail(error),
            None => reading.done = true,
        }
        self.publish(&reading);
    }

    fn publish(&self, reading: &Reading) {
        let shared = &*self.meter.0;
        if let Kind::Stream(scan) = &self.kind {
            shared.boundary.store(scan.boundary(), super::Relaxed);
            shared.events.store(scan.events(), super::Relaxed);
            shared.repeats.store(scan.repeats(), super::Relaxed);
        }
        shared.output.store(reading.all_output(), super::Relaxed);
        shared.over.store(reading.is_over(), super::Relaxed);
    }

    /// The body is over. The first end stays.
    pub(crate) fn end(&mut self, end: &BodyEnd<'_>) {
        if self.meter.end().is_some() {
            return;
        }
        if matches!(end, BodyEnd::Whole) {
            let mut reading = self.meter.reading();
            match &mut self.kind {
                Kind::Stream(scan) => scan.finish(&mut reading),
                Kind::Answer(scan) => scan.finish(&mut reading),
                Kind::Opaque => {}
            }
            self.publish(&reading);
        }
        self.meter.note(end);
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.end(&BodyEnd::Dropped);
    }
}

/// How an answer's body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Event by event.
    Events(Framing),
    /// One JSON text, or an error's body, which may be anything.
    Json,
    Encoded,
    Other,
}

impl Format {
    /// `stream`: whether one was asked for.
    pub(crate) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        dialect: Dialect,
        stream: bool,
    ) -> Self {
        if is_encoded(headers) {
            return Self::Encoded;
        }
        let media_type = headers
            .get(header::CONTENT_TYPE)
            .map_or(&b""[..], |value| value.as_bytes().trim_ascii_start());
        let is = |name: &[u8]| starts_with_ignoring_case(media_type, name);
        let own = dialect.wire().framing;
        // a status of gRPC may stand beside any of HTTP's
        if own == Framing::Grpc && (is_grpc(media_type) || headers.contains_key("grpc-status")) {
            return Self::Events(Framing::Grpc);
        }
        if is_error(status) {
            return Self::Json;
        }
        if !status.is_success() {
            return Self::Other;
        }
        match framing_of(media_type, dialect, stream) {
            Some(framing) => Self::Events(framing),
            None if is(b"application/json") => Self::Json,
            None => Self::Other,
        }
    }
}

/// `stream`: whether one was asked for, as some streams look like any other JSON.
fn framing_of(media_type: &[u8], dialect: Dialect, stream: bool) -> Option<Framing> {
    let is = |name: &[u8]| starts_with_ignoring_case(media_type, name);
    if is(b"text/event-stream") {
        Some(Framing::Sse)
    } else if is(b"application/x-ndjson") {
        Some(Framing::Lines)
    } else if is(b"application/vnd.amazon.eventstream") {
        Some(Framing::EventStream)
    } else if !stream || !is(b"application/json") {
        None
    } else if dialect.wire().framing == Framing::Lines {
        Some(Framing::Lines)
    } else {
        (dialect == Dialect::Gemini).then_some(Framing::Array)
    }
}

impl Framing {
    /// How the events of an answer are told apart, by its head, where a stream was asked for. `None`: it
    /// is no stream, or a compressed one.
    #[must_use]
    pub fn of(headers: &HeaderMap, dialect: Dialect) -> Option<Self> {
        let media_type = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let media_type = media_type.trim_ascii_start();
        if is_encoded(headers) {
            None
        } else if dialect.is_grpc() {
            is_grpc(media_type).then_some(Self::Grpc)
        } else {
            framing_of(media_type, dialect, true)
        }
    }
}

/// `application/grpc`, `application/grpc+proto`; not gRPC-Web, which has its trailers in the body.
pub(crate) fn is_grpc(media_type: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    starts_with_ignoring_case(media_type, NAME) && !matches!(media_type.get(NAME.len()), Some(b'-'))
}

pub(crate) fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn starts_with_ignoring_case(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len())
        .is_some_and(|text| text.eq_ignore_ascii_case(start))
}
