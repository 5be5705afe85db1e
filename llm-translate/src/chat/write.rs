//! A conversation, written as a chat completion's request.

use crate::{
    conversation::{
        CallResult, Conversation, Format, Image, Part, Role, Said, Thinking, Tool, ToolChoice,
        Turn, is_plain,
    },
    error::NotTranslated,
    json::{Node, Object, number_of},
};

/// OpenAI's own limits.
const MOST_STOPS: usize = 4;
const LONGEST_NAME: usize = 64;

pub(crate) fn write<'c>(
    from: &'c mut Conversation<'_>,
    model: &'c str,
) -> Result<Object<'c>, NotTranslated> {
    from.check_last_turn()?;
    let unsaid = |thinking: Thinking| from.effort.is_none() || thinking.has_budget();
    if from.thinking.is_some_and(unsaid) {
        from.leave_out(from.names.thinking);
    }
    let failed = |part: &Part<'_>| matches!(&part.said, Said::Result(result) if result.failed);
    if from.turns.iter().any(|turn| turn.parts.iter().any(failed)) {
        // the result itself says what went wrong
        from.leave_out(from.names.failed);
    }
    let from = &*from;
    let mut to = Object::new().with("model", model);
    to.set("messages", Node::List(messages(from)?));
    if let Some(cap) = from.cap {
        to.set("max_completion_tokens", cap);
    }
    if from.choices != 1 {
        to.set("n", from.choices);
    }
    if from.stream {
        to.set("stream", true);
        // who speaks another dialect always hears of it
        to.set("stream_options", Object::new().with("include_usage", true));
    }
    let sampling = &from.sampling;
    if sampling.top_k.is_some() {
        return Err(NotTranslated::nowhere(from.names.top_k));
    }
    for (name, value) in [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
        ("seed", sampling.seed),
    ] {
        if let Some(value) = value {
            number_of(value)?;
            to.set(name, value);
        }
    }
    match &*from.stops {
        [] => {}
        [stop] => to.set("stop", &**stop),
        stops if stops.len() > MOST_STOPS => {
            return Err(NotTranslated::not(
                from.names.stops,
                "there are more than 4",
            ));
        }
        stops => to.set("stop", Node::texts(stops)),
    }
    if let Some(format) = &from.format {
        to.set("response_format", response_format(format));
    }
    if let Some(effort) = from.effort {
        to.set("reasoning_effort", effort.word());
    }
    if !from.tools.is_empty() {
        let tools = from.tools.iter().enumerate().map(|(index, tool)| {
            self::tool(tool).map_err(|error| error.item(index).inside(from.names.tools))
        });
        to.set("tools", Node::List(tools.collect::<Result<_, _>>()?));
    }
    if let Some(choice) = &from.tool_choice {
        to.set("tool_choice", tool_choice(choice));
    }
    // an error without tools
    if let (Some(parallel), false) = (from.parallel_calls, from.tools.is_empty()) {
        to.set("parallel_tool_calls", parallel);
    }
    if let Some(user) = &from.user {
        to.set("safety_identifier", &**user);
    }
    Ok(to)
}

/// A text as it is, more than one as parts.
fn content<'c>(parts: Vec<Object<'c>>, only: Option<&'c str>) -> Node<'c> {
    match only {
        Some(text) if parts.len() == 1 => text.into(),
        _ => parts.into_iter().collect(),
    }
}

fn text_part(text: &str) -> Object<'_> {
    Object::new().with("type", "text").with("text", text)
}

fn messages<'c>(from: &'c Conversation<'_>) -> Result<Vec<Node<'c>>, NotTranslated> {
    let mut messages = Vec::new();
    if let Some(first) = from.system.first() {
        let parts = from.system.iter().map(|text| text_part(text)).collect();
        let content = content(parts, Some(first));
        messages.push(message("system", content).into());
    }
    for turn in &from.turns {
        match turn.role {
            Role::System => messages.push(message("system", said(from, &turn.parts)?).into()),
            Role::User => user(from, turn, &mut messages)?,
            Role::Assistant => messages.push(assistant(from, turn)?.into()),
        }
    }
    Ok(messages)
}

fn message<'c>(role: &'static str, content: Node<'c>) -> Object<'c> {
    Object::new().with("role", role).with("content", content)
}

