//! A chat completion's request, read.

use std::borrow::Cow;

use crate::{
    conversation::{
        self, CHAT, Call, CallResult, Conversation, Effort, Format, Image, Role, Said, Tool,
        ToolChoice,
    },
    error::NotTranslated,
    json::{Fields, Raw, count, is_empty, items, text},
};

/// Fields that change nothing of what the answer means (`left_out`).
const HARMLESS: [&str; 6] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "store",
];

pub(crate) fn read(body: &[u8]) -> Result<Conversation<'_>, NotTranslated> {
    let mut fields = Fields::parse(body)?;
    let mut to = Conversation::new(&CHAT);
    to.model = fields.text("model")?;
    let newer = fields.count("max_completion_tokens")?;
    to.cap = newer.or(fields.count("max_tokens")?);
    to.choices = fields.count("n")?.unwrap_or(1);
    to.stream = fields.truth("stream")?.unwrap_or(false);
    to.usage = fields.read("stream_options", usage_asked)?.unwrap_or(false);
    to.sampling.temperature = fields.number("temperature")?;
    to.sampling.top_p = fields.number("top_p")?;
    to.sampling.presence_penalty = fields.number("presence_penalty")?;
    to.sampling.frequency_penalty = fields.number("frequency_penalty")?;
    to.sampling.seed = fields.number("seed")?;
    to.stops = fields.read("stop", one_or_more)?.unwrap_or_default();
    to.format = fields.read("response_format", format)?.flatten();
    to.effort = fields.read("reasoning_effort", Effort::of)?;
    to.tools = fields.each("tools", tool)?.unwrap_or_default();
    to.tool_choice = fields.read("tool_choice", tool_choice)?;
    to.parallel_calls = fields.truth("parallel_tool_calls")?;
    let older = fields.text("user")?;
    to.user = fields.text("safety_identifier")?.or(older);
    for name in HARMLESS {
        if fields.drop(name) {
            to.leave_out(name);
        }
    }
    fields.unless("logprobs", |raw| raw.get() == "false")?;
    fields.unless("top_logprobs", |raw| raw.get() == "0")?;
    fields.unless("logit_bias", is_empty)?;
    fields.unless("verbosity", |raw| raw.get() == r#""medium""#)?;
    fields.unless("modalities", |raw| {
        items(raw, text).is_ok_and(|all| all.iter().all(|one| *one == "text"))
    })?;
    for name in [
        "audio",
        "function_call",
        "functions",
        "moderation",
        "prediction",
        "web_search_options",
    ] {
        fields.unless(name, is_empty)?;
    }
    let mut number = 0..;
    fields.must("messages", |raw| {
        items(raw, |raw| {
            message(number.next().unwrap_or(0), Fields::of(raw)?, &mut to)
        })
    })?;
    fields.done()?;
    Ok(to)
}

fn usage_asked(raw: Raw<'_>) -> Result<bool, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    let usage = fields.truth("include_usage")?;
    // random letters against traffic analysis, which a translation has none of
    fields.drop("include_obfuscation");
    fields.done()?;
    Ok(usage.unwrap_or(false))
}

fn one_or_more(raw: Raw<'_>) -> Result<Vec<Cow<'_, str>>, NotTranslated> {
    match text(raw) {
        Ok(one) => Ok(vec![one]),
        Err(_) => items(raw, text),
    }
}

fn format(raw: Raw<'_>) -> Result<Option<Format<'_>>, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    let kind = fields.must("type", text)?;
    let format = match &*kind {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => Some(fields.must("json_schema", |raw| schema(Fields::of(raw)?))?),
        _ => return Err(NotTranslated::nowhere("type")),
    };
    fields.done()?;
    Ok(format)
}

/// Name, description, schema and strictness: in responses they stand one level higher.
pub(crate) fn schema<'a>(mut fields: Fields<'a>) -> Result<Format<'a>, NotTranslated> {
    let format = Format::Schema {
        name: fields.text("name")?,
        description: fields.text("description")?,
        schema: Cow::Borrowed(fields.must("schema", Ok)?),
        strict: fields.truth("strict")?,
    };
    fields.done()?;
    Ok(format)
}

fn tool(raw: Raw<'_>) -> Result<Tool<'_>, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    match &*fields.must("type", text)? {
        "function" => {}
        _ => return Err(NotTranslated::nowhere("type")),
    }
    let tool = fields.must("function", |raw| function(Fields::of(raw)?))?;
    fields.done()?;
    Ok(tool)
}

pub(crate) fn function<'a>(mut fields: Fields<'a>) -> Result<Tool<'a>, NotTranslated> {
    let tool = Tool {
        name: fields.must("name", text)?,
        description: fields.text("description")?,
        schema: fields.raw("parameters").map(Cow::Borrowed),
        strict: fields.truth("strict")?,
    };
    fields.done()?;
    Ok(tool)
}

fn tool_choice(raw: Raw<'_>) -> Result<ToolChoice<'_>, NotTranslated> {
    if let Ok(word) = text(raw) {
        return word_of_choice(&word);
    }
    let mut fields = Fields::of(raw)?;
    match &*fields.must("type", text)? {
        "function" => {}
        _ => return Err(NotTranslated::nowhere("type")),
    }
    let name = fields.must("function", |raw| {
        let mut fields = Fields::of(raw)?;
        let name = fields.must("name", text)?;
        fields.done()?;
        Ok(name)
    })?;
    fields.done()?;
    Ok(ToolChoice::Named(name))
}

pub(crate) fn word_of_choice<'a>(word: &str) -> Result<ToolChoice<'a>, NotTranslated> {
    match word {
        "auto" => Ok(ToolChoice::Free),
        "none" => Ok(ToolChoice::Never),
        "required" => Ok(ToolChoice::Any),
        _ => Err(NotTranslated::not("", "the word is not known")),
    }
}

fn message<'a>(
    number: usize,
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<(), NotTranslated> {
    let role = fields.must("role", text)?;
    match &*role {
        "system" | "developer" => {
            for text in fields.must("content", |raw| parts(raw, only_text))? {
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
            let texts = fields.must("content", |raw| parts(raw, only_text))?;
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
            kind => text_part(kind, fields),
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

fn only_text<'a>(mut fields: Fields<'a>) -> Result<Cow<'a, str>, NotTranslated> {
    let kind = fields.must("type", text)?;
    text_part(&kind, fields)
}

fn text_part<'a>(kind: &str, mut fields: Fields<'a>) -> Result<Cow<'a, str>, NotTranslated> {
    if kind != "text" {
        return Err(NotTranslated::nowhere("type"));
    }
    let text = fields.must("text", text)?;
    fields.drop("prompt_cache_breakpoint");
    fields.done()?;
    Ok(text)
}

fn user_part<'a>(
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<Said<'a>, NotTranslated> {
    let kind = fields.must("type", text)?;
    if kind != "image_url" {
        return text_part(&kind, fields).map(Said::Text);
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
    fields.drop("prompt_cache_breakpoint");
    fields.done()?;
    Ok(Said::Image(image))
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
