//! The fields of an error body, and what of them makes the error.

use std::time::Duration;

use http::StatusCode;
use serde::de::MapAccess;

use super::ProviderError;
use super::scan::{Fill, Key, Read, Scalar, cut, skip};
use super::status::status_of;
use crate::hints::wish;

/// Of a code or type no more than this is kept.
pub(super) const MAX_NAME: usize = 256;

/// The body or the error object in it: providers put the same fields into either.
#[derive(Default)]
pub(super) struct Node {
    has_fields: bool,
    flag: bool,
    /// The value is a text or a number itself.
    text: Option<Scalar>,
    error: Option<Box<Node>>,
    response: Option<Box<Node>>,
    object: Option<Scalar>,
    code: Option<Scalar>,
    kind: Option<Scalar>,
    error_type: Option<Scalar>,
    error_code: Option<Scalar>,
    status: Option<Scalar>,
    message: Option<Scalar>,
    has_detail: bool,
    details: Details,
    metadata: Details,
    inner: Details,
}

impl Read for Node {
    fn scalar(&mut self, value: Scalar) {
        self.flag |= !matches!(value, Scalar::Number(0));
        self.text.scalar(value);
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        self.has_fields = true;
        let place = match key {
            Key::Error => {
                return map.next_value_seed(Fill(&mut **self.error.get_or_insert_default()));
            }
            Key::Response => {
                return map.next_value_seed(Fill(&mut **self.response.get_or_insert_default()));
            }
            Key::Details => return map.next_value_seed(Fill(&mut self.details)),
            Key::Metadata => return map.next_value_seed(Fill(&mut self.metadata)),
            Key::Innererror => return map.next_value_seed(Fill(&mut self.inner)),
            Key::Detail => {
                let Node {
                    has_detail,
                    message,
                    ..
                } = self;
                return map.next_value_seed(Fill(&mut Validation {
                    has_detail,
                    message,
                }));
            }
            Key::Object => &mut self.object,
            Key::Code => &mut self.code,
            Key::Type => &mut self.kind,
            Key::ErrorType => &mut self.error_type,
            Key::ErrorCode => &mut self.error_code,
            Key::Status => &mut self.status,
            Key::Message => &mut self.message,
            _ => return skip(map),
        };
        map.next_value_seed(Fill(place))
    }
}

impl Node {
    /// The error of a body: in `error`, in a Responses object's own `error`, or the flat body
    /// itself.
    pub(super) fn into_error(mut self) -> Option<ProviderError> {
        let of_response = self
            .response
            .take()
            .and_then(|mut response| response.error.take());
        let mut nested = [self.error.take(), of_response].into_iter().flatten();
        match nested.find(|error| error.says_anything()) {
            Some(mut error) if error.has_fields => {
                error.error_type = error.error_type.or(self.error_type);
                Some(error.build())
            }
            // `"error": "text"` or `"error": true`: the other fields stand beside it.
            Some(error) => {
                self.text = error.text;
                Some(self.build())
            }
            None => self.is_flat_error().then(|| self.build()),
        }
    }

    /// Not `null`, `false`, `0`, `""` or `{}`.
    fn says_anything(&self) -> bool {
        self.has_fields || (self.flag && self.text.is_some())
    }

    fn is_flat_error(&self) -> bool {
        let says_error = |field| matches!(field, &Some(Scalar::Text(ref text)) if text == "error");
        says_error(&self.object)
            || says_error(&self.kind)
            || self.error_type.is_some()
            || self.error_code.is_some()
            || self.has_detail
            || matches!(self.message, Some(Scalar::Text(_)))
    }

    fn build(self) -> ProviderError {
        let numbers = [
            number(&self.code),
            number(&self.error_code),
            number(&self.status),
        ];
        let types = [
            &self.kind,
            &self.error_type,
            &self.metadata.error_type,
            &self.status,
        ];
        // The `type` of a flat body may say no more than that it is an error.
        let kind = types
            .into_iter()
            .find_map(|field| name(field).filter(|kind| **kind != *"error"));
        let retry_info = match &self.details.retry_delay {
            Some(Scalar::Text(text)) => wish::spelled(text).map(up_to_millis),
            _ => None,
        };
        let mut error = ProviderError {
            detail_code: name(&self.details.error_code),
            code: name(&self.code).or(name(&self.error_code)),
            inner_code: name(&self.inner.code).or(name(&self.details.reason)),
            kind,
            number: numbers
                .into_iter()
                .flatten()
                .next()
                .map(|number| number.to_string().into()),
            message: [self.text, self.message]
                .into_iter()
                .find_map(|text| match text {
                    Some(Scalar::Text(text)) => Some(text.into()),
                    _ => None,
                }),
            status: None,
            retry_info,
            per_day: self.details.per_day,
            limit_source: name(&self.metadata.limit_source),
        };
        let in_number = numbers
            .into_iter()
            .flatten()
            .find(|number| (400..=599).contains(number));
        let status = in_number.or_else(|| error.names().find_map(status_of).map(i64::from));
        error.status =
            status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
        error
    }
}

/// `details`, `metadata` and `innererror`: an object, or Google's array of several, read as one.
#[derive(Default)]
struct Details {
    code: Option<Scalar>,
    error_code: Option<Scalar>,
    error_type: Option<Scalar>,
    limit_source: Option<Scalar>,
    retry_delay: Option<Scalar>,
    /// Of Google's ErrorInfo.
    reason: Option<Scalar>,
    per_day: bool,
}

impl Read for Details {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let place = match key {
            Key::Violations => return map.next_value_seed(Fill(self)),
            Key::QuotaId => {
                let mut id = None;
                map.next_value_seed(Fill(&mut id))?;
                self.per_day |= matches!(id, Some(Scalar::Text(id)) if id.contains("PerDay"));
                return Ok(());
            }
            Key::Code => &mut self.code,
            Key::ErrorCode => &mut self.error_code,
            Key::ErrorType => &mut self.error_type,
            Key::LimitSource => &mut self.limit_source,
            Key::RetryDelay => &mut self.retry_delay,
            Key::Reason => &mut self.reason,
            _ => return skip(map),
        };
        map.next_value_seed(Fill(place))
    }
}

/// `detail`: a text, or what was wrong with each field of the request, of which the first is the
/// message.
struct Validation<'a> {
    has_detail: &'a mut bool,
    message: &'a mut Option<Scalar>,
}

impl Read for Validation<'_> {
    fn scalar(&mut self, value: Scalar) {
        *self.has_detail = true;
        self.message.scalar(value);
    }

    fn field<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        *self.has_detail = true;
        match key {
            Key::Msg | Key::Message => map.next_value_seed(Fill(&mut *self.message)),
            _ => skip(map),
        }
    }
}

/// A text that is not a number: `"429"` and `"3505"` are numbers.
fn name(field: &Option<Scalar>) -> Option<Box<str>> {
    match field {
        Some(Scalar::Text(text)) if number(field).is_none() => Some(cut(text, MAX_NAME).into()),
        _ => None,
    }
}

fn number(field: &Option<Scalar>) -> Option<i64> {
    match field {
        Some(Scalar::Number(number)) => Some(*number),
        Some(Scalar::Text(text)) => text.parse().ok(),
        _ => None,
    }
}

pub(super) fn up_to_millis(wait: Duration) -> Duration {
    let millis = wait.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
