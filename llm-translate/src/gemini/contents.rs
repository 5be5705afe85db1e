//! The contents of a request of Gemini's, read.

use std::borrow::Cow;

use crate::{
    conversation::{self, Call, CallResult, Conversation, Image, Role, Said},
    error::NotTranslated,
    json::{Fields, Raw, is_empty, items, text},
};

/// Calls without an id are numbered, and results without one answer the first of their name.
#[derive(Default)]
pub(super) struct Calls<'a> {
    count: usize,
    unanswered: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

pub(super) fn content<'a>(
    raw: Raw<'a>,
    calls: &mut Calls<'a>,
    to: &mut Conversation<'a>,
) -> Result<(Role, Vec<Said<'a>>), NotTranslated> {
    if let Ok(text) = text(raw) {
        return Ok((Role::User, vec![Said::Text(text)]));
    }
    let mut fields = Fields::camel(raw)?;
    let role = match fields.text("role")?.as_deref() {
        None | Some("user" | "function") => Role::User,
        Some("system") => Role::System,
        Some("model") => Role::Assistant,
        _ => return Err(NotTranslated::nowhere("role")),
    };
    let said = fields.must("parts", |raw| {
        // one part may stand without its list
        if raw.get().starts_with('{') {
            return Ok(vec![part(Fields::camel(raw)?, calls, to)?]);
        }
        items(raw, |raw| part(Fields::camel(raw)?, calls, to))
    })?;
    fields.done()?;
    Ok((role, said.into_iter().flatten().collect()))
}

/// What a part says; `None`: it is left out.
fn part<'a>(
    mut fields: Fields<'a>,
    calls: &mut Calls<'a>,
    to: &mut Conversation<'a>,
) -> Result<Option<Said<'a>>, NotTranslated> {
    // sealed for the model that thought it
    if fields.drop("thoughtSignature") {
        to.leave_out("contents.parts.thoughtSignature");
    }
    let is_thought = fields.truth("thought")?.unwrap_or(false);
    let texts = fields.text("text")?.map(Said::Text);
    let inline = fields
        .read("inlineData", |raw| inline(raw, to))?
        .map(Said::Image);
    let file = fields
        .read("fileData", |raw| file(raw, to))?
        .map(Said::Image);
    let call = fields
        .read("functionCall", |raw| call(raw, calls))?
        .map(Said::Call);
    let result = fields
        .read("functionResponse", |raw| result(raw, calls))?
        .map(Said::Result);
    fields.done()?;
    if is_thought {
        to.leave_out(to.names.reasoning);
        return Ok(None);
    }
    let mut all = [texts, inline, file, call, result].into_iter().flatten();
    match (all.next(), all.next()) {
        (one, None) => Ok(one),
        _ => Err(NotTranslated::malformed("", "it says two things")),
    }
}

fn inline<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<Image<'a>, NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    let media_type = fields.must("mimeType", text)?;
    if !media_type.starts_with("image/") {
        return Err(NotTranslated::not("mimeType", "it is no image"));
    }
    let base64 = fields.must("data", text)?;
    named(&mut fields, to);
    fields.done()?;
    Ok(Image::Data { media_type, base64 })
}

fn file<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<Image<'a>, NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    let is_image = |raw| Ok(text(raw)?.starts_with("image/"));
    if !fields.read("mimeType", is_image)?.unwrap_or(false) {
        return Err(NotTranslated::not("mimeType", "it is no image"));
    }
    let uri = fields.must("fileUri", text)?;
    // Google's own storage is open to nobody else
    let own = ["https://generativelanguage.googleapis.com/", "gs://"];
    if !uri.starts_with("https://") || own.iter().any(|own| uri.starts_with(own)) {
        return Err(NotTranslated::not("fileUri", "it is only there for Google"));
    }
    named(&mut fields, to);
    fields.done()?;
    Ok(Image::At(uri))
}

/// What a file is called, which its address or its data need not be.
fn named<'a>(fields: &mut Fields<'a>, to: &mut Conversation<'a>) {
    if fields.drop("displayName") {
        to.leave_out("contents.parts.displayName");
    }
}

fn call<'a>(raw: Raw<'a>, calls: &mut Calls<'a>) -> Result<Call<'a>, NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    let name = fields.must("name", text)?;
    calls.count += 1;
    let id = fields.text("id")?.filter(|id| !id.is_empty());
    let id = id.unwrap_or_else(|| format!("call_{}", calls.count).into());
    calls.unanswered.push((name.clone(), id.clone()));
    let input = match fields.raw("args") {
        Some(args) => Cow::Borrowed(args),
        None => conversation::input("")?,
    };
    fields.done()?;
    Ok(Call { id, name, input })
}

fn result<'a>(raw: Raw<'a>, calls: &mut Calls<'a>) -> Result<CallResult<'a>, NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    let name = fields.must("name", text)?;
    let id = fields.text("id")?.filter(|id| !id.is_empty());
    let at = calls.unanswered.iter().position(|(of, known)| match &id {
        Some(id) => known == id,
        None => *of == name,
    });
    let answered = at.map(|at| calls.unanswered.remove(at).1);
    let id = id
        .or(answered)
        .ok_or_else(|| NotTranslated::malformed("name", "no call of it stands before"))?;
    let (said, failed) = fields.must("response", response)?;
    fields.unless("parts", is_empty)?;
    fields.done()?;
    Ok(CallResult {
        id,
        content: vec![Said::Text(said)],
        failed,
    })
}

/// What a function answered: by convention under `output`, or under `error` if it failed; else all of
/// the object is the answer.
fn response(raw: Raw<'_>) -> Result<(Cow<'_, str>, bool), NotTranslated> {
    for (name, failed) in [("output", false), ("error", true)] {
        let mut fields = Fields::of(raw)?;
        if let Some(value) = fields.raw(name)
            && fields.done().is_ok()
        {
            let said = text(value).unwrap_or(Cow::Borrowed(value.get()));
            return Ok((said, failed));
        }
    }
    Ok((Cow::Borrowed(raw.get()), false))
}
