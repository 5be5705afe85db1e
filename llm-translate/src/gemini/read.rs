//! A request of Gemini's, read. Field names may be in `snake_case`.

use std::borrow::Cow;

use super::{
    contents::{Calls, content},
    schema,
};
use crate::{
    conversation::{Conversation, Effort, Format, GEMINI, Role, Said, Thinking, Tool, ToolChoice},
    error::NotTranslated,
    json::{Fields, Raw, count, is_empty, items, number_of, text},
};

/// Fields that change nothing of what the answer means (`left_out`).
const HARMLESS: [&str; 3] = ["labels", "serviceTier", "store"];

pub(crate) fn read(body: &[u8]) -> Result<Conversation<'_>, NotTranslated> {
    let mut fields = Fields::camel(serde_json::from_slice(body).map_err(no_json)?)?;
    let mut to = Conversation::new(&GEMINI);
    to.usage = true;
    to.model = fields.text("model")?;
    fields.read("systemInstruction", |raw| {
        let (_, said) = content(raw, &mut Calls::default(), &mut to)?;
        for said in said {
            match said {
                Said::Text(text) => to.instruct(0, text),
                _ => return Err(NotTranslated::not("parts", "an instruction is text")),
            }
        }
        Ok(())
    })?;
    let tools = fields.each("tools", tools)?.unwrap_or_default();
    to.tools = tools.into_iter().flatten().collect();
    to.tool_choice = fields.read("toolConfig", tool_config)?.flatten();
    fields.read("generationConfig", |raw| generation(raw, &mut to))?;
    for name in HARMLESS {
        if fields.drop(name) {
            to.leave_out(name);
        }
    }
    fields.unless("safetySettings", is_empty)?;
    fields.unless("cachedContent", is_empty)?;
    let (mut number, mut calls) = (0.., Calls::default());
    fields.must("contents", |raw| {
        items(raw, |raw| {
            let (role, said) = content(raw, &mut calls, &mut to)?;
            let number = number.next().unwrap_or(0);
            for said in said {
                match (role, said) {
                    (Role::System, Said::Text(text)) => to.instruct(number, text),
                    (Role::System, _) => {
                        return Err(NotTranslated::not("parts", "an instruction is text"));
                    }
                    (_, said) => to.say(number, role, said),
                }
            }
            Ok(())
        })
    })?;
    fields.done()?;
    Ok(to)
}

fn no_json(_: serde_json::Error) -> NotTranslated {
    NotTranslated::malformed("", "it is no JSON")
}

fn generation<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<(), NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    to.cap = fields.count("maxOutputTokens")?;
    to.choices = fields.count("candidateCount")?.unwrap_or(1);
    to.sampling.temperature = fields.number("temperature")?;
    to.sampling.top_p = fields.number("topP")?;
    to.sampling.top_k = fields.number("topK")?;
    to.sampling.presence_penalty = fields.number("presencePenalty")?;
    to.sampling.frequency_penalty = fields.number("frequencyPenalty")?;
    to.sampling.seed = fields.number("seed")?;
    to.stops = fields.each("stopSequences", text)?.unwrap_or_default();
    to.format = format(&mut fields)?;
    fields.read("thinkingConfig", |raw| thinking(raw, to))?;
    if fields.drop("mediaResolution") {
        to.leave_out("generationConfig.mediaResolution");
    }
    fields.unless("responseLogprobs", |raw| raw.get() == "false")?;
    fields.unless("responseModalities", |raw| {
        items(raw, text).is_ok_and(|all| all.iter().all(|one| one.eq_ignore_ascii_case("text")))
    })?;
    fields.done()
}

fn format<'a>(fields: &mut Fields<'a>) -> Result<Option<Format<'a>>, NotTranslated> {
    let mime = fields.text("responseMimeType")?;
    let own = fields
        .read("responseSchema", schema::plain)?
        .map(Cow::Owned);
    let schema = fields.raw("responseJsonSchema").map(Cow::Borrowed).or(own);
    Ok(match (mime.as_deref(), schema) {
        (None | Some("text/plain"), None) => None,
        (Some("application/json"), None) => Some(Format::Json),
        (Some("application/json"), Some(schema)) => Some(Format::Schema {
            name: None,
            description: None,
            schema,
            strict: None,
        }),
        _ => return Err(NotTranslated::nowhere("responseMimeType")),
    })
}

fn thinking<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<(), NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    let shown = fields.truth("includeThoughts")?;
    to.effort = fields.read("thinkingLevel", Effort::of)?;
    let budget = fields.read("thinkingBudget", |raw| match number_of(raw)? {
        // as the model sees fit
        -1.0 => Ok(None),
        _ => count(raw).map(Some),
    })?;
    if to.effort.is_some() && budget.is_some() {
        return Err(NotTranslated::malformed(
            "thinkingBudget",
            "a level stands beside it",
        ));
    }
    // not to show thoughts is the default, and does not have a model think
    if shown == Some(true) || budget.is_some() {
        to.thinking = Some(Thinking {
            budget: budget.flatten(),
            shown,
        });
    }
    fields.done()
}

fn tools(raw: Raw<'_>) -> Result<Vec<Tool<'_>>, NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    let tools = fields.each("functionDeclarations", |raw| {
        let mut fields = Fields::camel(raw)?;
        let own = fields.read("parameters", schema::plain)?.map(Cow::Owned);
        let tool = Tool {
            name: fields.must("name", text)?,
            description: fields.text("description")?,
            schema: fields
                .raw("parametersJsonSchema")
                .map(Cow::Borrowed)
                .or(own),
            strict: None,
        };
        fields.done()?;
        Ok(tool)
    })?;
    // the provider's own tools run only there
    fields.done()?;
    Ok(tools.unwrap_or_default())
}

fn tool_config(raw: Raw<'_>) -> Result<Option<ToolChoice<'_>>, NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    let choice = fields.read("functionCallingConfig", |raw| {
        let mut fields = Fields::camel(raw)?;
        let mode = fields.text("mode")?;
        let names = fields
            .each("allowedFunctionNames", text)?
            .unwrap_or_default();
        fields.done()?;
        let mut names = names.into_iter();
        match (
            mode.as_deref().unwrap_or("AUTO"),
            names.next(),
            names.next(),
        ) {
            ("AUTO" | "auto" | "MODE_UNSPECIFIED", None, _) => Ok(ToolChoice::Free),
            ("NONE" | "none", None, _) => Ok(ToolChoice::Never),
            ("ANY" | "any", None, _) => Ok(ToolChoice::Any),
            ("ANY" | "any", Some(name), None) => Ok(ToolChoice::Named(name)),
            (_, Some(_), _) => Err(NotTranslated::nowhere("allowedFunctionNames")),
            _ => Err(NotTranslated::nowhere("mode")),
        }
    })?;
    fields.done()?;
    Ok(choice)
}
