//! The messages of a chat completion's request, read.

use std::borrow::Cow;

use crate::{
    conversation::{self, Call, CallResult, Conversation, Image, Role, Said},
    error::NotTranslated,
    json::{Fields, Raw, count, is_empty, items, text},
};

pub(super) fn message<'a>(
    number: usize,
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<(), NotTranslated> {
    let role = fields.must("role", text)?;
    match &*role {
        "system" | "developer" => {
            for text in fields.must("content", |raw| parts(raw, |fields| only_text(fields, to)))? {
                to.instruct(number, text);
            }
        }
        "user" => {
            for said in fields.must("content", |raw| parts(raw, |fields| user_part(fields, to)))? {
                to.say(number, Role::User, said);
            }
        }
        "assistant" => assistant(number, &mut fields, to)?,
        "tool" => {
            let id = fields.must("tool_call_id", text)?;
            let texts = fields.must("content", |raw| parts(raw, |fields| only_text(fields, to)))?;
            let result = CallResult {
                id,
                content: texts.into_iter().map(Said::Text).collect(),
                failed: false,
            };
            to.say(number, Role::User, Said::Result(result));
        }
        _ => return Err(NotTranslated::nowhere("role")),
    }
    fields.done()
}

fn assistant<'a>(
    number: usize,
    fields: &mut Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<(), NotTranslated> {
    let texts = fields.read("content", |raw| {
        parts(raw, |mut fields| match &*fields.must("type", text)? {
            "refusal" => {
                let refusal = fields.must("refusal", text)?;
                fields.done().map(|()| refusal)
            }
            kind => text_part(kind, fields, to),
        })
    })?;
    // what it said when it refused is what it said
    let refusal = fields.text("refusal")?;
    for text in texts.into_iter().flatten().chain(refusal) {
        to.say(number, Role::Assistant, Said::Text(text));
    }
    let calls = fields.each("tool_calls", call)?;
    for call in calls.into_iter().flatten() {
        to.say(number, Role::Assistant, Said::Call(call));
    }
    // other providers' names for what our own answers call reasoning, see the README
    for name in ["reasoning_content", "reasoning"] {
        if fields.drop(name) {
            to.leave_out(to.names.reasoning);
        }
    }
    for name in ["annotations", "audio", "function_call"] {
        fields.unless(name, is_empty)?;
    }
    Ok(())
}

/// A content: a text, or parts. Of each what `read` makes of its fields.
fn parts<'a, T: From<TextPart<'a>>>(
    raw: Raw<'a>,
    mut read: impl FnMut(Fields<'a>) -> Result<T, NotTranslated>,
) -> Result<Vec<T>, NotTranslated> {
    match text(raw) {
        Ok(text) => Ok(vec![TextPart(text).into()]),
        Err(_) => items(raw, |raw| read(Fields::of(raw)?)),
    }
}

struct TextPart<'a>(Cow<'a, str>);

impl<'a> From<TextPart<'a>> for Cow<'a, str> {
    fn from(part: TextPart<'a>) -> Self {
        part.0
    }
}

impl<'a> From<TextPart<'a>> for Said<'a> {
    fn from(part: TextPart<'a>) -> Self {
        Self::Text(part.0)
    }
}

fn only_text<'a>(
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<Cow<'a, str>, NotTranslated> {
    let kind = fields.must("type", text)?;
    text_part(&kind, fields, to)
}

fn text_part<'a>(
    kind: &str,
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<Cow<'a, str>, NotTranslated> {
    if kind != "text" {
        return Err(NotTranslated::nowhere("type"));
    }
    let text = fields.must("text", text)?;
    marked(&mut fields, to);
    fields.done()?;
    Ok(text)
}

fn user_part<'a>(
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<Said<'a>, NotTranslated> {
    let kind = fields.must("type", text)?;
    if kind != "image_url" {
        return text_part(&kind, fields, to).map(Said::Text);
    }
    let image = fields.must("image_url", |raw| {
        let mut fields = Fields::of(raw)?;
        let image = fields.must("url", image)?;
        if fields.drop("detail") {
            to.leave_out("image_url.detail");
        }
        fields.done()?;
        Ok(image)
    })?;
    marked(&mut fields, to);
    fields.done()?;
    Ok(Said::Image(image))
}

/// A place up to which the provider is to keep the prompt in its cache.
pub(crate) fn marked<'a>(fields: &mut Fields<'a>, to: &mut Conversation<'a>) {
    if fields.drop("prompt_cache_breakpoint") {
        to.leave_out("prompt_cache_breakpoint");
    }
}

/// An image by its address, which may be a `data:` one.
pub(crate) fn image(raw: Raw<'_>) -> Result<Image<'_>, NotTranslated> {
    let url = text(raw)?;
    let starts = |start: &str| {
        let begin = url.get(..start.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(start))
    };
    if starts("https://") || starts("http://") {
        return Ok(Image::At(url));
    }
    let data = starts("data:").then(|| url["data:".len()..].split_once(";base64,"));
    let Some(Some((media_type, base64))) = data else {
        return Err(NotTranslated::malformed(
            "",
            "it is neither an address nor base64 data",
        ));
    };
    let (media_at, data_at) = ("data:".len(), url.len() - base64.len());
    let media_end = media_at + media_type.len();
    Ok(match url {
        Cow::Borrowed(url) => Image::Data {
            media_type: Cow::Borrowed(&url[media_at..media_end]),
            base64: Cow::Borrowed(&url[data_at..]),
        },
        Cow::Owned(mut url) => {
            let base64 = url.split_off(data_at);
            Image::Data {
                media_type: Cow::Owned(url[media_at..media_end].to_owned()),
                base64: Cow::Owned(base64),
            }
        }
    })
}

fn call(raw: Raw<'_>) -> Result<Call<'_>, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    match fields.text("type")?.as_deref() {
        None | Some("function") => {}
        _ => return Err(NotTranslated::nowhere("type")),
    }
    let id = fields.must("id", text)?;
    fields.read("index", count)?;
    let (name, input) = fields.must("function", |raw| {
        let mut fields = Fields::of(raw)?;
        let name = fields.must("name", text)?;
        let input = fields.must("arguments", |raw| conversation::input(&text(raw)?))?;
        fields.done()?;
        Ok((name, input))
    })?;
    fields.done()?;
    Ok(Call { id, name, input })
}
