//! The texts of a prompt, for whoever counts its tokens.

use std::fmt;

use http::Request;
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Call, rewrite};
use crate::Payload;

/// Of what a prompt consists beside its texts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Messages, turns or inputs, the system prompt among them.
    pub messages: u64,
    /// Images, recordings and files.
    pub media: u64,
    /// Tokens that came as numbers.
    pub tokens: u64,
}

/// Members of the outermost object that are the prompt, in any dialect.
const PROMPT: [&str; 13] = [
    "contents",
    "input",
    "inputs",
    "instances",
    "instructions",
    "messages",
    "prompt",
    "suffix",
    "system",
    "systemInstruction",
    "system_instruction",
    "texts",
    "query",
];
/// Those whose JSON itself is shown to the model in some form.
const SCHEMAS: [&str; 5] = [
    "functions",
    "response_format",
    "text",
    "toolConfig",
    "tools",
];
/// Members within a prompt that hold an image, a recording or a file.
const MEDIA: [&str; 12] = [
    "audio_url",
    "bytes",
    "data",
    "fileData",
    "file_data",
    "file_url",
    "image_url",
    "images",
    "inlineData",
    "inline_data",
    "input_audio",
    "url",
];
/// Members within a prompt whose text is none of it.
const MARKS: [&str; 8] = [
    "cache_control",
    "id",
    "media_type",
    "mimeType",
    "role",
    "tool_call_id",
    "tool_use_id",
    "type",
];

impl Call {
    /// Shows each text of the request's prompt, and says what else is in it. Images, recordings and
    /// files are counted, never shown as text; of tools and schemas the JSON is shown.
    ///
    /// `None`: the call could not be read, or its dialect is no JSON.
    pub fn prompt(request: &Request<Payload>, mut text: impl FnMut(&str)) -> Option<Prompt> {
        let call = Self::of(request)?;
        if call.dialect.is_grpc() {
            return None;
        }
        let body = rewrite::whole(request)?;
        let mut prompt = Prompt::default();
        let outermost = Outermost {
            prompt: &mut prompt,
            text: &mut text,
        };
        let mut json = serde_json::Deserializer::from_slice(body);
        json.deserialize_map(outermost).ok()?;
        Some(prompt)
    }
}

struct Outermost<'a> {
    prompt: &'a mut Prompt,
    text: &'a mut dyn FnMut(&str),
}

impl<'de> Visitor<'de> for Outermost<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(OneOf(&[&PROMPT, &SCHEMAS]))? {
            match name {
                Some((0, _)) => map.next_value_seed(Value {
                    prompt: &mut *self.prompt,
                    text: &mut *self.text,
                    depth: 0,
                })?,
                Some(_) => {
                    let raw: &RawValue = map.next_value()?;
                    (self.text)(raw.get());
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Which of the names a key is: of which list, and which.
struct OneOf<'n>(&'n [&'n [&'static str]]);

impl<'de> DeserializeSeed<'de> for OneOf<'_> {
    type Value = Option<(usize, usize)>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for OneOf<'_> {
    type Value = Option<(usize, usize)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let mut lists = self.0.iter().enumerate();
        Ok(lists.find_map(|(list, names)| {
            let place = names.iter().position(|known| *known == name)?;
            Some((list, place))
        }))
    }
}

/// A value within the prompt. serde_json lets none nest deeper than 128 levels.
struct Value<'a> {
    prompt: &'a mut Prompt,
    text: &'a mut dyn FnMut(&str),
    /// Of arrays and objects around it.
    depth: u32,
}

impl Value<'_> {
    fn within(&mut self) -> Value<'_> {
        Value {
            prompt: self.prompt,
            text: self.text,
            depth: self.depth + 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if self.depth == 0 {
            self.prompt.messages += 1;
        }
        if text.starts_with("data:") && text.len() > 256 {
            self.prompt.media += 1;
        } else {
            (self.text)(text);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        // legacy prompts and inputs to be embedded may be lists of tokens
        self.prompt.tokens += 1;
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.within())?.is_some() {
            if self.depth == 0 {
                self.prompt.messages += 1;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(OneOf(&[&MEDIA, &MARKS]))? {
            match name {
                None => map.next_value_seed(self.within())?,
                Some((0, _)) => {
                    let raw: &RawValue = map.next_value()?;
                    self.medium(raw.get());
                }
                Some(_) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

impl Value<'_> {
    /// What is called data may be a text all the same: a document, the arguments of a tool.
    fn medium(&mut self, raw: &str) {
        let start = &raw.as_bytes()[..raw.len().min(256)];
        let is_address = start.starts_with(b"\"http") || start.starts_with(b"\"data:");
        let is_text = start.contains(&b' ') && start.starts_with(b"\"") && !is_address;
        if is_text || raw.len() < 8 {
            (self.text)(raw);
        } else {
            self.prompt.media += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(path: &str, body: &str) -> (Prompt, String) {
        let request = Request::post(path).body(body.to_owned()).unwrap();
        let request = Payload::read(request, 1 << 20).await;
        let mut texts = String::new();
        let prompt = Call::prompt(&request, |text| {
            texts.push_str(text);
            texts.push('|');
        });
        (prompt.unwrap(), texts)
    }

    #[tokio::test]
    async fn texts_of_every_place_are_shown_and_nothing_else() {
        let (prompt, texts) = read(
            "/v1/chat/completions",
            r#"{"model":"m","messages":[{"role":"system","content":"One"},
                {"role":"user","content":[{"type":"text","text":"two\n"},
                {"type":"image_url","image_url":{"url":"https://h/picture.png"}}]}],
                "user":"u","stop":["no"]}"#,
        )
        .await;
        assert_eq!(texts, "One|two\n|");
        assert_eq!((prompt.messages, prompt.media), (2, 1));
        let (prompt, texts) = read(
            "/v1/messages",
            r#"{"model":"m","system":"S","max_tokens":9,"tools":[{"name":"f"}],"messages":[
                {"role":"user","content":"hi"}]}"#,
        )
        .await;
        assert_eq!(texts, "S|[{\"name\":\"f\"}]|hi|");
        assert_eq!(prompt.messages, 2);
    }

    #[tokio::test]
    async fn an_image_is_never_text() {
        let image = "A".repeat(100_000);
        for content in [
            format!(
                r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{image}"}}}}"#
            ),
            format!(
                r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}"#
            ),
            format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{image}"}}"#),
        ] {
            let body = format!(
                r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{content}]}}]}}"#
            );
            let (prompt, texts) = read("/v1/messages", &body).await;
            assert_eq!((prompt.media, &*texts), (1, ""), "{}", &content[..60]);
        }
        let text = r#"{"type":"document","source":{"type":"text","data":"a plain text"}}"#;
        let body = format!(
            r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{text}]}}]}}"#
        );
        assert_eq!(read("/v1/messages", &body).await.1, "\"a plain text\"|");
    }
}
