//! A conversation, written as a request of Anthropic messages.

use super::blocks::{messages, text_block};
use crate::{
    conversation::{Conversation, Effort, Format, Tool, ToolChoice, is_plain},
    error::NotTranslated,
    json::{Node, Object, number_of},
};

const LONGEST_NAME: usize = 128;
/// The API wants a cap. No caller is to have less of an answer for being translated, and no model
/// since Claude 4 has a lower maximum.
const USUAL_CAP: u64 = 32_000;

/// What the version of the API takes that the request is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// From 2026-10-21 on any of `temperature`, `top_p`, `top_k` is a 400.
    pub(crate) takes_sampling: bool,
}

impl Version {
    pub(crate) fn of(date: &str) -> Self {
        Self {
            // dates of one form are ordered like their texts
            takes_sampling: date < "2026-10-21",
        }
    }
}

pub(crate) fn write<'c>(
    from: &'c mut Conversation<'_>,
    model: &'c str,
    version: Version,
) -> Result<Object<'c>, NotTranslated> {
    from.check_last_turn()?;
    // it takes none there
    from.trim_last_turn()?;
    if !version.takes_sampling {
        let Conversation {
            sampling, names, ..
        } = &mut *from;
        let mut gone = Vec::new();
        for (value, name) in [
            (&mut sampling.temperature, names.temperature),
            (&mut sampling.top_p, names.top_p),
            (&mut sampling.top_k, names.top_k),
        ] {
            gone.extend(value.take().map(|_| name));
        }
        gone.into_iter().for_each(|name| from.leave_out(name));
    }
    if from.effort == Some(Effort::Minimal) {
        from.leave_out(from.names.effort);
    }
    let from = &*from;
    check(from)?;
    let mut to = Object::new()
        .with("model", model)
        .with("max_tokens", from.cap.unwrap_or(USUAL_CAP));
    match &*from.system {
        [] => {}
        [system] => to.set("system", &**system),
        system => to.set(
            "system",
            system
                .iter()
                .map(|text| text_block(text))
                .collect::<Node<'_>>(),
        ),
    }
    to.set("messages", Node::List(messages(from)?));
    for (name, value) in [
        ("temperature", from.sampling.temperature),
        ("top_p", from.sampling.top_p),
        ("top_k", from.sampling.top_k),
    ] {
        if let Some(value) = value {
            to.set(name, value);
        }
    }
    if !from.stops.is_empty() {
        to.set("stop_sequences", Node::texts(&from.stops));
    }
    if !from.tools.is_empty() {
        let tools = from.tools.iter().enumerate().map(|(index, tool)| {
            self::tool(tool).map_err(|error| error.item(index).inside(from.names.tools))
        });
        to.set("tools", Node::List(tools.collect::<Result<_, _>>()?));
        if let Some(choice) = tool_choice(from) {
            to.set("tool_choice", choice);
        }
    }
    if let Some(thinking) = thinking(from) {
        to.set("thinking", thinking);
    }
    if let Some(config) = output_config(from)?.filled() {
        to.set("output_config", config);
    }
    if let Some(user) = &from.user {
        to.set("metadata", Object::new().with("user_id", &**user));
    }
    if from.stream {
        to.set("stream", true);
    }
    Ok(to)
}

/// What this API has nothing for.
fn check(from: &Conversation<'_>) -> Result<(), NotTranslated> {
    let names = from.names;
    if from.choices != 1 {
        return Err(NotTranslated::not(
            names.choices,
            "there is only one answer",
        ));
    }
    if from.sampling.seed.is_some() {
        return Err(NotTranslated::nowhere(names.seed));
    }
    for (penalty, name) in [
        (from.sampling.presence_penalty, names.presence_penalty),
        (from.sampling.frequency_penalty, names.frequency_penalty),
    ] {
        // 0 is none
        if penalty
            .map(number_of)
            .transpose()?
            .is_some_and(|penalty| penalty != 0.0)
        {
            return Err(NotTranslated::nowhere(name));
        }
    }
    let temperature = from.sampling.temperature.map(number_of).transpose()?;
    if temperature.is_some_and(|temperature| temperature > 1.0) {
        return Err(NotTranslated::not(names.temperature, "it is above 1"));
    }
    if from.stops.iter().any(|stop| stop.trim().is_empty()) {
        return Err(NotTranslated::not(names.stops, "one is only white space"));
    }
    Ok(())
}

fn tool<'c>(tool: &'c Tool<'_>) -> Result<Node<'c>, NotTranslated> {
    if !is_plain(&tool.name, LONGEST_NAME) {
        return Err(NotTranslated::not("name", "Anthropic takes no such name"));
    }
    let schema = match &tool.schema {
        Some(schema) => Node::from(&**schema),
        None => Object::new().with("type", "object").into(),
    };
    let tool = Object::new()
        .with("name", &*tool.name)
        .maybe("description", tool.description.as_deref())
        .with("input_schema", schema)
        .maybe("strict", tool.strict.filter(|strict| *strict));
    Ok(tool.into())
}

fn tool_choice<'c>(from: &'c Conversation<'_>) -> Option<Object<'c>> {
    let one = (from.parallel_calls == Some(false)).then_some(true);
    let kind = |kind: &'static str| Object::new().with("type", kind);
    let choice = match &from.tool_choice {
        Some(ToolChoice::Never) => return Some(kind("none")),
        Some(ToolChoice::Free) => kind("auto"),
        None => one.map(|_| kind("auto"))?,
        Some(ToolChoice::Any) => kind("any"),
        Some(ToolChoice::Named(name)) => kind("tool").with("name", &**name),
    };
    Some(choice.maybe("disable_parallel_tool_use", one))
}

fn thinking<'c>(from: &Conversation<'_>) -> Option<Object<'c>> {
    let kind = |kind: &'static str| Object::new().with("type", kind);
    let thinking = match (from.effort, from.thinking) {
        (Some(Effort::Nothing), _) => return Some(kind("disabled")),
        (_, None) => return None,
        (_, Some(thinking)) => thinking,
    };
    Some(match thinking.budget {
        Some(0) => kind("disabled"),
        Some(budget) => kind("enabled").with("budget_tokens", budget),
        None => kind("adaptive"),
    })
}

fn output_config<'c>(from: &'c Conversation<'_>) -> Result<Object<'c>, NotTranslated> {
    let mut config = Object::new();
    match from.effort {
        None | Some(Effort::Nothing) => {}
        // the least there is
        Some(Effort::Minimal) => config.set("effort", Effort::Low.word()),
        Some(effort) => config.set("effort", effort.word()),
    }
    match &from.format {
        None => {}
        Some(Format::Json) => {
            return Err(NotTranslated::not(
                from.names.format,
                "JSON without a schema",
            ));
        }
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
            let format = Object::new()
                .with("type", "json_schema")
                .with("schema", &**schema);
            config.set("format", format);
        }
    }
    Ok(config)
}
