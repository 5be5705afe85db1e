//! One place where a call can be served.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use llm_exchange::{Credential, Dialect, Host, InvalidCredential, Money, Price};
use serde::Serialize;

use crate::{Inner, Prefill, Via, invalid::Fault, translate::translates};

/// One place where a call can be served: a model, and where it differs from where the call was
/// going anyway, the host, the credential, parameters, limits.
///
/// A text is a target too: this model, at the host and with the credential of the call.
///
/// What is wrong with a target is told when the layer is made, by
/// [`FallbackLayer::new`](crate::FallbackLayer::new).
///
/// ```
/// use std::time::Duration;
/// use fallback_layer::Target;
///
/// let target = Target::model("llama-3.3-70b")
///     .at("https://api.groq.com/openai")
///     .credential("gsk-…")
///     .parameter("temperature", 0.2)
///     .without_parameter("logprobs")
///     .context_window(131_072)
///     .max_latency(Duration::from_secs(3));
/// # let _ = target;
/// ```
#[derive(Clone)]
pub struct Target<O = Inner> {
    pub(crate) spec: Spec,
    pub(crate) own: Option<O>,
}

/// What a target is, its service apart.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) label: Option<Arc<str>>,
    /// `None`: the model that was asked for.
    pub(crate) model: Option<Arc<str>>,
    /// `None`: where the call was going.
    pub(crate) host: Option<Host>,
    pub(crate) credential: Whose,
    pub(crate) headers: HeaderMap,
    /// `None`: the call's.
    pub(crate) dialect: Option<Dialect>,
    /// `None`: whatever the call speaks.
    pub(crate) dialects: Option<Box<[Dialect]>>,
    /// The JSON, or `None` to take it out.
    pub(crate) parameters: Vec<(Box<str>, Option<Box<str>>)>,
    pub(crate) disabled: bool,
    pub(crate) max_latency: Option<Duration>,
    pub(crate) max_cost: Option<MaxCost>,
    pub(crate) context_window: Option<u64>,
    /// `None`: what is known of it.
    pub(crate) prefill: Option<Prefill>,
    pub(crate) fault: Option<Fault>,
}

/// Whose credential a target is called with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    Callers,
    /// Where the call was going to the target's host anyway, else nobody's.
    CallersThere,
    Own(Credential),
    Nobodys,
}

#[derive(Clone)]
pub(crate) struct MaxCost {
    pub(crate) limit: Money,
    pub(crate) prices: Arc<dyn Price>,
}

impl Target {
    /// This model, at the host and with the credential of the call.
    #[must_use]
    pub fn model(model: impl Into<Arc<str>>) -> Self {
        Self::new(Some(model.into()))
    }

    /// The model that the caller asks for: the call as it is.
    #[must_use]
    pub fn as_asked() -> Self {
        Self::new(None)
    }

    fn new(model: Option<Arc<str>>) -> Self {
        Self {
            spec: Spec {
                label: None,
                model,
                host: None,
                credential: Whose::Callers,
                headers: HeaderMap::new(),
                dialect: None,
                dialects: None,
                parameters: Vec::new(),
                disabled: false,
                max_latency: None,
                max_cost: None,
                context_window: None,
                prefill: None,
                fault: None,
            },
            own: None,
        }
    }
}

