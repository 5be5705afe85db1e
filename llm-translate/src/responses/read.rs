//! A request of OpenAI responses, read. What depends on the provider's memory is not carried over.

use crate::{
    chat,
    conversation::{
        self, Call, CallResult, Conversation, Echo, Effort, Format, RESPONSES, Role, Said, Tool,
        ToolChoice,
    },
    error::NotTranslated,
    json::{Fields, Raw, is_empty, items, text},
};

pub(crate) fn read(body: &[u8]) -> Result<Conversation<'_>, NotTranslated> {
    let mut fields = Fields::parse(body)?;
    let mut to = Conversation::new(&RESPONSES);
    to.usage = true;
    to.model = fields.text("model")?;
    to.cap = fields.count("max_output_tokens")?;
    to.stream = fields.truth("stream")?.unwrap_or(false);
    to.sampling.temperature = fields.number("temperature")?;
    to.sampling.top_p = fields.number("top_p")?;
    to.parallel_calls = fields.truth("parallel_tool_calls")?;
    let mut echo = Echo::default();
    let tools = fields.read("tools", |raw| {
        echo.tools = Some(raw);
        items(raw, tool)
    })?;
    to.tools = tools.unwrap_or_default();
    to.tool_choice = fields.read("tool_choice", |raw| {
        echo.tool_choice = Some(raw);
        tool_choice(raw)
    })?;
    echo.parallel_calls = to.parallel_calls;
    to.echo = echo;
    fields.read("text", |raw| text_config(raw, &mut to))?;
    fields.read("reasoning", |raw| reasoning(raw, &mut to))?;
    let older = fields.text("user")?;
    to.user = fields.text("safety_identifier")?.or(older);
    for name in chat::HARMLESS {
        if fields.drop(name) {
            to.leave_out(name);
        }
    }
    // random letters against traffic analysis, which a translation has none of
    fields.read("stream_options", |raw| {
        let mut fields = Fields::of(raw)?;
        fields.drop("include_obfuscation");
        fields.done()
    })?;
    fields.read("include", |raw| include(raw, &mut to))?;
    fields.unless("truncation", |raw| raw.get() == r#""disabled""#)?;
    fields.unless("top_logprobs", |raw| raw.get() == "0")?;
    fields.unless("background", |raw| raw.get() == "false")?;
    for name in [
        "context_management",
        "conversation",
        "previous_response_id",
        "prompt",
    ] {
        fields.unless(name, is_empty)?;
    }
    if let Some(text) = fields.text("instructions")? {
        to.instruct(0, text);
    }
    fields.must("input", |raw| input(raw, &mut to))?;
    fields.done()?;
    Ok(to)
}

