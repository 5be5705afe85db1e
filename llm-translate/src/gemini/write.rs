//! A conversation, written as a request of Gemini's.

use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    conversation::{
        Call, CallResult, Conversation, Effort, Format, Image, Part, Role, Said, Thinking, Tool,
        ToolChoice, Turn, is_plain,
    },
    error::NotTranslated,
    json::{Node, Object},
};

const MOST_STOPS: usize = 5;
const LONGEST_NAME: usize = 64;
/// The documented word for calls that the model did not make itself: newer models refuse a call
/// without the signature of its thoughts.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// Everything but RFC 3986's unreserved characters.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where the call goes: model and kind of answer stand in the path.
pub(crate) fn path(model: &str, stream: bool) -> Option<PathAndQuery> {
    let model = model.strip_prefix("models/").unwrap_or(model);
    if model.is_empty() {
        return None;
    }
    let model = utf8_percent_encode(model, NOT_UNRESERVED);
    let verb = match stream {
        true => "streamGenerateContent?alt=sse",
        false => "generateContent",
    };
    PathAndQuery::try_from(format!("/v1beta/models/{model}:{verb}")).ok()
}

pub(crate) fn write<'c>(from: &'c mut Conversation<'_>) -> Result<Object<'c>, NotTranslated> {
    from.check_last_turn()?;
    if from.user.is_some() {
        from.leave_out(from.names.user);
    }
    if from.tools.iter().any(|tool| tool.strict == Some(true)) {
        from.leave_out("tools.strict");
    }
    if from.effort.is_some() && from.thinking.is_some_and(Thinking::has_budget) {
        // a level and a budget cannot stand together
        from.leave_out(from.names.thinking);
    }
    if let (
        Some(Format::Schema {
            strict: Some(true), ..
        }),
        Some(name),
    ) = (&from.format, from.names.strict)
    {
        from.leave_out(name);
    }
    let from = &*from;
    if from.parallel_calls == Some(false) && !from.tools.is_empty() {
        return Err(NotTranslated::nowhere(from.names.parallel_calls));
    }
    let mut to = Object::new();
    if !from.system.is_empty() {
        let parts: Node<'_> = from.system.iter().map(|text| text_part(text)).collect();
        to.set("systemInstruction", Object::new().with("parts", parts));
    }
    let contents = from.turns.iter().map(|turn| content(from, turn));
    to.set("contents", Node::List(contents.collect::<Result<_, _>>()?));
    if !from.tools.is_empty() {
        let tools = from.tools.iter().enumerate().map(|(index, tool)| {
            self::tool(tool).map_err(|error| error.item(index).inside(from.names.tools))
        });
        let tools = Node::List(tools.collect::<Result<_, _>>()?);
        let tools = Object::new().with("functionDeclarations", tools);
        to.set("tools", Node::List(vec![tools.into()]));
    }
    if let Some(choice) = &from.tool_choice {
        let config = Object::new().with("functionCallingConfig", tool_choice(choice));
        to.set("toolConfig", config);
    }
    if let Some(config) = generation(from)?.filled() {
        to.set("generationConfig", config);
    }
    Ok(to)
}

fn text_part(text: &str) -> Object<'_> {
    Object::new().with("text", text)
}

fn content<'c>(from: &'c Conversation<'_>, turn: &'c Turn<'_>) -> Result<Node<'c>, NotTranslated> {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "model",
        Role::System => {
            return Err(
                from.cannot_say(&turn.parts[0], "instructions after the conversation began")
            );
        }
    };
    let parts = turn.parts.iter().map(|part| self::part(from, part));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let content = Object::new().with("role", role);
    Ok(content.with("parts", Node::List(parts)).into())
}

fn part<'c>(from: &'c Conversation<'_>, part: &'c Part<'_>) -> Result<Node<'c>, NotTranslated> {
    let object = match &part.said {
        Said::Text(text) => text_part(text),
        Said::Image(Image::Data { media_type, base64 }) => {
            let data = Object::new().with("mimeType", &**media_type);
            Object::new().with("inlineData", data.with("data", &**base64))
        }
        Said::Image(Image::At(_)) => {
            return Err(from.cannot_say(part, "an image by its address"));
        }
        Said::Call(call) => self::call(call),
        Said::Result(result) => self::result(from, part, result)?,
    };
    Ok(object.into())
}

fn call<'c>(call: &'c Call<'_>) -> Object<'c> {
    let function = Object::new()
        .with("id", &*call.id)
        .with("name", &*call.name)
        .with("args", &*call.input);
    let part = Object::new().with("functionCall", function);
    part.with("thoughtSignature", UNSIGNED)
}

