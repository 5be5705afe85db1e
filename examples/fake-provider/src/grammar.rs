//! The one parser of behaviours written as text: `x-fake` headers, model names, `Script::parse`.
//!
//! ```text
//! x-fake = item *( "," item )      blanks around items and around "=" do not count
//! item   = option [ "=" value ]
//! model  = [ anything "/" ] word *( "+" word )
//! word   = name [ "-" digits ]     a name of WORDS; any other word is just a part of the name
//! ```

mod value;

use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};

use self::value::Value;
use crate::{
    behaviour::{Behaviour, BodyFault, Fault, MOST_DELTAS},
    dialect::Server,
    failure::{Failure, Hint, MOST_ERROR_BYTES},
    options::{OPTIONS, WORDS},
    script::Script,
};

/// A text that describes no behaviour; its `Display` says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl FromStr for Script {
    type Err = Unreadable;

    /// Reads what `x-fake` takes (see [`OPTIONS`]).
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut draft = Draft::default();
        draft.header(text)?;
        Ok(draft.finish()?.unwrap_or_default())
    }
}

/// What the name of the model and the header ask for together; the header is the stronger.
/// `None`: nothing.
pub(crate) fn script(model: &str, header: Option<&str>) -> Result<Option<Script>, Unreadable> {
    let mut draft = Draft::default();
    draft.model(model)?;
    let of_name = draft.fault.take();
    if let Some(text) = header {
        draft.header(text)?;
    }
    draft.fault = draft.fault.or(of_name);
    draft.finish()
}

/// The text of `x-fake`; several headers are one list.
pub(crate) fn header(headers: &HeaderMap) -> Result<Option<String>, Unreadable> {
    let mut texts = Vec::new();
    for value in headers.get_all("x-fake") {
        let text = value
            .to_str()
            .map_err(|_| Unreadable("it is not plain ASCII".into()))?;
        texts.push(text);
    }
    Ok((!texts.is_empty()).then(|| texts.join(",")))
}

/// Options read so far.
#[derive(Debug, Default)]
struct Draft {
    fault: Option<(Fault, Option<u64>)>,
    times: Option<u64>,
    behaviour: Behaviour,
    hints: Vec<Hint>,
    headers: Vec<(HeaderName, HeaderValue)>,
    error_bytes: Option<usize>,
    html: bool,
    error_status: Option<u16>,
    any: bool,
}

