use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use self::body::Node;
use self::scan::scan;

mod body;
mod grpc;
mod scan;
mod status;

pub(crate) use self::grpc::{code_of, google_name};

/// The error that a provider reports, in whichever of the known JSON shapes: as the body of an
/// error answer, as the body of a "successful" one, or as the data of an event in a stream.
///
/// A field of an unexpected type loses only itself. Bounded: at most 2 KiB of the message and 256
/// bytes of each code are kept, whatever the size of the body.
///
/// `Debug` leaves the message out, since providers quote the prompt in it.
///
/// ```
/// use http::StatusCode;
/// use llm_exchange::ProviderError;
///
/// let data = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
/// let error = ProviderError::from_body(data).ok_or("no error")?;
/// assert_eq!(error.code(), Some("overloaded_error"));
/// assert_eq!(error.status(), StatusCode::from_u16(529).ok());
///
/// assert!(ProviderError::from_body(br#"{"id":"resp_1","error":null}"#).is_none());
/// # Ok::<_, &str>(())
/// ```
#[derive(Clone)]
pub struct ProviderError {
    detail_code: Option<Box<str>>,
    code: Option<Box<str>>,
    inner_code: Option<Box<str>>,
    kind: Option<Box<str>>,
    number: Option<Box<str>>,
    message: Option<Box<str>>,
    status: Option<StatusCode>,
    retry_info: Option<Duration>,
    per_day: bool,
    limit_source: Option<Box<str>>,
}

impl ProviderError {
    /// Reads an error body, or the data of an error event.
    ///
    /// `None`: not JSON, or JSON with no error in it (`"error": null` is none). A body that breaks
    /// off, as one does that was cut at a limit, gives what was read before the break.
    ///
    /// A flat body (no `error` in it) counts as an error when it says so (`type` or `object` is
    /// `error`), or has an `error_type`, an `error_code`, a `detail`, or a `message` that is a
    /// text.
    pub fn from_body(bytes: &[u8]) -> Option<ProviderError> {
        let mut body = Node::default();
        scan(bytes, &mut body);
        body.into_error()
    }

    /// An error that is only a text.
    pub(crate) fn from_text(text: &str) -> Self {
        Self {
            detail_code: None,
            code: None,
            inner_code: None,
            kind: None,
            number: None,
            message: Some(scan::cut(text, scan::MAX_TEXT).into()),
            status: None,
            retry_info: None,
            per_day: false,
            limit_source: None,
        }
    }

    /// The error of an answer's body; `kind` is Amazon's, from the head.
    pub(crate) fn of_answer(kind: Option<&str>, body: &[u8]) -> Option<Self> {
        match kind {
            Some(kind) => Some(Self::from_amazon(kind, body)),
            None => Self::from_body(body),
        }
    }

    pub(crate) fn amazon_kind(headers: &HeaderMap) -> Option<&str> {
        headers.get("x-amzn-errortype")?.to_str().ok()
    }

    /// An error of Amazon's, which names its kind beside the body: in the header `x-amzn-errortype`,
    /// or in the frame of a stream.
    pub(crate) fn from_amazon(kind: &str, body: &[u8]) -> Self {
        // "ThrottlingException:http://..."
        let kind = kind.split(':').next().unwrap_or_default();
        let kind: Box<str> = scan::cut(kind, body::MAX_NAME).into();
        let mut error = Self::from_body(body).unwrap_or_else(|| Self::from_text(""));
        error.status = status::status_of(&kind)
            .and_then(|status| StatusCode::from_u16(status).ok())
            .or(error.status);
        error.kind = Some(kind);
        error
    }

    /// The most specific code: `details.error_code`, else `code`, else `type`, else `status`. A
    /// number (`502`, `"3505"`) says less than a name and comes last.
    pub fn code(&self) -> Option<&str> {
        let code = self.detail_code.as_deref().or(self.code.as_deref());
        code.or(self.kind.as_deref()).or(self.number.as_deref())
    }

    /// The kind of error: `type` (also `error_type`), or Google's `status`.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// The provider's words, for an app's own classifier. They may quote the prompt: not for logs.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The HTTP status that the error amounts to, whatever the answer's own was: a number from 400
    /// to 599 in the body is itself, a known name has its status (`overloaded_error` is 529).
    /// `None`: neither.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The wait that Google's RetryInfo asks for, rounded up to milliseconds. `None`: absent,
    /// unreadable, or not more than zero.
    pub fn retry_info(&self) -> Option<Duration> {
        self.retry_info
    }

    /// Every name the error goes by, the most specific first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [&self.detail_code, &self.code, &self.inner_code, &self.kind]
            .into_iter()
            .flatten()
            .map(|name| &**name)
    }

    /// Google names a violated quota that is per day.
    pub(crate) fn is_per_day(&self) -> bool {
        self.per_day
    }

    /// OpenRouter's word on whose limit it was.
    pub(crate) fn limit_source(&self) -> Option<&str> {
        self.limit_source.as_deref()
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderError")
            .field("code", &self.code())
            .field("kind", &self.kind)
            .field("status", &self.status)
            .field("retry_info", &self.retry_info)
            .finish_non_exhaustive()
    }
}
