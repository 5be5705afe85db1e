//! What a request asks for.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, Method, Request, Uri, header, uri::PathAndQuery};

use crate::{Attempts, Dialect, Framing, Payload, route::Route, splice};

mod parameters;
mod prompt;
mod rewrite;

pub use self::prompt::Prompt;

/// What the JSON of a request says, in any dialect.
#[derive(Clone, Default)]
pub(crate) struct Facts {
    /// shared with the meters of the answers
    pub(crate) model: Option<Arc<str>>,
    pub(crate) end_user: Option<Box<str>>,
    pub(crate) stream: bool,
    pub(crate) asks_usage: bool,
    pub(crate) output_cap: Option<u64>,
    pub(crate) choices: u32,
    pub(crate) prompt_bytes: usize,
    /// Of those, what is no text: images, audio, files.
    pub(crate) media: Media,
}

/// What of a prompt is no text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Media {
    pub(crate) bytes: usize,
    pub(crate) parts: usize,
}

/// What a call asks for: read once, when the request becomes a [`Payload`], and kept with it.
///
/// Only the few fields below are read, typed and without building a JSON tree. A known field that
/// stands twice makes the whole request [`Unreadable::Fields`]: servers differ in which one they
/// obey, so a second `max_tokens` would be a way round a budget.
///
/// `Debug` shows no user and no prompt.
#[derive(Clone)]
pub struct Call {
    dialect: Dialect,
    /// Where the request went when it was read.
    path: PathAndQuery,
    /// Where a layer has sent it since.
    host: Option<Arc<str>>,
    facts: Facts,
    unreadable: Option<Unreadable>,
    attempts: Attempts,
}

/// Why a call's facts could not be read. The request itself is passed on as it is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreadable {
    /// The body is no JSON; over gRPC, it is not one whole message.
    Syntax,
    /// A known field stands twice, or has a type that the API does not take.
    Fields,
    /// The body is compressed (`content-encoding`).
    Encoded,
    /// The body is larger than the layer's limit; it streams through and can be sent only once.
    TooLarge,
    /// The caller's upload broke.
    Broken,
    /// The call goes both ways ([`Dialect::goes_both_ways`]): its requests pass as they come.
    BothWays,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "the request body is not JSON, or no message",
            Self::Fields => {
                "a field of the request body stands twice or has a type that the API does not take"
            }
            Self::Encoded => "the request body is compressed",
            Self::TooLarge => "the request body is too large to be read",
            Self::Broken => "the request body broke off",
            Self::BothWays => "the requests go on while answers come",
        })
    }
}

impl std::error::Error for Unreadable {}

/// Why a request was not rewritten. It is unchanged.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotRewritten {
    /// It is no LLM call, or its facts could not be read.
    NotRead,
    /// It carries a signature or a digest over its body (AWS SigV4, RFC 9421, RFC 9530).
    Signed,
}

impl fmt::Display for NotRewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRead => "the request is not an LLM call that can be read",
            Self::Signed => "the request is signed, so its body cannot be changed",
        })
    }
}

impl std::error::Error for NotRewritten {}

impl Call {
    /// Reads the body of a request that went there. Of a gRPC call that is its one message, with
    /// what stands before it.
    pub(crate) fn read(route: &Route, uri: &Uri, body: &[u8], attempts: Attempts) -> Self {
        let wire = route.dialect.wire();
        let facts = if route.dialect.is_grpc() {
            rewrite::only_message(body).and_then(wire.facts)
        } else {
            (wire.facts)(body)
        };
        let mut facts = match facts {
            Ok(facts) => facts,
            Err(why) => return Self::unreadable_because(route, uri, why, attempts),
        };
        if route.model.is_some() {
            facts.model = route.model_in(uri.path()).map(|model| (*model).into());
        }
        facts.stream = route.stream.unwrap_or(facts.stream);
        if !wire.usage_on_request {
            facts.asks_usage = facts.stream;
        }
        Self {
            facts,
            unreadable: None,
            ..Self::unreadable_because(route, uri, Unreadable::Syntax, attempts)
        }
    }

    pub(crate) fn unreadable_because(
        route: &Route,
        uri: &Uri,
        why: Unreadable,
        attempts: Attempts,
    ) -> Self {
        Self {
            dialect: route.dialect,
            path: path_of(uri),
            host: None,
            facts: Facts {
                stream: route.stream.unwrap_or(false),
                ..Facts::default()
            },
            unreadable: Some(why),
            attempts,
        }
    }

    /// Whether a request that goes there asks for what was read.
    pub(crate) fn is_of(&self, method: &Method, uri: &Uri) -> bool {
        let (read, now) = (self.path.path(), uri.path());
        // mostly the very same, and reading a path costs more than comparing it
        method == Method::POST && (read == now || Route::ask_the_same(read, now))
    }

    /// How a streamed answer to the request comes: by its dialect and, where that has several forms, its
    /// path and query. `None`: it is no LLM call.
    #[must_use]
    pub fn framing(request: &Request<Payload>) -> Option<Framing> {
        let wire = Self::of(request)?.dialect.wire();
        Some((wire.framing_asked)(request.uri()).unwrap_or(wire.framing))
    }

