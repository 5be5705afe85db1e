//! The turns of a conversation, written as Anthropic's messages and their blocks.

use super::ids::Ids;
use crate::{
    conversation::{Conversation, Image, Part, Role, Said},
    error::NotTranslated,
    json::{Node, Object},
};

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

pub(super) fn text_block(text: &str) -> Object<'_> {
    Object::new().with("type", "text").with("text", text)
}

pub(super) fn messages<'c>(from: &'c Conversation<'_>) -> Result<Vec<Node<'c>>, NotTranslated> {
    let ids = &Ids::of(from);
    let turns = from.turns.iter().map(|turn| {
        let role = match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let message = Object::new().with("role", role);
        let content = match &*turn.parts {
            [
                Part {
                    said: Said::Text(text),
                    ..
                },
            ] => Node::from(&**text),
            parts => {
                // results have to stand first
                let is_result = |part: &&Part<'_>| matches!(part.said, Said::Result(_));
                let results = parts.iter().filter(is_result);
                let others = parts.iter().filter(|part| !is_result(part));
                let blocks = results
                    .chain(others)
                    .map(|part| block(from, ids, part, &part.said));
                Node::List(blocks.collect::<Result<_, _>>()?)
            }
        };
        Ok(message.with("content", content).into())
    });
    turns.collect()
}

fn block<'c>(
    from: &Conversation<'_>,
    ids: &Ids<'c>,
    part: &Part<'_>,
    said: &'c Said<'_>,
) -> Result<Node<'c>, NotTranslated> {
    let block = match said {
        Said::Text(text) => text_block(text),
        Said::Image(image) => Object::new().with("type", "image").with(
            "source",
            source(image).ok_or_else(|| from.cannot_say(part, "an image of another type"))?,
        ),
        Said::Call(call) => Object::new()
            .with("type", "tool_use")
            .with("id", ids.written(&call.id))
            .with("name", &*call.name)
            .with("input", &*call.input),
        Said::Result(result) => {
            let content = match &*result.content {
                [] => None,
                [Said::Text(text)] => Some(Node::from(&**text)),
                many => {
                    let blocks = many.iter().map(|said| block(from, ids, part, said));
                    Some(Node::List(blocks.collect::<Result<_, _>>()?))
                }
            };
            Object::new()
                .with("type", "tool_result")
                .with("tool_use_id", ids.written(&result.id))
                .maybe("content", content)
                .maybe("is_error", result.failed.then_some(true))
        }
    };
    Ok(block.into())
}

fn source<'c>(image: &'c Image<'_>) -> Option<Object<'c>> {
    Some(match image {
        Image::At(url) => Object::new().with("type", "url").with("url", &**url),
        Image::Data { media_type, base64 } => Object::new()
            .with("type", "base64")
            .with(
                "media_type",
                *IMAGES.iter().find(|known| *known == media_type)?,
            )
            .with("data", &**base64),
    })
}
