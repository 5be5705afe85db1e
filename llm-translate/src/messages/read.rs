//! A request of Anthropic messages, read.

use std::borrow::Cow;

use crate::{
    conversation::{
        Call, CallResult, Conversation, Effort, Format, Image, MESSAGES, Role, Said, Thinking,
        Tool, ToolChoice,
    },
    error::NotTranslated,
    json::{Fields, Raw, count, is_empty, items, text},
};

/// Fields that change nothing of what the answer means (`left_out`).
const HARMLESS: [&str; 4] = ["cache_control", "diagnostics", "service_tier", "speed"];

pub(crate) fn read(body: &[u8]) -> Result<Conversation<'_>, NotTranslated> {
    let mut fields = Fields::parse(body)?;
    let mut to = Conversation::new(&MESSAGES);
    to.model = fields.text("model")?;
    to.cap = fields.count("max_tokens")?;
    if to.cap == Some(0) {
        return Err(NotTranslated::not(
            "max_tokens",
            "0 fills a cache and asks for no answer",
        ));
    }
    to.stream = fields.truth("stream")?.unwrap_or(false);
    to.usage = true;
    to.sampling.temperature = fields.number("temperature")?;
    to.sampling.top_p = fields.number("top_p")?;
    to.sampling.top_k = fields.number("top_k")?;
    to.stops = fields.each("stop_sequences", text)?.unwrap_or_default();
    to.tools = fields
        .each("tools", |raw| tool(raw, &mut to))?
        .unwrap_or_default();
    if let Some((choice, parallel)) = fields.read("tool_choice", tool_choice)? {
        to.tool_choice = Some(choice);
        to.parallel_calls = parallel;
    }
    to.user = fields.read("metadata", user)?.flatten();
    if let Some((effort, format)) = fields.read("output_config", output_config)? {
        to.effort = effort;
        to.format = format;
    }
    if let Some(thinking) = fields.read("thinking", thinking)? {
        to.thinking = Some(thinking);
        if thinking.is_off() && to.effort.is_some() {
            // an effort says how much is thought; in other dialects it would have the model think
            to.effort = Some(Effort::Nothing);
            to.leave_out(to.names.effort);
        }
    }
    for name in HARMLESS {
        if fields.drop(name) {
            to.leave_out(name);
        }
    }
    if let Some(texts) = fields.read("system", |raw| texts(raw, &mut to))? {
        to.system = texts;
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

fn user(raw: Raw<'_>) -> Result<Option<Cow<'_, str>>, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    let user = fields.text("user_id")?;
    fields.done()?;
    Ok(user)
}

fn output_config(raw: Raw<'_>) -> Result<(Option<Effort>, Option<Format<'_>>), NotTranslated> {
    let mut fields = Fields::of(raw)?;
    let effort = fields.read("effort", Effort::of)?;
    let format = fields.read("format", |raw| {
        let mut fields = Fields::of(raw)?;
        if fields.must("type", text)? != "json_schema" {
            return Err(NotTranslated::nowhere("type"));
        }
        let schema = Cow::Borrowed(fields.must("schema", Ok)?);
        fields.done()?;
        Ok(Format::Schema {
            name: None,
            description: None,
            schema,
            // it is always obeyed here
            strict: Some(true),
        })
    })?;
    fields.done()?;
    Ok((effort, format))
}

fn thinking(raw: Raw<'_>) -> Result<Thinking, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    let budget = match &*fields.must("type", text)? {
        "adaptive" => None,
        "disabled" => Some(0),
        "enabled" => Some(fields.must("budget_tokens", count)?),
        _ => return Err(NotTranslated::nowhere("type")),
    };
    let display = fields.text("display")?;
    fields.done()?;
    let shown = budget != Some(0) && display.as_deref() != Some("omitted");
    Ok(Thinking {
        budget,
        shown: Some(shown),
    })
}

fn tool<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<Tool<'a>, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    match fields.text("type")?.as_deref() {
        None | Some("custom") => {}
        // the provider's own tools run only there
        _ => return Err(NotTranslated::nowhere("type")),
    }
    let tool = Tool {
        name: fields.must("name", text)?,
        description: fields.text("description")?,
        schema: Some(Cow::Borrowed(fields.must("input_schema", Ok)?)),
        strict: fields.truth("strict")?,
    };
    marked(&mut fields, to);
    if fields.drop("eager_input_streaming") {
        to.leave_out("tools.eager_input_streaming");
    }
    fields.unless("defer_loading", |raw| raw.get() == "false")?;
    fields.unless("input_examples", is_empty)?;
    fields.unless("allowed_callers", |raw| {
        items(raw, text).is_ok_and(|callers| callers == ["direct"])
    })?;
    fields.done()?;
    Ok(tool)
}