fn tool(raw: Raw<'_>) -> Result<Tool<'_>, NotTranslated> {
    let mut fields = Fields::of(raw)?;
    match &*fields.must("type", text)? {
        "function" => chat::function(fields),
        // the provider's own tools run only there
        _ => Err(NotTranslated::nowhere("type")),
    }
}

fn tool_choice(raw: Raw<'_>) -> Result<ToolChoice<'_>, NotTranslated> {
    if let Ok(word) = text(raw) {
        return chat::word_of_choice(&word);
    }
    let mut fields = Fields::of(raw)?;
    if fields.must("type", text)? != "function" {
        return Err(NotTranslated::nowhere("type"));
    }
    let name = fields.must("name", text)?;
    fields.done()?;
    Ok(ToolChoice::Named(name))
}

fn text_config<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<(), NotTranslated> {
    let mut fields = Fields::of(raw)?;
    fields.unless("verbosity", |raw| raw.get() == r#""medium""#)?;
    let format = fields.read("format", |raw| {
        let mut fields = Fields::of(raw)?;
        match &*fields.must("type", text)? {
            "text" => fields.done().map(|()| None),
            "json_object" => fields.done().map(|()| Some(Format::Json)),
            "json_schema" => chat::schema(fields).map(Some),
            _ => Err(NotTranslated::nowhere("type")),
        }
    })?;
    to.format = format.flatten();
    fields.done()
}

fn reasoning<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<(), NotTranslated> {
    let mut fields = Fields::of(raw)?;
    to.effort = fields.read("effort", Effort::of)?;
    // it is not shown, see the README
    for name in ["summary", "generate_summary"] {
        if fields.drop(name) {
            to.leave_out("reasoning.summary");
        }
    }
    fields.done()
}

/// What is to be told beside the answer.
fn include(raw: Raw<'_>, to: &mut Conversation<'_>) -> Result<(), NotTranslated> {
    items(raw, |raw| match &*text(raw)? {
        "reasoning.encrypted_content" => {
            to.leave_out("include");
            Ok(())
        }
        _ => Err(NotTranslated::nowhere("")),
    })?;
    Ok(())
}

fn input<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<(), NotTranslated> {
    if let Ok(text) = text(raw) {
        to.say(0, Role::User, Said::Text(text));
        return Ok(());
    }
    let mut number = 0..;
    items(raw, |raw| {
        item(number.next().unwrap_or(0), Fields::of(raw)?, to)
    })?;
    Ok(())
}

fn item<'a>(
    number: usize,
    mut fields: Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<(), NotTranslated> {
    let kind = fields.text("type")?;
    // what an item was called and how far it had come when it was said
    for name in ["id", "status"] {
        fields.drop(name);
    }
    if fields.drop("phase") {
        to.leave_out("input.phase");
    }
    match kind.as_deref() {
        None | Some("message") => message(number, &mut fields, to)?,
        Some("function_call") => {
            let call = Call {
                id: fields.must("call_id", text)?,
                name: fields.must("name", text)?,
                input: fields.must("arguments", |raw| conversation::input(&text(raw)?))?,
            };
            to.say(number, Role::Assistant, Said::Call(call));
        }
        Some("function_call_output") => {
            let result = CallResult {
                id: fields.must("call_id", text)?,
                content: fields.must("output", |raw| content(raw, to))?,
                failed: false,
            };
            to.say(number, Role::User, Said::Result(result));
        }
        // sealed for the model that thought it
        Some("reasoning") => {
            to.leave_out(to.names.reasoning);
            return Ok(());
        }
        _ => return Err(NotTranslated::nowhere("type")),
    }
    fields.done()
}

fn message<'a>(
    number: usize,
    fields: &mut Fields<'a>,
    to: &mut Conversation<'a>,
) -> Result<(), NotTranslated> {
    let role = fields.must("role", text)?;
    let said = fields.must("content", |raw| content(raw, to))?;
    for said in said {
        match (&*role, said) {
            ("user", said) => to.say(number, Role::User, said),
            ("assistant", said @ Said::Text(_)) => to.say(number, Role::Assistant, said),
            ("system" | "developer", Said::Text(text)) => to.instruct(number, text),
            ("assistant" | "system" | "developer", _) => {
                return Err(NotTranslated::malformed("content", "it is not text"));
            }
            _ => return Err(NotTranslated::nowhere("role")),
        }
    }
    Ok(())
}

fn content<'a>(raw: Raw<'a>, to: &mut Conversation<'a>) -> Result<Vec<Said<'a>>, NotTranslated> {
    if let Ok(text) = text(raw) {
        return Ok(vec![Said::Text(text)]);
    }
    items(raw, |raw| {
        let mut fields = Fields::of(raw)?;
        let said = match &*fields.must("type", text)? {
            "input_text" | "output_text" => Said::Text(fields.must("text", text)?),
            "refusal" => Said::Text(fields.must("refusal", text)?),
            "input_image" => {
                if fields.drop("detail") {
                    to.leave_out("input_image.detail");
                }
                Said::Image(fields.must("image_url", chat::image)?)
            }
            _ => return Err(NotTranslated::nowhere("type")),
        };
        chat::marked(&mut fields, to);
        fields.unless("annotations", is_empty)?;
        fields.unless("logprobs", is_empty)?;
        fields.done()?;
        Ok(said)
    })
}
