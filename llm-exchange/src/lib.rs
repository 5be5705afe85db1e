//! [guide]: crate::guide
#![cfg_attr(docsrs, doc = include_str!("on_docs_rs.md"))]
//! [sse-layer]: ../sse_layer/index.html
//! [cost-layer]: ../cost_layer/index.html
//! [cache-layer]: ../cache_layer/index.html
//! [budget-layer]: ../budget_layer/index.html
//! [fallback-layer]: ../fallback_layer/index.html
//! [retry-layer]: ../retry_layer/index.html
//! [breaker-layer]: ../breaker_layer/index.html
//! [llm-translate]: ../llm_translate/index.html
//!
#![doc = include_str!("../README.md")]

mod answer;
mod aside;
mod asked_model;
mod attempts;
mod body;
mod call;
mod classify;
mod clock;
mod credential;
mod cut;
mod cut_short;
mod decimal;
mod dialect;
mod event_stream;
mod from_cache;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grpc;
pub mod guide;
mod hints;
mod host;
mod kept;
mod meter;
mod payload;
mod peek;
mod plain_text;
mod price;
mod provider_error;
mod route;
mod splice;
pub mod sse;
mod standing;
pub mod stream;
mod tokens;
mod usage;
mod user;
mod verdict;
mod watch;

pub use self::{
    answer::{ErrorAnswer, Refusal},
    aside::{Aside, Bookkeeper, OpenCall},
    asked_model::AskedModel,
    attempts::{Attempts, Extend, LeftBehind, NoMoreAttempts},
    body::{Ahead, AnswerBody, Reshape},
    call::{Call, NotRewritten, Prompt, Unreadable},
    classify::{Classify, Standard},
    clock::WallClock,
    credential::{
        Credential, InvalidCredential, credentials, query_without_credentials, remove_credentials,
        with_credentials, without_signature,
    },
    cut_short::CutShort,
    dialect::{Dialect, Framing},
    from_cache::FromCache,
    hints::{
        Delay, Hints,
        limits::{LimitOf, RateLimit},
    },
    host::{Host, InvalidHost, NotRedirected},
    kept::KeptRequest,
    meter::{Cut, End, FinishReason, Meter, Reached, Said, UsageHidden},
    payload::{InPlace, Payload, ReadPayload},
    peek::{Depth, Ending, Peek, PeekLimits, Peeked, peek, peek_error},
    plain_text::ask_for_plain_text,
    price::{InvalidMoney, Money, Price, Purchase},
    provider_error::ProviderError,
    standing::{Room, StandingRefusal},
    tokens::TokenEstimate,
    usage::{Tokens, Usage},
    user::User,
    verdict::Verdict,
    watch::{BodyEnd, Observe, Watch},
};

/// The error of every body of this crate: the inner error itself, boxed once and never wrapped again.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