fn tool_choice(raw: Raw<'_>) -> Result<(ToolChoice<'_>, Option<bool>), NotTranslated> {
    let mut fields = Fields::of(raw)?;
    let choice = match &*fields.must("type", text)? {
        "auto" => ToolChoice::Free,
        "none" => ToolChoice::Never,
        "any" => ToolChoice::Any,
        "tool" => ToolChoice::Named(fields.must("name", text)?),
        _ => return Err(NotTranslated::nowhere("type")),
    };
    let one = fields.truth("disable_parallel_tool_use")?;
    fields.done()?;
    Ok((choice, one.map(|one| !one)))
}

/// A text, or blocks of text.
fn texts<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<Vec<Cow<'a, str>>, NotTranslated> {
    if let Ok(text) = text(raw) {
        return Ok(vec![text]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect());
    }
    items(raw, |raw| {
        let mut fields = Fields::of(raw)?;
        if fields.must("type", text)? != "text" {
            return Err(NotTranslated::nowhere("type"));
        }
        text_block(fields, to)
    })
}

fn text_block<'a>(
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<Cow<'a, str>, NotTranslated> {
    let text = fields.must("text", text)?;
    marked(&mut fields, to);
    fields.unless("citations", is_empty)?;
    fields.done()?;
    Ok(text)
}

/// A place up to which the provider is to keep the prompt in its cache.
fn marked<'a>(fields: &mut Fields<'a>, to: &mut Conversation<'a>) {
    if fields.drop("cache_control") {
        to.leave_out("cache_control");
    }
}

fn message<'a>(
    number: usize,
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<(), NotTranslated> {
    let role = match &*fields.must("role", text)? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(NotTranslated::nowhere("role")),
    };
    let said = fields.must("content", |raw| content(raw, Stands::InMessage, to))?;
    for said in said {
        match (role, said) {
            (Role::System, Said::Text(text)) => to.instruct(number, text),
            (Role::System, _) => return Err(NotTranslated::malformed("content", "it is not text")),
            (_, said) => to.say(number, role, said),
        }
    }
    fields.done()
}

/// Where a block stands. A result's blocks are texts and images: none of them has blocks of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    InMessage,
    InResult,
}

fn content<'a>(
    raw: Raw<'a>,
    stands: Stands,
    to: &mut Conversation<'a>,
) -> Result<Vec<Said<'a>>, NotTranslated> {
    if let Ok(text) = text(raw) {
        return Ok(vec![Said::Text(text)]);
    }
    let blocks = items(raw, |raw| block(Fields::of(raw)?, stands, to))?;
    Ok(blocks.into_iter().flatten().collect())
}

/// What a block says; `None`: it is left out.
fn block<'a>(
    mut fields: Fields<'a>,
    stands: Stands,
    to: &mut Conversation<'a>,
) -> Result<Option<Said<'a>>, NotTranslated> {
    let said = match &*fields.must("type", text)? {
        "text" => return text_block(fields, to).map(|text| Some(Said::Text(text))),
        "image" => Said::Image(fields.must("source", source)?),
        _ if stands == Stands::InResult => return Err(NotTranslated::nowhere("type")),
        "tool_use" => {
            fields.unless("caller", |raw| {
                Fields::of(raw)
                    .and_then(|mut of| of.must("type", text))
                    .is_ok_and(|kind| kind == "direct")
            })?;
            Said::Call(Call {
                id: fields.must("id", text)?,
                name: fields.must("name", text)?,
                input: Cow::Borrowed(fields.must("input", Ok)?),
            })
        }
        "tool_result" => Said::Result(CallResult {
            id: fields.must("tool_use_id", text)?,
            content: fields
                .read("content", |raw| content(raw, Stands::InResult, to))?
                .unwrap_or_default(),
            failed: fields.truth("is_error")?.unwrap_or(false),
        }),
        // signed for the model that thought it
        "thinking" | "redacted_thinking" => {
            to.leave_out(to.names.reasoning);
            return Ok(None);
        }
        _ => return Err(NotTranslated::nowhere("type")),
    };
    marked(&mut fields, to);
    fields.done()?;
    Ok(Some(said))
}

fn source(raw: Raw<'_>) -> Result<Image<'_>, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    let image = match &*fields.must("type", text)? {
        "base64" => Image::Data {
            media_type: fields.must("media_type", text)?,
            base64: fields.must("data", text)?,
        },
        "url" => Image::At(fields.must("url", text)?),
        _ => return Err(NotTranslated::nowhere("type")),
    };
    fields.done()?;
    Ok(image)
}
