//! A request of Gemini's, read. Field names may be in `snake_case`.

use std::borrow::Cow;

use super::schema;
use crate::{
    conversation::{
        Call, CallResult, Conversation, Effort, Format, GEMINI, Image, Role, Said, Thinking, Tool,
        ToolChoice,
    },
    error::NotTranslated,
    json::{Fields, Raw, count, is_empty, items, number_of, text},
};

/// Fields that change nothing of what the answer means (`left_out`).
const HARMLESS: [&str; 3] = ["labels", "serviceTier", "store"];

/// Calls without an id are numbered, and results without one answer the first of their name.
#[derive(Default)]
struct Calls<'a> {
    count: usize,
    unanswered: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

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
                to.say(number, role, said);
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
    if shown.is_some() || budget.is_some() {
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

fn content<'a>(
    raw: Raw<'a>,
    calls: &mut Calls<'a>,
    to: &mut Conversation<'a>,
) -> Result<(Role, Vec<Said<'a>>), NotTranslated> {
    if let Ok(text) = text(raw) {
        return Ok((Role::User, vec![Said::Text(text)]));
    }
    let mut fields = Fields::camel(raw)?;
    let role = match fields.text("role")?.as_deref() {
        None | Some("user" | "function" | "system") => Role::User,
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
    let inline = fields.read("inlineData", inline)?.map(Said::Image);
    let file = fields.read("fileData", file)?.map(Said::Image);
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

fn inline(raw: Raw<'_>) -> Result<Image<'_>, NotTranslated> {
    let mut fields = Fields::camel(raw)?;
    let media_type = fields.must("mimeType", text)?;
    if !media_type.starts_with("image/") {
        return Err(NotTranslated::not("mimeType", "it is no image"));
    }
    let base64 = fields.must("data", text)?;
    fields.drop("displayName");
    fields.done()?;
    Ok(Image::Data { media_type, base64 })
}

fn file(raw: Raw<'_>) -> Result<Image<'_>, NotTranslated> {
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
    fields.drop("displayName");
    fields.done()?;
    Ok(Image::At(uri))
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
        None => crate::conversation::input("")?,
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
