//! An answer, written as the stream of a chat completion.

use super::answer::{finish_reason, usage};
use crate::{
    answer::{End, Head, Kind, Piece},
    json::{Node, Object},
    write::Out,
};

#[derive(Default)]
pub(crate) struct Writer {
    /// Every event says so, with its own.
    asked_usage: bool,
    begun: Vec<u64>,
}

impl Writer {
    pub(crate) const fn new(asked_usage: bool) -> Self {
        Self {
            asked_usage,
            begun: Vec::new(),
        }
    }

    pub(crate) fn begin(&mut self, head: &Head, out: &mut Out) {
        self.begin_choice(0, head, out);
    }

    fn begin_choice(&mut self, choice: u64, head: &Head, out: &mut Out) {
        if !self.begun.contains(&choice) {
            self.begun.push(choice);
            let delta = Object::new()
                .with("role", "assistant")
                .with("content", "")
                .with("refusal", Node::Null);
            self.chunk(head, Some((choice, delta, None)), None, out);
        }
    }

    pub(crate) fn piece(&mut self, piece: Piece, head: &Head, out: &mut Out) {
        self.begin_choice(piece.choice, head, out);
        let delta = match piece.kind {
            Kind::Text => Object::new().with("content", piece.text),
            Kind::Reasoning => Object::new().with("reasoning_content", piece.text),
            Kind::Refusal => Object::new().with("refusal", piece.text),
            Kind::Call { number, begins } => {
                let mut call = Object::new().with("index", number);
                let mut function = Object::new();
                if let Some(begins) = begins {
                    call.set("id", begins.id);
                    call.set("type", "function");
                    function.set("name", begins.name);
                }
                function.set("arguments", piece.text);
                call.set("function", function);
                Object::new().with("tool_calls", Node::List(vec![call.into()]))
            }
        };
        self.chunk(head, Some((piece.choice, delta, None)), None, out);
    }

    pub(crate) fn end(&mut self, end: &End, head: &Head, out: &mut Out) {
        for (choice, ended) in &end.choices {
            self.begin_choice(*choice, head, out);
            let ended = Some(finish_reason(*ended));
            self.chunk(head, Some((*choice, Object::new(), ended)), None, out);
        }
        if let (true, Some(used)) = (self.asked_usage, end.usage) {
            self.chunk(head, None, Some(usage(used)), out);
        }
        out.event(None, b"[DONE]");
    }

    fn chunk(
        &self,
        head: &Head,
        said: Option<(u64, Object<'_>, Option<&'static str>)>,
        usage: Option<Object<'_>>,
        out: &mut Out,
    ) {
        let choices = said.map(|(index, delta, ended)| {
            Object::new()
                .with("index", index)
                .with("delta", delta)
                .with("logprobs", Node::Null)
                .with("finish_reason", ended.map_or(Node::Null, Node::from))
        });
        let choices: Node<'_> = choices.into_iter().collect();
        let mut chunk = Object::new()
            .with("id", &*head.id)
            .with("object", "chat.completion.chunk")
            .with("created", head.created)
            .with("model", &*head.model)
            .with("choices", choices);
        if self.asked_usage {
            chunk.set("usage", usage.map_or(Node::Null, Node::from));
        }
        out.event(None, &chunk.to_json());
    }
}
