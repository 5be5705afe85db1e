//! The one scan of an answer's body.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, response};
use http_body::{Body, Frame};
use tokio::time::Instant;

use super::{Meter, Reading, answer_scan::AnswerScan, stream_scan::StreamScan};
use crate::{BodyEnd, BoxError, Call};

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
    pub(crate) fn new(parts: &response::Parts, call: &Call) -> Self {
        let kind = match Format::of(parts.status, &parts.headers) {
            Format::Stream => Kind::Stream(StreamScan::new(call)),
            Format::Json => Kind::Answer(AnswerScan::new(call.dialect(), parts.status)),
            Format::Encoded | Format::Other => Kind::Opaque,
        };
        let is_stream = matches!(kind, Kind::Stream(_));
        let meter = Meter::new(parts.status, is_stream, call);
        if matches!(kind, Kind::Opaque) {
            meter.reading().unreadable = true;
        }
        Self { meter, kind }
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
            Kind::Stream(scan) => scan.push(data.clone(), &mut reading),
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

    fn publish(&self, reading: &Reading) {
        let shared = &*self.meter.0;
        if let Kind::Stream(scan) = &self.kind {
            shared.boundary.store(scan.boundary(), super::Relaxed);
            shared.events.store(scan.events(), super::Relaxed);
            shared.repeats.store(scan.repeats(), super::Relaxed);
        }
        shared.output.store(reading.output().0, super::Relaxed);
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
    Stream,
    /// One JSON text, or an error's body, which may be anything.
    Json,
    Encoded,
    Other,
}

impl Format {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        if is_encoded(headers) {
            return Self::Encoded;
        }
        if is_error(status) {
            return Self::Json;
        }
        let media_type = headers
            .get(header::CONTENT_TYPE)
            .map_or(&b""[..], |value| value.as_bytes().trim_ascii_start());
        if !status.is_success() {
            Self::Other
        } else if starts_with_ignoring_case(media_type, b"text/event-stream") {
            Self::Stream
        } else if starts_with_ignoring_case(media_type, b"application/json") {
            Self::Json
        } else {
            Self::Other
        }
    }
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
