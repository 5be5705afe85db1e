//! The error in gRPC trailers, or in the head of an answer that has only trailers.

use std::{sync::LazyLock, time::Duration};

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, StatusCode};

use super::{
    ProviderError,
    body::up_to_millis,
    scan::{MAX_TEXT, cut},
};
use crate::{
    grpc::{Malformed, fields},
    hints::wish,
};

/// A longer `grpc-status-details-bin` is not read. Heads are limited to less by most servers.
const MAX_DETAILS: usize = 64 << 10;

/// Padded or not: both are legal on the wire.
static BASE64: LazyLock<GeneralPurpose> = LazyLock::new(|| {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config)
});

/// The names of the codes, by which Google's JSON calls them too, and what they are over HTTP.
const CODES: [(&str, u16); 17] = [
    ("OK", 200),
    ("CANCELLED", 499),
    ("UNKNOWN", 500),
    ("INVALID_ARGUMENT", 400),
    ("DEADLINE_EXCEEDED", 504),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("FAILED_PRECONDITION", 400),
    ("ABORTED", 409),
    ("OUT_OF_RANGE", 400),
    ("UNIMPLEMENTED", 501),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DATA_LOSS", 500),
    ("UNAUTHENTICATED", 401),
];

/// The code that a status over HTTP is in gRPC, as Google maps them.
pub(crate) const fn code_of(status: u16) -> usize {
    match status {
        401 => 16,
        403 => 7,
        404 => 5,
        408 | 504 => 4,
        409 => 10,
        402 | 429 => 8,
        499 => 1,
        501 => 12,
        502 | 503 | 529 => 14,
        500.. => 13,
        _ => 3,
    }
}

/// The name that Google's JSON has for a status over HTTP.
pub(crate) const fn google_name(status: u16) -> &'static str {
    CODES[code_of(status)].0
}

impl ProviderError {
    /// Reads a gRPC status: of the trailers, or of a head that has only them.
    ///
    /// `None`: there is none, or it is OK. A status that is no number is UNKNOWN, as gRPC says. The
    /// name of the code is the [`code`](Self::code); RetryInfo and a quota per day are read from
    /// `grpc-status-details-bin`.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use llm_exchange::ProviderError;
    ///
    /// let mut trailers = HeaderMap::new();
    /// trailers.insert("grpc-status", "8".parse()?);
    /// trailers.insert("grpc-message", "Quota%20exceeded".parse()?);
    /// let error = ProviderError::from_grpc(&trailers).ok_or("no error")?;
    /// assert_eq!(error.code(), Some("RESOURCE_EXHAUSTED"));
    /// assert_eq!(error.message(), Some("Quota exceeded"));
    /// assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from_grpc(trailers: &HeaderMap) -> Option<Self> {
        let status = trailers.get("grpc-status")?.as_bytes().trim_ascii();
        let code = std::str::from_utf8(status).map_or(2, |text| text.parse().unwrap_or(2));
        if code == 0usize {
            return None;
        }
        let (name, status) = CODES.get(code).copied().unwrap_or(CODES[2]);
        let details = trailers
            .get("grpc-status-details-bin")
            .filter(|value| value.len() <= MAX_DETAILS)
            .and_then(|value| BASE64.decode(value.as_bytes()).ok())
            .and_then(|status| Details::read(&status).ok())
            .unwrap_or_default();
        let message = trailers
            .get("grpc-message")
            .map(|value| percent_encoding::percent_decode(value.as_bytes()).decode_utf8_lossy());
        let message = message.map(|message| cut(&message, MAX_TEXT).into());
        Some(Self {
            detail_code: None,
            code: Some(name.into()),
            inner_code: None,
            kind: Some(name.into()),
            number: Some(code.to_string().into()),
            message: message.or(details.message),
            status: StatusCode::from_u16(status).ok(),
            retry_info: details.retry_info,
            per_day: details.per_day,
            limit_source: None,
        })
    }
}

/// What `google.rpc.Status` says beyond the code.
#[derive(Default)]
struct Details {
    message: Option<Box<str>>,
    retry_info: Option<Duration>,
    per_day: bool,
}

impl Details {
    fn read(status: &[u8]) -> Result<Self, Malformed> {
        let mut details = Self::default();
        for field in fields(status) {
            let field = field?;
            match field.number {
                2 => {
                    let message = field.value.text().filter(|text| !text.is_empty());
                    details.message = message.map(|text| cut(text, MAX_TEXT).into());
                }
                3 => details.any(field.value.bytes())?,
                _ => {}
            }
        }
        Ok(details)
    }

    /// One `google.protobuf.Any`.
    fn any(&mut self, any: &[u8]) -> Result<(), Malformed> {
        let (mut name, mut value) = ("", &[][..]);
        for field in fields(any) {
            let field = field?;
            match field.number {
                1 => name = field.value.text().unwrap_or_default(),
                2 => value = field.value.bytes(),
                _ => {}
            }
        }
        match name.rsplit('/').next() {
            Some("google.rpc.RetryInfo") => self.retry_info = retry_delay(value)?,
            Some("google.rpc.QuotaFailure") => self.per_day |= is_per_day(value)?,
            _ => {}
        }
        Ok(())
    }
}

/// `RetryInfo.retry_delay`, if it is more than nothing.
fn retry_delay(retry_info: &[u8]) -> Result<Option<Duration>, Malformed> {
    let mut delay = Duration::ZERO;
    for field in fields(retry_info) {
        let field = field?;
        if field.number == 1 {
            let (mut seconds, mut nanos) = (0, 0);
            for part in fields(field.value.bytes()) {
                let part = part?;
                match part.number {
                    1 => seconds = part.value.count(),
                    2 => nanos = part.value.count(),
                    _ => {}
                }
            }
            let nanos = u32::try_from(nanos).unwrap_or(0).min(999_999_999);
            delay = Duration::new(seconds, nanos).min(wish::LONGEST);
        }
    }
    Ok((!delay.is_zero()).then(|| up_to_millis(delay)))
}

/// Whether a violated quota of `QuotaFailure` is per day, by its id.
fn is_per_day(quota_failure: &[u8]) -> Result<bool, Malformed> {
    let mut per_day = false;
    for violation in fields(quota_failure) {
        let violation = violation?;
        if violation.number == 1 {
            for field in fields(violation.value.bytes()) {
                let field = field?;
                let id = field.value.text().filter(|_| field.number == 5);
                per_day |= id.is_some_and(|id| id.contains("PerDay"));
            }
        }
    }
    Ok(per_day)
}