impl<O> Target<O> {
    /// At another host: `http://` or `https://`, host, port and path as one writes an SDK's base
    /// URL, see [`Host`].
    ///
    /// The caller's credential does not leave for another host, so this target needs
    /// [`credential`](Self::credential) or [`without_credential`](Self::without_credential).
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        match url.parse() {
            Ok(host) => self.spec.host = Some(host),
            Err(why) => self.fault(Fault::Host(why)),
        }
        self
    }

    /// With this key instead of the caller's credential, in the header that the dialect has for it
    /// (`authorization: Bearer`, `x-api-key`).
    #[must_use]
    pub fn credential(self, key: &str) -> Self {
        self.try_credential(Credential::key(key))
    }

    /// With this credential instead of the caller's, in this header (Azure: `api-key`).
    #[must_use]
    pub fn credential_header(self, name: HeaderName, value: &str) -> Self {
        self.try_credential(Credential::header(name, value))
    }

    /// With this credential instead of the caller's.
    #[must_use]
    pub fn own_credential(self, credential: Credential) -> Self {
        self.try_credential(Ok(credential))
    }

    fn try_credential(mut self, credential: Result<Credential, InvalidCredential>) -> Self {
        match credential {
            Ok(credential) => self.spec.credential = Whose::Own(credential),
            Err(why) => self.fault(Fault::Credential(why)),
        }
        self
    }

    /// Without any credential, as local servers take it. The caller's is removed.
    #[must_use]
    pub fn without_credential(mut self) -> Self {
        self.spec.credential = Whose::Nobodys;
        self
    }

    /// With this header on the request, in place of the caller's.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.spec.headers.insert(name, value);
        self
    }

    /// With this parameter in the request's JSON, in place of the caller's. `model` and `stream` are
    /// not for here.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl Serialize) -> Self {
        match serde_json::to_string(&value) {
            Ok(json) => self.set(name, Some(json.into())),
            Err(_) => self.fault(Fault::Parameter(name.into())),
        }
        self
    }

    /// Without this parameter of the caller's, such as one that the model does not take.
    #[must_use]
    pub fn without_parameter(mut self, name: &str) -> Self {
        self.set(name, None);
        self
    }

    /// With the caller's credential where the call was going to the same host anyway, and else without
    /// any.
    #[must_use]
    pub fn callers_credential_there(mut self) -> Self {
        self.spec.credential = Whose::CallersThere;
        self
    }

    fn set(&mut self, name: &str, json: Option<Box<str>>) {
        if matches!(name, "model" | "stream") {
            self.fault(Fault::Parameter(name.into()));
            return;
        }
        self.spec.parameters.retain(|(of, _)| **of != *name);
        self.spec.parameters.push((name.into(), json));
    }

    /// The dialects that it speaks. It is skipped for calls of others, unless they can be translated to its
    /// `dialect`, and a chain none of whose targets speaks a call's dialect is not taken. Default:
    /// whatever the call speaks, or its `dialect` alone.
    #[must_use]
    pub fn dialects(mut self, dialects: &[Dialect]) -> Self {
        self.spec.dialects = Some(dialects.into());
        self
    }

    /// The dialect that it speaks: a call of another (of none of [`dialects`](Self::dialects), where those
    /// are given) is translated into it, and its answer back. It is skipped for
    /// calls with something in them that cannot be carried over, and
    /// [`Left::untranslatable`](crate::Left::untranslatable) says what. OpenAI chat completions,
    /// Anthropic messages and Gemini; see llm-translate for what becomes of what. Its parameters are
    /// those of its dialect. Default: the call's.
    #[cfg(feature = "translate")]
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        let known = [
            Dialect::OpenAiChat,
            Dialect::AnthropicMessages,
            Dialect::Gemini,
        ];
        if !known.contains(&dialect) {
            self.fault(Fault::Dialect);
        }
        self.spec.dialect = Some(dialect);
        self
    }

    /// Skipped as long as it is. Default false.
    #[must_use]
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.spec.disabled = disabled;
        self
    }

    /// The longest time from when its turn comes to its first content. Over it the target is left
    /// for the next one, as timed out; where there is none, it is waited for. Default: no limit.
    ///
    /// The content of an answer that is not streamed comes when all of it is generated: allow for
    /// that.
    #[must_use]
    pub fn max_latency(mut self, limit: Duration) -> Self {
        if limit.is_zero() {
            self.fault(Fault::MaxLatency);
        }
        self.spec.max_latency = Some(limit);
        self
    }

    /// The most that one call may cost here, by these prices. The target is skipped where the
    /// estimate is above it, and where the price is not known. Default: no limit.
    ///
    /// Estimated are the prompt's tokens by its size, and as many generated ones as the call allows
    /// ([`FallbackLayer::expected_output`](crate::FallbackLayer::expected_output) where it doesn't
    /// say).
    #[must_use]
    pub fn max_cost(mut self, limit: Money, prices: impl Price + 'static) -> Self {
        self.spec.max_cost = Some(MaxCost {
            limit,
            prices: Arc::new(prices),
        });
        self
    }

    /// The most tokens of a prompt that the model takes. The target is skipped where the prompt
    /// surely has more. Default: no limit; the provider says so itself.
    #[must_use]
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.spec.context_window = Some(tokens);
        self
    }

    /// How it is asked to go on from the beginning of an answer
    /// ([`FallbackLayer::failover`](crate::FallbackLayer::failover)). Default: as is known of the model
    /// (Claude up to 4.5, Mistral's and DeepSeek's own addresses, models that reason left out), else
    /// never: a model that does not go on begins anew.
    ///
    /// A target of another dialect for which this is set is also sent a beginning that the caller wrote: a conversation
    /// that ends with the assistant's turn, which else is not carried over.
    #[must_use]
    pub fn prefill(mut self, how: Prefill) -> Self {
        self.spec.prefill = Some(how);
        self
    }

    /// The name by which answers, errors and logs call it. Default: the model.
    #[must_use]
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.spec.label = Some(label.into());
        self
    }

    /// Served by a service of its own instead of the inner one: with the same answer and error
    /// types, and the address and credential that the target has otherwise.
    #[must_use]
    pub fn via<T>(self, service: T) -> Target<Via<T>> {
        Target {
            spec: self.spec,
            own: Some(Via(service)),
        }
    }

    /// The first fault is told.
    fn fault(&mut self, fault: Fault) {
        self.spec.fault.get_or_insert(fault);
    }

    pub(crate) fn map<U>(self, own: impl FnOnce(O) -> U) -> Target<U> {
        Target {
            spec: self.spec,
            own: self.own.map(own),
        }
    }
}