fn result<'c>(
    from: &'c Conversation<'_>,
    part: &Part<'_>,
    result: &'c CallResult<'_>,
) -> Result<Object<'c>, NotTranslated> {
    let name = from
        .called(&result.id)
        .ok_or_else(|| from.cannot_say(part, "a result of a call that does not stand here"))?;
    let texts = result.content.iter().map(|said| match said {
        Said::Text(text) => Some(&**text),
        _ => None,
    });
    let said: String = texts
        .collect::<Option<_>>()
        .ok_or_else(|| from.cannot_say(part, "a tool's result that is not only text"))?;
    let response = Object::new().with(if result.failed { "error" } else { "output" }, said);
    let function = Object::new()
        .with("id", &*result.id)
        .with("name", &**name)
        .with("response", response);
    Ok(Object::new().with("functionResponse", function))
}

fn tool<'c>(tool: &'c Tool<'_>) -> Result<Node<'c>, NotTranslated> {
    let starts =
        |name: &str| name.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic());
    if !is_plain(&tool.name, LONGEST_NAME) || !starts(&tool.name) {
        return Err(NotTranslated::not("name", "Gemini takes no such name"));
    }
    let tool = Object::new()
        .with("name", &*tool.name)
        .maybe("description", tool.description.as_deref())
        .maybe("parametersJsonSchema", tool.schema.as_deref());
    Ok(tool.into())
}

fn tool_choice<'c>(choice: &'c ToolChoice<'_>) -> Object<'c> {
    let mode = |mode: &'static str| Object::new().with("mode", mode);
    match choice {
        ToolChoice::Free => mode("AUTO"),
        ToolChoice::Never => mode("NONE"),
        ToolChoice::Any => mode("ANY"),
        ToolChoice::Named(name) => {
            mode("ANY").with("allowedFunctionNames", Node::List(vec![(&**name).into()]))
        }
    }
}

fn generation<'c>(from: &'c Conversation<'_>) -> Result<Object<'c>, NotTranslated> {
    let mut config = Object::new();
    let sampling = &from.sampling;
    for (name, value) in [
        ("temperature", sampling.temperature),
        ("topP", sampling.top_p),
        ("topK", sampling.top_k),
        ("presencePenalty", sampling.presence_penalty),
        ("frequencyPenalty", sampling.frequency_penalty),
        ("seed", sampling.seed),
    ] {
        if let Some(value) = value {
            config.set(name, value);
        }
    }
    if from.choices != 1 {
        config.set("candidateCount", from.choices);
    }
    if let Some(cap) = from.cap {
        config.set("maxOutputTokens", cap);
    }
    if from.stops.len() > MOST_STOPS {
        return Err(NotTranslated::not(
            from.names.stops,
            "there are more than 5",
        ));
    }
    if !from.stops.is_empty() {
        config.set("stopSequences", Node::texts(&from.stops));
    }
    match &from.format {
        None => {}
        Some(Format::Json) => config.set("responseMimeType", "application/json"),
        Some(Format::Schema {
            description: Some(_),
            ..
        }) => {
            return Err(NotTranslated::not(
                from.names.format,
                "a schema with a description",
            ));
        }
        Some(Format::Schema { schema, .. }) => {
            config.set("responseMimeType", "application/json");
            config.set("responseJsonSchema", &**schema);
        }
    }
    if let Some(thinking) = thinking(from)?.filled() {
        config.set("thinkingConfig", thinking);
    }
    Ok(config)
}

fn thinking<'c>(from: &Conversation<'_>) -> Result<Object<'c>, NotTranslated> {
    let mut config = Object::new();
    if let Some(shown) = from.thinking.and_then(|thinking| thinking.shown) {
        config.set("includeThoughts", shown);
    }
    let level = match from.effort {
        // a level and a budget cannot stand together
        None => {
            if let Some(budget) = from.thinking.and_then(|thinking| thinking.budget) {
                config.set("thinkingBudget", budget);
            }
            return Ok(config);
        }
        Some(Effort::Nothing) => {
            config.set("thinkingBudget", 0u64);
            return Ok(config);
        }
        Some(Effort::Minimal) => "MINIMAL",
        Some(Effort::Low) => "LOW",
        Some(Effort::Medium) => "MEDIUM",
        Some(Effort::High) => "HIGH",
        Some(Effort::XHigh) => "XHIGH",
        Some(Effort::Max) => {
            return Err(NotTranslated::not(from.names.effort, "there is no `max`"));
        }
    };
    config.set("thinkingLevel", level);
    Ok(config)
}