impl Draft {
    fn header(&mut self, text: &str) -> Result<(), Unreadable> {
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (item, None),
            };
            self.option(name, value)?;
        }
        Ok(())
    }

    fn model(&mut self, name: &str) -> Result<(), Unreadable> {
        let name = name.rsplit_once('/').map_or(name, |(_, last)| last);
        for word in name.split('+') {
            let numbered = word
                .rsplit_once('-')
                .filter(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            let (word, value) = numbered.map_or((word, None), |(word, n)| (word, Some(n)));
            let Some((_, option)) = WORDS.iter().find(|(known, _)| *known == word) else {
                continue;
            };
            // "break" alone may be anybody's model name
            if value.is_some() || !value_needed(option) {
                self.option(option, value)?;
            }
        }
        Ok(())
    }

    fn option(&mut self, name: &str, value: Option<&str>) -> Result<(), Unreadable> {
        self.any = true;
        let read = Value { name, text: value };
        let behaviour = std::mem::take(&mut self.behaviour);
        self.behaviour = match name {
            "head-delay-ms" => behaviour.head_delay(read.ms()?),
            "think-ms" => behaviour.think(read.ms()?),
            "delta-delay-ms" => behaviour.delta_delay(read.ms()?),
            "ping-ms" => behaviour.ping_while_thinking(read.ms()?),
            "ping-every" => behaviour.ping_every(read.number(1, MOST_DELTAS)?),
            "deltas" => behaviour.deltas(read.number(0, MOST_DELTAS)?),
            "reasoning" => behaviour.reasoning(read.number(0, MOST_DELTAS)?),
            "tool" => read.none(behaviour.tool_call())?,
            "no-usage" => read.none(behaviour.no_usage())?,
            "crlf" => read.none(behaviour.crlf())?,
            "cr" => read.none(behaviour.cr())?,
            "segment" => behaviour.segment(read.number(1, usize::MAX)?),
            "like" => behaviour.like(read.one_of(&Server::ALL)?),
            "key" => behaviour.require_key(read.some()?),
            _ => {
                self.behaviour = behaviour;
                return self.trouble(&read);
            }
        };
        Ok(())
    }

    /// The options about what goes wrong.
    fn trouble(&mut self, read: &Value<'_>) -> Result<(), Unreadable> {
        let fail = |failure: Failure| Ok((Fault::Fail(failure), read.count()?));
        let body = |fault| Ok::<_, Unreadable>((Fault::Body(read.at()?, fault), None));
        let fault = match read.name {
            "throttle" => fail(Failure::rate_limited())?,
            "quota" => fail(Failure::quota_exhausted())?,
            "fail" => fail(Failure::status(500))?,
            "overloaded" => fail(Failure::overloaded())?,
            "context-length" => fail(Failure::context_too_long())?,
            "status" => (Fault::Fail(Failure::status(read.number(400, 599)?)), None),
            "close" => (Fault::Close, read.count()?),
            "reset" => (Fault::Reset, read.count()?),
            "hang" => (Fault::Hang, read.count()?),
            "stall-at" => body(BodyFault::Stall)?,
            "break-at" => body(BodyFault::Break)?,
            "end-at" => body(BodyFault::End)?,
            "err-at" => body(BodyFault::Error(None))?,
            _ => return self.detail(read),
        };
        if self.fault.is_some() {
            return Err(Unreadable(format!(
                "{} is a second fault; one at a time",
                read.name
            )));
        }
        self.fault = Some(fault);
        Ok(())
    }

    /// The options that tell more of a fault.
    fn detail(&mut self, read: &Value<'_>) -> Result<(), Unreadable> {
        let hint = match read.name {
            "retry-after" => Hint::RetryAfter(read.some()?.to_owned()),
            "retry-after-date" => Hint::RetryAfterDate(read.parsed("a number of seconds")?),
            "retry-after-ms" => Hint::RetryAfterMs(read.parsed("a number of milliseconds")?),
            "reset-requests-ms" => Hint::ResetRequests(read.ms()?),
            "reset-tokens-ms" => Hint::ResetTokens(read.ms()?),
            "anthropic-reset" => Hint::AnthropicReset(read.parsed("a number of seconds")?),
            "retry-info-ms" => Hint::RetryInfo(read.ms()?),
            "pushback" => Hint::Pushback(read.some()?.to_owned()),
            "should-retry" => Hint::ShouldRetry(read.parsed("true or false")?),
            "times" => {
                self.times = Some(read.number(0, u64::MAX)?);
                return Ok(());
            }
            "header" => {
                let pair = read.some()?.split_once(':').and_then(|(name, value)| {
                    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
                });
                self.headers
                    .push(pair.ok_or_else(|| read.not("NAME:VALUE"))?);
                return Ok(());
            }
            "error-bytes" => {
                self.error_bytes = Some(read.number(0, MOST_ERROR_BYTES)?);
                return Ok(());
            }
            "html" => {
                self.html = read.none(true)?;
                return Ok(());
            }
            "err-status" => {
                self.error_status = Some(read.number(400, 599)?);
                return Ok(());
            }
            unknown => {
                let known: Vec<_> = OPTIONS.iter().map(|(name, ..)| *name).collect();
                let known = known.join(", ");
                return Err(Unreadable(format!(
                    "{unknown:?} is no option; there are {known}"
                )));
            }
        };
        self.hints.push(hint);
        Ok(())
    }

    fn finish(mut self) -> Result<Option<Script>, Unreadable> {
        let said = !self.hints.is_empty() || !self.headers.is_empty();
        let shaped = self.error_bytes.is_some() || self.html;
        match &mut self.fault {
            Some((Fault::Fail(failure), _)) => {
                failure.hints = self.hints;
                failure.headers.extend(self.headers);
                *failure = match (self.html, self.error_bytes) {
                    (true, bytes) => failure.clone().html(bytes.unwrap_or(512)),
                    (false, Some(bytes)) => failure.clone().pad_to(bytes),
                    (false, None) => failure.clone(),
                };
            }
            Some((Fault::Body(_, BodyFault::Error(error)), _))
                if !shaped && (said || self.error_status.is_some()) =>
            {
                let mut failure = Failure::status(self.error_status.take().unwrap_or(503));
                failure.hints = self.hints;
                failure.headers.extend(self.headers);
                *error = Some(Box::new(failure));
            }
            _ if said || shaped => {
                let faults = "throttle, quota, fail, overloaded, context-length or status";
                return Err(Unreadable(format!(
                    "what an error says needs one of {faults}"
                )));
            }
            _ => {}
        }
        if self.error_status.is_some() {
            return Err(Unreadable("err-status needs err-at".into()));
        }
        if !self.any {
            return Ok(None);
        }
        let Some((fault, count)) = self.fault else {
            let needs = || Unreadable("times needs something to go wrong".into());
            return self
                .times
                .map_or(Ok(Some(self.behaviour.into())), |_| Err(needs()));
        };
        let healed = self.behaviour;
        let faulty = Behaviour {
            fault: Some(fault),
            ..healed.clone()
        };
        Ok(Some(match self.times.or(count) {
            Some(times) => Script::new()
                .times(times, faulty)
                .times(1, healed)
                .start_over(),
            None => faulty.into(),
        }))
    }
}

fn value_needed(option: &str) -> bool {
    OPTIONS
        .iter()
        .any(|(name, value, _)| *name == option && value.starts_with('='))
}

#[cfg(test)]
mod tests;
