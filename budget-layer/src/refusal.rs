//! Answers to calls that are not sent.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use llm_exchange::{AnswerBody, Dialect, ErrorAnswer, Refusal};

use crate::{
    amount::Amount,
    budget::{Budget, Kept},
    headers,
    store::Standing,
    tell,
};

const LAYER: &str = "budget-layer";
/// OpenAI's and Anthropic's SDKs obey it.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// By which limit a call was refused: an extension of the answer.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct OverBudget {
    /// The limit's name.
    pub limit: Arc<str>,
    /// How much there is of it.
    pub amount: Amount,
    /// What was used, by calls that have ended.
    pub used: Amount,
    /// What is reserved by calls that have not.
    pub reserved: Amount,
    /// What is left.
    pub remaining: Amount,
    /// What the call needed at least.
    pub asked: Amount,
    /// When it would fit. `None`: never, or as soon as running calls have ended.
    pub retry_after: Option<Duration>,
}

impl OverBudget {
    /// Why a response is a refusal, if it is one of a budget that is used up.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }
}

/// Why a call is not sent.
pub(crate) enum Why<'b> {
    /// It is larger than one may be.
    TooLarge(&'b Kept, u64),
    /// The first limit that it does not fit into, how that stands, what the call asked of it, and when
    /// all would fit.
    Over(&'b Kept, Standing, u64, Option<Duration>),
    /// Nobody knows whose the call is.
    Whose(&'b Kept),
    Unpriced,
    /// Its cost can't be foreseen.
    Unreadable(StatusCode, String),
    StoreAway,
}

pub(crate) fn answer<S, R>(
    budget: &Budget<S>,
    why: Why<'_>,
    dialect: Dialect,
    remaining: Option<HeaderValue>,
) -> Response<AnswerBody<R>> {
    let mut over = None;
    let mut tells_not_to_retry = true;
    let (status, code, message) = match why {
        Why::TooLarge(kept, asked) => {
            let amount = |kept_as: u64| kept.unit.amount(kept_as);
            let (asked, limit) = (amount(asked), amount(kept.amount()));
            tell::refused(budget, kept, asked);
            let message = format!(
                "the request may need {asked:?} and a request may have {limit:?} ({})",
                kept.name
            );
            over = Some(OverBudget {
                limit: Arc::clone(&kept.name),
                amount: limit,
                used: amount(0),
                reserved: amount(0),
                remaining: limit,
                asked,
                retry_after: None,
            });
            (
                StatusCode::PAYLOAD_TOO_LARGE,
                "budget_request_too_large",
                message,
            )
        }
        Why::Over(kept, standing, asked, retry_after) => {
            let amount = |kept_as: u64| kept.unit.amount(kept_as);
            let found = OverBudget {
                limit: Arc::clone(&kept.name),
                amount: amount(standing.limit),
                used: amount(standing.used),
                reserved: amount(standing.reserved),
                remaining: amount(standing.remaining()),
                asked: amount(asked),
                retry_after,
            };
            tell::refused(budget, kept, found.asked);
            let message = format!(
                "the budget {} is used up: of {:?}, {:?} are used and {:?} reserved by running calls; \
                 {:?} remain, and the call needs {:?}",
                kept.name, found.amount, found.used, found.reserved, found.remaining, found.asked
            );
            over = Some(found);
            (StatusCode::TOO_MANY_REQUESTS, "budget_exceeded", message)
        }
        Why::Whose(kept) => {
            let message = format!(
                "nobody knows whose budget this is ({}): the request has no known {}",
                kept.name,
                kept.whose.as_str()
            );
            (StatusCode::FORBIDDEN, "budget_owner_unknown", message)
        }
        Why::Unpriced => (
            StatusCode::BAD_REQUEST,
            "budget_price_unknown",
            "the model has no known price, and there is a budget of money".to_owned(),
        ),
        Why::Unreadable(status, why) => {
            let message = format!("there is a budget, and the request can't be read: {why}");
            (status, "budget_unreadable", message)
        }
        Why::StoreAway => {
            tells_not_to_retry = false;
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "budget_store_away",
                "the budgets can't be looked up".to_owned(),
            )
        }
    };
    if over.is_none() {
        tell::not_sent(budget, code);
    }
    let mut answer = ErrorAnswer::new(status, code, message);
    let retry_after = over.as_ref().and_then(|over| over.retry_after);
    if let Some(delay) = retry_after {
        answer = answer.retry_after(delay);
    }
    let mut response = Refusal::new(LAYER, answer).into_response(Some(dialect));
    let head = response.headers_mut();
    if tells_not_to_retry {
        head.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if let Some(over) = &over {
        headers::over(head, over);
    }
    if let Some(remaining) = remaining {
        head.insert(headers::REMAINING, remaining);
    }
    // what is refused today is not to be kept by anybody in between
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(over) = over {
        response.extensions_mut().insert(over);
    }
    response
}