/// Results are messages of their own, and stand before what else the user says.
fn user<'c>(
    from: &'c Conversation<'_>,
    turn: &'c Turn<'_>,
    messages: &mut Vec<Node<'c>>,
) -> Result<(), NotTranslated> {
    let is_result = |part: &&Part<'_>| matches!(part.said, Said::Result(_));
    for part in turn.parts.iter().filter(is_result) {
        if let Said::Result(result) = &part.said {
            let content = result_texts(result)
                .ok_or_else(|| from.cannot_say(part, "a tool's result that is not only text"))?;
            let message = message("tool", content).with("tool_call_id", &*result.id);
            messages.push(message.into());
        }
    }
    if turn.parts.iter().any(|part| !is_result(&part)) {
        messages.push(message("user", said(from, &turn.parts)?).into());
    }
    Ok(())
}

fn result_texts<'c>(result: &'c CallResult<'_>) -> Option<Node<'c>> {
    let texts = result.content.iter().map(|said| match said {
        Said::Text(text) => Some(&**text),
        _ => None,
    });
    let texts: Vec<_> = texts.collect::<Option<_>>()?;
    let only = texts.first().copied();
    Some(match only {
        None => "".into(),
        only => content(texts.into_iter().map(text_part).collect(), only),
    })
}

/// Texts and images.
fn said<'c>(from: &'c Conversation<'_>, parts: &'c [Part<'_>]) -> Result<Node<'c>, NotTranslated> {
    let mut only = None;
    let mut list = Vec::new();
    for part in parts {
        list.push(match &part.said {
            Said::Text(text) => {
                only = Some(&**text);
                text_part(text)
            }
            Said::Image(image) => {
                let url = match image {
                    Image::At(url) => Node::from(&**url),
                    Image::Data { media_type, base64 } => {
                        format!("data:{media_type};base64,{base64}").into()
                    }
                };
                Object::new()
                    .with("type", "image_url")
                    .with("image_url", Object::new().with("url", url))
            }
            Said::Result(_) => continue,
            Said::Call(_) => return Err(from.cannot_say(part, "a user's call of a tool")),
        });
    }
    Ok(content(list, only))
}

fn assistant<'c>(
    from: &'c Conversation<'_>,
    turn: &'c Turn<'_>,
) -> Result<Object<'c>, NotTranslated> {
    let mut texts = Vec::new();
    let mut calls = Vec::new();
    for part in &turn.parts {
        match &part.said {
            // the order of texts and calls is not told in this dialect
            Said::Text(text) => texts.push(&**text),
            Said::Call(call) => {
                let function = Object::new()
                    .with("name", &*call.name)
                    .with("arguments", call.input.get());
                let call = Object::new().with("id", &*call.id);
                calls.push(call.with("type", "function").with("function", function));
            }
            Said::Image(_) => return Err(from.cannot_say(part, "an assistant's image")),
            Said::Result(_) => return Err(from.cannot_say(part, "an assistant's tool result")),
        }
    }
    let only = texts.first().copied();
    let content = match only {
        None => Node::Null,
        only => content(texts.into_iter().map(text_part).collect(), only),
    };
    let calls = (!calls.is_empty()).then(|| calls.into_iter().collect::<Node<'_>>());
    Ok(message("assistant", content).maybe("tool_calls", calls))
}

fn response_format<'c>(format: &'c Format<'_>) -> Object<'c> {
    match format {
        Format::Json => Object::new().with("type", "json_object"),
        Format::Schema {
            name,
            description,
            schema,
            strict,
        } => {
            // the name is only a label, but has to be there
            let name = name.as_deref().unwrap_or("answer");
            let schema = Object::new()
                .with("name", name)
                .maybe("description", description.as_deref())
                .with("schema", &**schema)
                .maybe("strict", *strict);
            Object::new()
                .with("type", "json_schema")
                .with("json_schema", schema)
        }
    }
}

fn tool<'c>(tool: &'c Tool<'_>) -> Result<Node<'c>, NotTranslated> {
    if !is_plain(&tool.name, LONGEST_NAME) {
        return Err(NotTranslated::not("name", "OpenAI takes no such name"));
    }
    let function = Object::new()
        .with("name", &*tool.name)
        .maybe("description", tool.description.as_deref())
        .maybe("parameters", tool.schema.as_deref())
        .maybe("strict", tool.strict);
    let tool = Object::new().with("type", "function");
    Ok(tool.with("function", function).into())
}

fn tool_choice<'c>(choice: &'c ToolChoice<'_>) -> Node<'c> {
    match choice {
        ToolChoice::Free => "auto".into(),
        ToolChoice::Never => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Named(name) => Object::new()
            .with("type", "function")
            .with("function", Object::new().with("name", &**name))
            .into(),
    }
}
