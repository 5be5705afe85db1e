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
use llm_exchange::Meter;

/// An answer up to this size is held back until its end, as only then it is known what it cost.
const MOST: usize = 256 << 10;

const COST: HeaderName = HeaderName::from_static("x-llm-cost-usd");

/// Adds the cost to the head of an answer that is no stream, not too long, and whole. Its bytes are not
/// changed.
pub(crate) async fn with_cost(mut response: Response<Body>) -> Response<Body> {
    let Some(booked) = Booked::of(&response).cloned() else {
        return response;
    };
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    // an array of chunks, as Gemini streams where it is not asked for events, is of this type too
    let is_stream = Meter::of(&response).is_some_and(Meter::is_stream);
    let is_short = response.body().size_hint().lower() <= MOST as u64;
    if !is_json || is_stream || !is_short || !response.status().is_success() {
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
    let record = booked
        .record()
        .filter(|_| held.is_whole && held.error.is_none());
    let cost = record.filter(|record| !record.is_unpriced());
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

#[cfg(test)]
mod tests {
    use cost_layer::{CostLayer, Prices};
    use futures_util::stream;
    use http::Request;
    use http_body_util::{BodyExt, Full, StreamBody};
    use llm_exchange::{BoxError, Payload};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;

    type Piece = Result<Frame<Bytes>, BoxError>;

    /// An answer of this length, which costs something.
    fn answer(length: usize) -> String {
        let end = r#""}}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;
        let head = r#"{"model":"gpt-6-sol","choices":[{"index":0,"message":{"content":""#;
        let content = "x".repeat(length - head.len() - end.len());
        format!("{head}{content}{end}")
    }

    /// What becomes of an answer that comes in these pieces, without its length being said before.
    async fn priced(pieces: Vec<Piece>) -> Response<Body> {
        let pieces = std::sync::Mutex::new(Some(pieces));
        let provider = service_fn(|_: Request<Payload>| {
            let pieces = pieces.lock().unwrap().take().unwrap();
            let body = StreamBody::new(stream::iter(pieces));
            let response = Response::builder().header("content-type", "application/json");
            std::future::ready(response.body(body).map_err(BoxError::from))
        });
        let request = Request::post("https://api.openai.com/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Full::from(r#"{"model":"gpt-6-sol","messages":[]}"#))
            .unwrap();
        let layer = CostLayer::new(Prices::builtin());
        let response = layer.layer(provider).oneshot(request).await.unwrap();
        with_cost(response.map(Body::new)).await
    }

    fn pieces(text: &str) -> Vec<Piece> {
        let pieces = text.as_bytes().chunks(10_000);
        pieces
            .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
            .collect()
    }

    #[tokio::test]
    async fn the_longest_answer_that_is_held_has_its_cost_and_a_longer_one_passes_without() {
        for (length, cost) in [
            (1_000, true),
            (MOST, true),
            (MOST + 1, false),
            (MOST * 3, false),
        ] {
            let text = answer(length);
            let response = priced(pieces(&text)).await;
            let found = response.headers().get(COST);
            let expected = cost.then(|| HeaderValue::from_static("0.003"));
            assert_eq!(found, expected.as_ref(), "{length}");
            let hint = response.body().size_hint();
            assert_eq!(hint.exact(), cost.then_some(length as u64));
            let whole = response.into_body().collect().await.unwrap().to_bytes();
            assert!(whole == text, "{length}: other bytes than the provider's");
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_comes_as_far_as_it_came_and_has_no_cost() {
        let text = answer(50_000);
        let mut pieces = pieces(&text);
        pieces[3] = Err("the connection broke".into());
        let response = priced(pieces).await;
        assert_eq!(response.headers().get(COST), None);
        let mut body = response.into_body();
        let mut came = 0;
        let error = loop {
            match body.frame().await.expect("it does not look whole") {
                Ok(frame) => came += frame.data_ref().map_or(0, Bytes::len),
                Err(error) => break error,
            }
        };
        assert_eq!(came, 30_000);
        assert!(
            error.to_string().contains("the connection broke"),
            "{error}"
        );
    }
}
