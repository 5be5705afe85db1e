//! The prefixes of an Anthropic prompt that can be marked.

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
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::System => "system",
            Self::Messages => "messages",
        }
    }
}

/// The points of a prompt in their order; its hashes begin with what `hasher` has taken in. Empty: it
/// can't be read.
pub(super) fn points(body: &[u8], mut hasher: blake3::Hasher) -> Vec<Point<'_>> {
    let Ok(request) = serde_json::from_slice::<Request<'_>>(body) else {
        return Vec::new();
    };
    // what a provider's cache depends on beside the prompt
    for setting in [request.tool_choice, request.thinking] {
        hasher
            .update(setting.map_or("", RawValue::get).as_bytes())
            .update(b"\0");
    }
    let mut walk = Walk {
        hasher,
        bytes: 0,
        points: Vec::new(),
    };
    let tools = request.tools.unwrap_or_default();
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

struct Walk<'a> {
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
                let can = can_be_marked(block.get());
                self.block(member, block.get(), can);
            }),
            Err(_) => self.block(member, raw, raw.starts_with('"') && raw != "\"\""),
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