impl Spec {
    /// Whether the two make the same request of a call that asks for this model.
    pub(crate) fn is_same(&self, other: &Self, asked: Option<&str>) -> bool {
        self.model_for(asked) == other.model_for(asked)
            && self.host == other.host
            && self.dialect == other.dialect
            && self.credential == other.credential
            && self.headers == other.headers
            && self.parameters == other.parameters
    }

    /// Whether it can be sent calls of this dialect.
    pub(crate) fn speaks(&self, dialect: Dialect) -> bool {
        let translated = |own| translates(dialect, own);
        self.speaks_natively(dialect) || self.dialect.is_some_and(translated)
    }

    /// The same without a translation.
    pub(crate) fn speaks_natively(&self, dialect: Dialect) -> bool {
        match (&self.dialects, self.dialect) {
            (Some(dialects), _) => dialects.contains(&dialect),
            (None, Some(own)) => own == dialect,
            (None, None) => true,
        }
    }

    /// The model that it is asked for when the call asks for this one.
    pub(crate) fn model_for<'a>(&'a self, asked: Option<&'a str>) -> Option<&'a str> {
        self.model.as_deref().or(asked)
    }

    /// Whether it makes another request of a call that asks for this model.
    pub(crate) fn changes(&self, asked: Option<&str>) -> bool {
        self.model_for(asked) != asked
            || self.host.is_some()
            || self.dialect.is_some()
            || self.credential != Whose::Callers
            || !self.headers.is_empty()
            || !self.parameters.is_empty()
    }
}

impl From<&str> for Target {
    fn from(model: &str) -> Self {
        Self::model(model)
    }
}

impl From<String> for Target {
    fn from(model: String) -> Self {
        Self::model(model)
    }
}

/// Shows no credential, header value or parameter.
impl<O> fmt::Debug for Target<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spec {
            label,
            model,
            host,
            disabled,
            max_latency,
            context_window,
            ..
        } = &self.spec;
        f.debug_struct("Target")
            .field("label", label)
            .field("model", model)
            .field("host", host)
            .field("disabled", disabled)
            .field("max_latency", max_latency)
            .field(
                "max_cost",
                &self.spec.max_cost.as_ref().map(|max| max.limit),
            )
            .field("context_window", context_window)
            .field("has_own_service", &self.own.is_some())
            .finish_non_exhaustive()
    }
}
