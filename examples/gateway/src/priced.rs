//! What a short answer cost, in its head.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use cost_layer::Booked;
use http::{HeaderName, HeaderValue, Response, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

/// An answer up to this size is held back until its end, as only then it is known what it cost.
const MOST: usize = 256 << 10;

const COST: HeaderName = HeaderName::from_static("x-llm-cost-usd");

/// Adds the cost to the head of an answer that is no stream and not too long. Its bytes are not changed.
pub(crate) async fn with_cost(mut response: Response<Body>) -> Response<Body> {
    let Some(booked) = Booked::of(&response).cloned() else {
        return response;
    };
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let is_short = response.body().size_hint().lower() <= MOST as u64;
    if !is_json || !is_short || !response.status().is_success() {
        return response;
    }
    let mut held = Held::default();
    let mut body = std::mem::take(response.body_mut());
    let mut length = 0;
    held.is_whole = loop {
        match body.frame().await {
            None => break true,
            Some(Ok(frame)) => {
                length += frame.data_ref().map_or(0, Bytes::len);
                held.frames.push_back(frame);
            }
            Some(Err(error)) => {
                held.error = Some(error);
                break true;
            }
        }
        if length > MOST {
            break false;
        }
    };
    let cost = booked.record().filter(|record| !record.is_unpriced());
    if let Some(cost) = cost.map(|record| record.cost().to_string())
        && let Ok(value) = HeaderValue::from_str(cost.trim_start_matches('$'))
    {
        response.headers_mut().insert(COST, value);
    }
    held.rest = body;
    *response.body_mut() = Body::new(held);
    response
}

/// What was read, and then the rest.
#[derive(Default)]
struct Held {
    frames: VecDeque<Frame<Bytes>>,
    error: Option<axum::Error>,
    is_whole: bool,
    rest: Body,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.is_whole {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
            && self.error.is_none()
            && (self.is_whole || self.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held: usize = self
            .frames
            .iter()
            .filter_map(Frame::data_ref)
            .map(Bytes::len)
            .sum();
        let mut hint = match self.is_whole {
            true if self.error.is_none() => return SizeHint::with_exact(held as u64),
            true => SizeHint::new(),
            false => self.rest.size_hint(),
        };
        let lower = hint.lower();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + held as u64);
        }
        hint.set_lower(lower + held as u64);
        hint
    }
}
