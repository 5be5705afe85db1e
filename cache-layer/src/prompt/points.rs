//! The prefixes of a prompt that can be marked, Anthropic's or of Bedrock's Converse.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The most places that are looked at: the first ones, where prompts are alike, and the last.
const MOST: usize = 256;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Converse<'a> {
    #[serde(borrow)]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    /// Thinking among them.
    #[serde(borrow)]
    additional_model_request_fields: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

/// How prompts, and marks in them, are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A mark is a member of a block.
    Anthropic,
    /// A mark is a block behind another.
    Converse,
}

/// A prefix of a prompt that ends at a block, which can be marked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point<'a> {
    /// Of all that comes before, and the block.
    pub(super) hash: u64,
    /// An estimate.
    pub(super) tokens: u64,
    pub(super) member: Member,
    /// The block as it stands in the body.
    pub(super) block: &'a str,
}

/// Which member of the outermost object a block stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Tools,
    System,
    Messages,
}

impl Member {
    pub(super) const fn name(self, form: Form) -> &'static str {
        match (self, form) {
            (Self::Tools, Form::Anthropic) => "tools",
            (Self::Tools, Form::Converse) => "toolConfig",
            (Self::System, _) => "system",
            (Self::Messages, _) => "messages",
        }
    }
}

/// The points of a prompt in their order; its hashes begin with what `hasher` has taken in. Empty: it
/// can't be read.
pub(super) fn points(form: Form, body: &[u8], mut hasher: blake3::Hasher) -> Vec<Point<'_>> {
    let request = match form {
        Form::Anthropic => serde_json::from_slice(body).ok(),
        Form::Converse => serde_json::from_slice::<Converse<'_>>(body)
            .ok()
            .map(Request::from),
    };
    let Some(request) = request else {
        return Vec::new();
    };
    // what a provider's cache depends on beside the prompt
    for setting in [request.tool_choice, request.thinking] {
        hasher
            .update(setting.map_or("", RawValue::get).as_bytes())
            .update(b"\0");
    }
    let mut walk = Walk {
        form,
        hasher,
        bytes: 0,
        points: Vec::new(),
    };
    let mut tools = request.tools.unwrap_or_default();
    // they are no part of the prompt before they are found, and take no mark
    tools.retain(|tool| form == Form::Converse || !is_deferred(tool.get()));
    for (number, tool) in tools.iter().enumerate() {
        // a mark on the last one is for all
        let last = number + 1 == tools.len();
        walk.block(Member::Tools, tool.get(), last);
    }
    walk.hasher.update(b"\x01");
    if let Some(system) = request.system {
        walk.blocks(Member::System, system);
    }
    for message in &request.messages {
        walk.hasher.update(b"\x02").update(message.role.as_bytes());
        walk.blocks(Member::Messages, message.content);
    }
    walk.points
}

impl<'a> From<Converse<'a>> for Request<'a> {
    fn from(request: Converse<'a>) -> Self {
        let ToolConfig { tools, tool_choice } = request.tool_config.unwrap_or_default();
        Self {
            tools,
            system: request.system,
            messages: request.messages,
            tool_choice,
            thinking: request.additional_model_request_fields,
        }
    }
}

struct Walk<'a> {
    form: Form,
    hasher: blake3::Hasher,
    bytes: u64,
    points: Vec<Point<'a>>,
}

impl<'a> Walk<'a> {
    /// A text, or a list of blocks.
    fn blocks(&mut self, member: Member, content: &'a RawValue) {
        let raw = content.get();
        match serde_json::from_str::<Vec<&'a RawValue>>(raw) {
            Ok(blocks) => blocks.iter().for_each(|block| {
                let can = match self.form {
                    Form::Anthropic => can_be_marked(block.get()),
                    Form::Converse => can_stand_before_a_mark(block.get()),
                };
                self.block(member, block.get(), can);
            }),
            Err(_) => {
                let is_text = self.form == Form::Anthropic && raw.starts_with('"');
                self.block(member, raw, is_text && raw != "\"\"");
            }
        }
    }

    fn block(&mut self, member: Member, block: &'a str, can_be_marked: bool) {
        self.hasher
            .update(&(block.len() as u64).to_le_bytes())
            .update(block.as_bytes());
        self.bytes += block.len() as u64;
        if !can_be_marked {
            return;
        }
        if self.points.len() == MOST {
            // the first half stays, and the latest ones
            self.points.remove(MOST / 2);
        }
        let mut hash = [0; 8];
        hash.copy_from_slice(&self.hasher.finalize().as_bytes()[..8]);
        self.points.push(Point {
            hash: u64::from_le_bytes(hash),
            tokens: self.bytes / 4,
            member,
            block,
        });
    }
}

/// Whether a tool is kept out of the prompt until a search finds it.
fn is_deferred(tool: &str) -> bool {
    #[derive(Deserialize)]
    struct Tool {
        defer_loading: Option<bool>,
    }
    serde_json::from_str::<Tool>(tool).is_ok_and(|tool| tool.defer_loading == Some(true))
}

/// Thinking can't be marked, nor can a text without any.
fn can_be_marked(block: &str) -> bool {
    let Ok(block) = serde_json::from_str::<Kind<'_>>(block) else {
        return false;
    };
    match block.kind.as_deref() {
        Some("text") => block.text.is_some_and(|text| text.get() != "\"\""),
        Some("image" | "document" | "search_result" | "tool_use" | "tool_result") => true,
        _ => false,
    }
}

/// The same of Converse's blocks, which are named by their only member.
fn can_stand_before_a_mark(block: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Block<'a> {
        #[serde(borrow)]
        text: Option<&'a RawValue>,
        #[serde(borrow)]
        image: Option<&'a RawValue>,
        #[serde(borrow)]
        document: Option<&'a RawValue>,
        #[serde(borrow)]
        tool_use: Option<&'a RawValue>,
        #[serde(borrow)]
        tool_result: Option<&'a RawValue>,
    }
    let Ok(block) = serde_json::from_str::<Block<'_>>(block) else {
        return false;
    };
    let others = [
        block.image,
        block.document,
        block.tool_use,
        block.tool_result,
    ];
    block.text.is_some_and(|text| text.get() != "\"\"") || others.iter().any(Option::is_some)
}