    /// The facts of a request that was read with [`Payload::read`].
    ///
    /// `None` for what is no LLM call, and where the request's method or path was changed since to
    /// one of another dialect, or of another model where the path names it. Clone the `Arc` to keep
    /// the facts when the request is sent.
    #[must_use]
    pub fn of(request: &Request<Payload>) -> Option<&Arc<Self>> {
        let call = request.body().call()?;
        call.is_of(request.method(), request.uri()).then_some(call)
    }

    /// The wire format.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Why nothing but the dialect is known of this call, if so.
    #[must_use]
    pub const fn unreadable(&self) -> Option<Unreadable> {
        self.unreadable
    }

    /// The model asked for, as written: in the body, or in the path (decoded), which for Azure is
    /// the name of a deployment. Over gRPC it is the last segment of a resource's name.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.facts.model.as_deref()
    }

    /// The same call, had it asked for this model, if it is named, there.
    pub(crate) fn asking(&self, model: &Arc<str>, host: Option<&Arc<str>>) -> Self {
        let mut call = self.clone();
        if !model.is_empty() {
            call.facts.model = Some(Arc::clone(model));
        }
        call.host = host.cloned().or(call.host);
        call
    }

    pub(crate) fn shared_model(&self) -> Option<Arc<str>> {
        self.facts.model.clone()
    }

    /// The host and port that a layer sent the call to, with [`redirect`](Self::redirect). `None`: it
    /// goes where its caller sent it.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub(crate) fn shared_host(&self) -> Option<Arc<str>> {
        self.host.clone()
    }

    /// The end user as the body names it (`safety_identifier` before the older `user`;
    /// `metadata.user_id`). The caller wrote it: trust it only where the caller is trusted.
    #[must_use]
    pub fn end_user(&self) -> Option<&str> {
        self.facts.end_user.as_deref()
    }

    /// Whether the answer is asked for as a stream.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        self.facts.stream
    }

    /// Whether a streamed answer will carry the provider's token counts without being asked again.
    #[must_use]
    pub const fn asks_usage(&self) -> bool {
        self.facts.asks_usage
    }

    /// The most output tokens allowed, for each choice. `None`: the model's own maximum. Where the
    /// old and the new name of the field stand both, the larger.
    #[must_use]
    pub const fn output_cap(&self) -> Option<u64> {
        self.facts.output_cap
    }

    /// How many answers are asked for (`n`), 1 unless said otherwise.
    #[must_use]
    pub fn choices(&self) -> u32 {
        self.facts.choices.max(1)
    }

    /// The bytes of JSON that hold the prompt: messages, system prompt and tools.
    #[must_use]
    pub const fn prompt_bytes(&self) -> usize {
        self.facts.prompt_bytes
    }

    /// A first estimate of the prompt's tokens: a quarter of its bytes, which for most languages, code
    /// and JSON is within a fifth, and 1,000 for each image, recording or file in it.
    #[must_use]
    pub fn estimated_input(&self) -> u64 {
        let Media { bytes, parts } = self.facts.media;
        let text = self.facts.prompt_bytes.saturating_sub(bytes);
        (text.div_ceil(4) as u64).saturating_add((parts as u64).saturating_mul(1_000))
    }

    /// The attempts that this call has made and may still make, shared by every layer.
    #[must_use]
    pub const fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    pub(crate) fn with(self, attempts: Attempts) -> Self {
        Self { attempts, ..self }
    }

    /// Asks for the provider's token counts in a streamed answer, where the dialect has them only on
    /// request: `stream_options.include_usage` is spliced in. `true`: it was not asked for before, by
    /// the caller or a layer further out. The layer that is told so takes the extra event out again,
    /// with [`UsageHidden`](crate::UsageHidden).
    ///
    /// Mistral and OpenRouter send the counts unasked: they are not asked.
    ///
    /// # Errors
    ///
    /// [`NotRewritten`]; the request is unchanged then, and the answer's usage will be estimated.
    pub fn ask_usage(request: &mut Request<Payload>) -> Result<bool, NotRewritten> {
        let call = Self::of(request).ok_or(NotRewritten::NotRead)?;
        let unasked = !call.dialect.wire().usage_on_request || sends_usage_unasked(request.uri());
        if !call.is_stream() || call.asks_usage() || unasked {
            return Ok(false);
        }
        rewrite::body(request, |body| {
            splice::set_within(body, "stream_options", "include_usage", "true")
        })?;
        Ok(true)
    }
}

/// The path, which costs no copy of it.
fn path_of(uri: &Uri) -> PathAndQuery {
    let path = uri.path_and_query().cloned();
    path.unwrap_or_else(|| PathAndQuery::from_static("/"))
}

fn sends_usage_unasked(uri: &Uri) -> bool {
    uri.host().is_some_and(|host| {
        host.ends_with(".mistral.ai") || host == "openrouter.ai" || host.ends_with(".openrouter.ai")
    })
}

fn is_signed(headers: &HeaderMap) -> bool {
    const MARKS: [HeaderName; 7] = [
        HeaderName::from_static("signature"),
        HeaderName::from_static("signature-input"),
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("repr-digest"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("x-amz-content-sha256"),
    ];
    MARKS.iter().any(|mark| headers.contains_key(mark))
        || headers
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("dialect", &self.dialect)
            .field("model", &self.facts.model)
            .field("stream", &self.facts.stream)
            .field("output_cap", &self.facts.output_cap)
            .field("choices", &self.choices())
            .field("prompt_bytes", &self.facts.prompt_bytes)
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}
