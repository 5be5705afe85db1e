//! A whole HTTP exchange translated: the request, its head and body, and the answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use llm_exchange::{
    AnswerBody, AskedModel, BoxError, Call, Dialect, NotRewritten, Payload, WallClock,
    ask_for_plain_text,
};

use crate::{ANTHROPIC_VERSION, Asked, Back, NotTranslated, TranslatedAnswer, forth::translates};

/// On the request to Anthropic: the version of its API.
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// On the answer: what of the request was not carried over.
const LEFT_OUT: HeaderName = HeaderName::from_static("x-llm-left-out");

/// A call that was sent in another dialect than its caller's, and waits for its answer.
#[derive(Clone, Debug)]
pub struct Translation {
    back: Back,
    left_out: Vec<&'static str>,
    model: Option<AskedModel>,
}

impl Translation {
    /// Makes of a request that was read ([`Payload::read`]) the same call in another dialect: path and
    /// query, JSON, and the headers that belong to a dialect. Host and credential are not touched:
    /// those are for [`Host`](llm_exchange::Host) and [`Credential`](llm_exchange::Credential).
    ///
    /// An `anthropic-version` that stands on the request is kept for Anthropic, else
    /// [`ANTHROPIC_VERSION`] is set.
    ///
    /// # Errors
    ///
    /// What cannot be carried over. The request is unchanged then.
    pub fn begin(request: &mut Request<Payload>, to: Dialect) -> Result<Self, NotTranslated> {
        Self::begin_with(request, to, |asked| asked)
    }

    /// The same, with what is said of the request besides, such as
    /// [`Asked::carry_last_turn`].
    ///
    /// # Errors
    ///
    /// What cannot be carried over. The request is unchanged then.
    pub fn begin_with(
        request: &mut Request<Payload>,
        to: Dialect,
        say: impl for<'a> FnOnce(Asked<'a>) -> Asked<'a>,
    ) -> Result<Self, NotTranslated> {
        let call = Call::of(request).ok_or(NotRewritten::NotRead)?;
        let from = call.dialect();
        if !translates(from, to) {
            return Err(NotTranslated::not(
                "",
                "there is no way between the dialects",
            ));
        }
        // what passes as a stream was not read either
        let body = request.body().whole().ok_or(NotRewritten::NotRead)?;
        let mut asked = Asked::new(from, body);
        if let Some(model) = call.model() {
            asked = asked.model(model);
        }
        if let (true, Some(framing)) = (call.is_stream(), Call::framing(request)) {
            asked = asked.stream(framing);
        }
        let version = request.headers().get(VERSION);
        if let Some(version) = version.and_then(|version| version.to_str().ok()) {
            asked = asked.anthropic_version(version);
        }
        let (path, body, mut left_out, back) = say(asked).translate(to)?.into_parts();
        Call::replace(request, path, body)?;
        let headers = request.headers_mut();
        if headers.remove(BETA).is_some() {
            left_out.push("anthropic-beta");
        }
        if to != Dialect::AnthropicMessages {
            headers.remove(VERSION);
        } else if !headers.contains_key(VERSION) {
            headers.insert(VERSION, HeaderValue::from_static(ANTHROPIC_VERSION));
        }
        ask_for_plain_text(headers);
        Ok(Self {
            back,
            left_out,
            model: None,
        })
    }

    /// Where the time of an answer comes from whose own dialect does not say it.
    #[must_use]
    pub fn clock(mut self, clock: WallClock) -> Self {
        self.back = self.back.clock(clock);
        self
    }

    /// The call that the target is sent in the end: layers further out hear of its model and host by
    /// [`AskedModel`].
    #[must_use]
    pub fn asked(mut self, call: &Call) -> Self {
        let model = call.model();
        self.model = model.map(|model| AskedModel::new(model).at(call.host()));
        self
    }

    /// Fields of the caller's that were not carried over; the answer's head tells of them too, in
    /// `x-llm-left-out`.
    #[must_use]
    pub fn left_out(&self) -> &[&'static str] {
        &self.left_out
    }

    /// The answer to the translated request, for the caller. A stream is translated as it comes;
    /// anything else is read first, at most 16 MiB of it.
    pub fn answer<R>(self, response: Response<AnswerBody<R>>) -> TranslatedAnswer<R>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        TranslatedAnswer::new(self, response)
    }

    pub(crate) const fn back(&self) -> &Back {
        &self.back
    }

    pub(crate) const fn model(&self) -> Option<&AskedModel> {
        self.model.as_ref()
    }

    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        if !self.left_out.is_empty()
            && let Ok(names) = HeaderValue::try_from(self.left_out.join(", "))
        {
            headers.insert(LEFT_OUT, names);
        }
    }
}
