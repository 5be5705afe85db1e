//! A chat completion's request, read.

use std::borrow::Cow;

use super::turns::message;
use crate::{
    conversation::{CHAT, Conversation, Effort, Format, Tool, ToolChoice},
    error::NotTranslated,
    json::{Fields, Raw, is_empty, items, text},
};

/// Fields of OpenAI's requests that change nothing of what the answer means (`left_out`).
pub(crate) const HARMLESS: [&str; 6] = [
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
