//! What a request asks, and the answer made of it. The same for every dialect.

use serde_json::Value;

use crate::{
    behaviour::{At, Behaviour, Fault, MOST_DELTAS},
    dialect::Server,
};

/// Words of the prompt that an answer repeats at most.
const MOST_ECHOED: usize = 1_000;

/// The facts of a request.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// On every chunk, what was used so far.
    pub(crate) running_usage: bool,
    pub(crate) choices: usize,
    pub(crate) cap: Option<usize>,
    pub(crate) prompt_tokens: usize,
    pub(crate) last_user: String,
    pub(crate) tool: Option<String>,
}

/// What is answered: the pieces are the deltas of a stream.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) model: String,
    pub(crate) choices: usize,
    pub(crate) reasoning: Vec<String>,
    pub(crate) pieces: Vec<String>,
    /// The tool that is called; the pieces are its arguments.
    pub(crate) tool: Option<String>,
    /// The cap of the request ended it.
    pub(crate) capped: bool,
    pub(crate) prompt_tokens: usize,
    pub(crate) usage: bool,
    pub(crate) include_usage: bool,
    pub(crate) running_usage: bool,
    pub(crate) server: Server,
}

impl Ask {
    pub(crate) fn answer(self, number: u64, behaviour: &Behaviour) -> Answer {
        let shape = &behaviour.shape;
        let mut reasoning: Vec<_> = (1..=shape.reasoning)
            .map(|n| format!("thought-{n} "))
            .collect();
        let echo = format!("echo: {}", self.last_user);
        let words: Vec<_> = pieces(&echo).take(MOST_ECHOED).collect();
        // one more than the delta after which something goes wrong, so that something is missing
        let needed = match behaviour.fault {
            Some(Fault::Body(At::Delta(k), _)) => (k.get() + 1).saturating_sub(reasoning.len()),
            _ => 0,
        };
        let count = shape
            .deltas
            .unwrap_or_else(|| words.len().max(needed))
            .min(MOST_DELTAS + 1);
        let mut pieces = repeated(&words, count);
        let tool = shape
            .tool
            .then(|| self.tool.unwrap_or_else(|| "lookup".into()));
        if tool.is_some() {
            as_arguments(&mut pieces);
        }
        let cap = self.cap.unwrap_or(usize::MAX);
        let capped = cap < reasoning.len() + pieces.len();
        reasoning.truncate(cap);
        pieces.truncate(cap - reasoning.len());
        Answer {
            number,
            model: self.model,
            choices: self.choices,
            reasoning,
            pieces,
            tool,
            capped,
            prompt_tokens: self.prompt_tokens,
            usage: !shape.no_usage,
            include_usage: self.include_usage,
            running_usage: self.running_usage && !shape.no_usage,
            server: shape.server,
        }
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        self.pieces.concat()
    }

    /// Deltas of one choice.
    pub(crate) fn deltas(&self) -> usize {
        self.reasoning.len() + self.pieces.len()
    }
}

/// The words of a text, each with the blanks after it.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(|c: char| !c.is_whitespace())?;
        let blank = rest[word..]
            .find(char::is_whitespace)
            .map_or(rest.len(), |at| at + word);
        let next = rest[blank..].find(|c: char| !c.is_whitespace());
        let (piece, left) = rest.split_at(next.map_or(rest.len(), |at| at + blank));
        rest = left;
        Some(piece)
    })
}

fn repeated(words: &[&str], count: usize) -> Vec<String> {
    let mut all: Vec<String> = words
        .iter()
        .cycle()
        .take(count)
        .map(|word| (*word).to_owned())
        .collect();
    let last = all.len().saturating_sub(1);
    for word in &mut all[..last] {
        if !word.ends_with(char::is_whitespace) {
            word.push(' ');
        }
    }
    all
}

/// `{"q":"..."}` in as many pieces as before.
fn as_arguments(pieces: &mut [String]) {
    for piece in &mut *pieces {
        let quoted = quoted(piece);
        quoted[1..quoted.len() - 1].clone_into(piece);
    }
    if let Some(first) = pieces.first_mut() {
        first.insert_str(0, "{\"q\":\"");
    }
    if let Some(last) = pieces.last_mut() {
        last.push_str("\"}");
    }
}

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Tokens, by the rule of this server: words.
pub(crate) fn tokens(text: &str) -> usize {
    text.split_whitespace().count()
}

/// All text of a message's `content`: a string, or parts with a `text`.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<_> = parts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect();
            texts.join(" ")
        }
        _ => String::new(),
    }
}

/// Tokens of the messages, and the text of the last one of the user; `content` is the member with
/// the text.
pub(crate) fn prompt(messages: &[Value], content: &str) -> (usize, String) {
    let mut count = 0;
    let mut last_user = String::new();
    for message in messages {
        let text = text_of(&message[content]);
        count += tokens(&text);
        if message["role"] == "user" {
            last_user = text;
        }
    }
    (count, last_user)
}

/// Tokens of one `content`, as Anthropic's `system` is.
pub(crate) fn tokens_of(content: &Value) -> usize {
    tokens(&text_of(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_text_join_to_the_text() {
        let text = "echo: so  it\ngoes\u{2028}on ";
        let all: Vec<_> = pieces(text).collect();
        assert_eq!(all, ["echo: ", "so  ", "it\n", "goes\u{2028}", "on "]);
        assert_eq!(all.concat(), text);
        assert_eq!(pieces(" ").count(), 0);
    }

    #[test]
    fn more_deltas_than_words_repeat_the_words() {
        assert_eq!(repeated(&["a ", "b"], 3), ["a ", "b ", "a "]);
        assert_eq!(repeated(&["a ", "b"], 1), ["a "]);
        assert!(repeated(&["a"], 0).is_empty());
    }

    #[test]
    fn arguments_of_a_tool_call_are_json() {
        let mut all = repeated(&["say ", "\"hi\" "], 3);
        as_arguments(&mut all);
        assert_eq!(all.len(), 3);
        let parsed: Value = serde_json::from_str(&all.concat()).unwrap();
        assert_eq!(parsed["q"], "say \"hi\" say ");
    }
}
