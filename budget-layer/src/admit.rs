//! From a request to what is reserved for it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body;
use llm_exchange::{AnswerBody, BoxError, Call, Dialect, Payload, Purchase, Unreadable};

use crate::{
    budget::Budget,
    open::Guard,
    plan::{Plan, Prompt, Wish, largest},
    refusal::{self, Why},
    sending::Admission,
    store::{Claim, Store},
    tell,
    tokens::input_tokens,
};

/// What becomes of a request.
pub(crate) enum Next<S: Store, R> {
    /// It is no LLM call, or one that nothing limits.
    PassThrough(Request<Payload>),
    /// Nothing has to be asked of the store.
    Admitted(Request<Payload>, Guard<S>, bool),
    /// It waits for the store.
    Reserve(S::Reserve, Box<Admission<S>>),
    Refused(Box<Response<AnswerBody<R>>>),
}

/// Reads what a request asks for, and what of it fits.
pub(crate) fn admit<S: Store, R>(budget: &Arc<Budget<S>>, request: Request<Payload>) -> Next<S, R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let dialect = Dialect::of(request.method(), request.uri());
    let Some(dialect) = dialect.filter(|_| !budget.limits.is_empty()) else {
        return Next::PassThrough(request);
    };
    let refuse =
        |why: Why<'_>| Next::Refused(Box::new(refusal::answer(budget, why, dialect, None)));
    let call = match readable(budget, &request) {
        Ok(Some(call)) => call,
        Ok(None) => return Next::PassThrough(request),
        Err(why) => return refuse(why),
    };
    let (request, scopes) = budget.scopes(request, &call);
    let scopes = match scopes {
        Ok(scopes) => scopes,
        Err(at) => return refuse(Why::Whose(&budget.limits[at])),
    };
    let mut plan = plan(budget, &request, &call);
    let host = host(&request);
    let model = call.model().unwrap_or_default().to_owned();
    let price = |at: usize, each: u64| {
        let mut purchase = Purchase::estimate(&model, plan.input, plan.output(each));
        purchase.host = host.as_deref();
        budget.amount_of(budget.limits[at].unit, &purchase)
    };
    // what one request may be
    let mut most = plan.most;
    for (at, kept) in budget.limits.iter().enumerate() {
        if kept.window.is_some() {
            continue;
        }
        let limit = kept.amount();
        let fits = |each: u64| price(at, each).is_some_and(|amount| amount <= limit);
        match price(at, plan.least) {
            None if kept.enforced => return refuse(Why::Unpriced),
            Some(asked) if asked > limit => {
                if kept.enforced {
                    return refuse(Why::TooLarge(kept, asked));
                }
                tell::refused(budget, kept, kept.unit.amount(asked));
            }
            _ if kept.enforced => most = largest(plan.least, most, fits),
            _ => {}
        }
    }
    let mut claims = Vec::with_capacity(scopes.len());
    for (at, scope) in scopes {
        let kept = &budget.limits[at];
        let Some(window) = kept.window.clone() else {
            continue;
        };
        let (least, all) = match (price(at, plan.least), price(at, most)) {
            (Some(least), Some(all)) => (least, all),
            _ if kept.enforced => return refuse(Why::Unpriced),
            _ => continue,
        };
        let claim = Claim::new(scope, window, kept.amount(), least);
        claims.push((at, claim.up_to(all).enforced(kept.enforced)));
    }
    plan.most = most;
    let admission = Box::new(Admission {
        budget: Arc::clone(budget),
        request,
        call,
        dialect,
        plan,
        host,
        claims,
    });
    if admission.claims.is_empty() {
        let each = admission.plan.most;
        return match admission.send(None, Vec::new(), each, Vec::new()) {
            Ok((request, guard, hides_usage)) => Next::Admitted(request, guard, hides_usage),
            Err(refused) => Next::Refused(refused),
        };
    }
    let claims: Vec<Claim> = admission
        .claims
        .iter()
        .map(|(_, claim)| claim.clone())
        .collect();
    Next::Reserve(budget.store.reserve(&claims), admission)
}

/// The call, if it is to be limited.
fn readable<'b, S>(
    budget: &Budget<S>,
    request: &Request<Payload>,
) -> Result<Option<Arc<Call>>, Why<'b>> {
    let may_pass = budget.settings.allows_unreadable || !budget.is_enforced();
    let Some(call) = Call::of(request) else {
        if may_pass {
            return Ok(None);
        }
        let why = "its content type is not that of the API".to_owned();
        return Err(Why::Unreadable(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    };
    match call.unreadable() {
        None => Ok(Some(Arc::clone(call))),
        // its caller is gone: it is no call that a provider would make
        Some(Unreadable::Broken) => Ok(None),
        Some(_) if may_pass => Ok(None),
        Some(why) => {
            let status = match why {
                Unreadable::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Unreadable::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                _ => StatusCode::BAD_REQUEST,
            };
            Err(Why::Unreadable(status, why.to_string()))
        }
    }
}

fn plan<S>(budget: &Budget<S>, request: &Request<Payload>, call: &Call) -> Plan {
    // a call that was read can be counted
    let counted = input_tokens(&*budget.settings.counter, request);
    let prompt = counted.map_or_else(
        || Prompt {
            tokens: call.estimated_input(),
            is_text: false,
        },
        |counted| Prompt {
            tokens: counted.tokens,
            is_text: counted.is_text,
        },
    );
    let wish = Wish {
        prompt,
        cap: call.output_cap(),
        choices: call.choices(),
        is_stream: call.is_stream(),
        can_be_told: budget.is_enforced()
            && call.dialect().takes_output_cap()
            && Call::can_be_rewritten(request).is_ok(),
    };
    let expected = budget.learnt.expected(call.model().unwrap_or_default());
    Plan::new(&wish, &budget.settings.rules, expected)
}

/// The host that a request is for, and nothing else that may stand in an authority.
fn host(request: &Request<Payload>) -> Option<Box<str>> {
    let of_header = |headers: &HeaderMap| {
        let value = headers.get(header::HOST)?.to_str().ok()?;
        Some(
            value
                .rsplit_once(':')
                .map_or(value, |(host, _)| host)
                .into(),
        )
    };
    let host = request.uri().host().map(Into::into);
    host.or_else(|| of_header(request.headers()))
}
