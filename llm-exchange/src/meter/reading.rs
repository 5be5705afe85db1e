//! What an answer said, in any dialect: filled by the dialects' readers.

use std::sync::Arc;

use super::{End, Hidden, Mark, Open};
use crate::{Dialect, ProviderError, TokenEstimate, Tokens, Usage};

/// More choices than any API gives.
const MOST_CHOICES: usize = 256;
/// More parts of the work on one answer than are told apart.
const MOST_PARTS: usize = 64;
/// Longest name that is kept.
const LONGEST_NAME: usize = 256;

/// Of JSON that is not looked into.
const BYTES_A_TOKEN: u64 = 4;

/// What one event of a stream says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StreamEvent {
    /// Nothing that a caller could read: a role, a ping, a frame of the protocol.
    #[default]
    Nothing,
    /// Text, reasoning or a tool call.
    Content,
    /// A choice, or all of the answer, is over as the provider's protocol ends it.
    Finished,
    /// The provider failed inside of its 200.
    Error,
}

/// What an answer has said so far.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) model: Option<Box<str>>,
    pub(crate) id: Option<Box<str>>,
    pub(crate) tier: Option<Box<str>>,
    pub(crate) speed: Option<Box<str>>,
    pub(crate) geo: Option<Box<str>>,
    pub(crate) created: Option<u64>,
    /// The number of the event to come, where they are numbered.
    pub(crate) next_event: u64,
    pub(crate) error: Option<Arc<ProviderError>>,
    /// The terminator came (`[DONE]`, `message_stop`).
    pub(crate) done: bool,
    /// It cannot be read: compressed, or of another type.
    pub(crate) unreadable: bool,
    /// An event was too large to be read, which may have been the one that said how it ended.
    pub(crate) lost: bool,
    /// What dialects with a usage in several parts have so far.
    pub(crate) parts: UsageParts,
    /// Where events stand that are nothing but the usage.
    pub(crate) usage_only: Hidden,
    usage: Option<Usage>,
    usages: u64,
    /// The usage apart, by the models that worked on the answer. Empty: it is all one.
    usage_parts: Vec<(Option<Box<str>>, Usage)>,
    text: TokenEstimate,
    /// The estimate of what passed unread.
    unread: u64,
    /// Output tokens of the attempts that this one goes on from, in the same stream.
    output_before: u64,
    /// The model is of the attempt before, until this one names its own.
    is_old_model: bool,
    /// By index: seen, and why it ended.
    choices: Vec<Choice>,
    /// Content blocks that have begun and not ended.
    blocks: Vec<u64>,
    /// Where numbers of tokens were reached.
    pub(crate) marks: Vec<Mark>,
}

#[derive(Default)]
struct Choice {
    seen: bool,
    finish: Option<Box<str>>,
}

/// A provider's counts, in the provider's own convention; what is absent is not known yet.
#[derive(Clone, Copy, Default)]
pub(crate) struct UsageParts {
    pub(crate) input: Option<u64>,
    pub(crate) cached: Option<u64>,
    pub(crate) cache_write: Option<u64>,
    pub(crate) cache_write_short: Option<u64>,
    pub(crate) cache_write_long: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) reasoning: Option<u64>,
    pub(crate) web_searches: Option<u64>,
}

impl Reading {
    /// Text that passed, of any kind that is billed.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.text.push(text);
    }

    /// So many bytes of an answer's JSON that nobody looked into.
    pub(crate) const fn unread(&mut self, bytes: u64) {
        self.unread = bytes / BYTES_A_TOKEN;
    }

    /// The provider's usage so far; the last one counts.
    pub(crate) fn set_usage(&mut self, usage: Usage) {
        self.usage = Some(usage);
        self.usages += 1;
    }

    /// How often a usage was read.
    pub(crate) const fn usages(&self) -> u64 {
        self.usages
    }

    /// The usage of each part of the work, with its model where that is another one.
    pub(crate) fn set_usage_parts(
        &mut self,
        parts: impl Iterator<Item = (Option<Box<str>>, Usage)>,
    ) {
        self.usage_parts = parts.take(MOST_PARTS).collect();
    }

    pub(crate) fn usage_parts(&self) -> impl Iterator<Item = &(Option<Box<str>>, Usage)> {
        self.usage_parts.iter()
    }

    /// The first name counts: an event of a known shape is not read again for it.
    pub(crate) fn set_model(&mut self, model: &str) {
        if (self.model.is_none() || self.is_old_model) && !model.is_empty() {
            set(&mut self.model, model);
            self.is_old_model = false;
        }
    }

    pub(crate) fn set_id(&mut self, id: &str) {
        if self.id.is_none() && !id.is_empty() {
            set(&mut self.id, id);
        }
    }

    /// The last one counts: a stream begins with the tier asked for and ends with the one used.
    pub(crate) fn set_tier(&mut self, tier: &str) {
        set(&mut self.tier, tier);
    }

    pub(crate) fn set_speed(&mut self, speed: &str) {
        set(&mut self.speed, speed);
    }

    pub(crate) fn set_geo(&mut self, geo: &str) {
        set(&mut self.geo, geo);
    }

    pub(crate) fn fail(&mut self, error: ProviderError) {
        self.error.get_or_insert_with(|| Arc::new(error));
    }

    /// A choice is there.
    pub(crate) fn choice(&mut self, index: u64) {
        if let Some(choice) = self.at(index) {
            choice.seen = true;
        }
    }

    /// A choice has ended. Its reason may come again.
    pub(crate) fn finish(&mut self, index: u64, reason: &str) {
        if let Some(choice) = self.at(index) {
            choice.seen = true;
            set(&mut choice.finish, reason);
        }
    }

    /// A content block has begun.
    pub(crate) fn begin_block(&mut self, index: u64) {
        if !self.blocks.contains(&index) && self.blocks.len() < MOST_CHOICES {
            self.blocks.push(index);
        }
    }

    /// A content block has ended.
    pub(crate) fn end_block(&mut self, index: u64) {
        self.blocks.retain(|open| *open != index);
    }

    /// What is open now.
    pub(crate) fn open(&self) -> Open {
        let choices = self.choices.iter().zip(0..);
        let open = choices.filter(|(choice, _)| choice.seen && choice.finish.is_none());
        Open {
            id: self.id.clone(),
            model: self.model.clone(),
            created: self.created,
            next_event: self.next_event,
            choices: open.map(|(_, index)| index).collect(),
            blocks: self.blocks.clone(),
        }
    }

    fn at(&mut self, index: u64) -> Option<&mut Choice> {
        let index = usize::try_from(index)
            .ok()
            .filter(|index| *index < MOST_CHOICES)?;
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, Choice::default);
        }
        self.choices.get_mut(index)
    }

    pub(crate) fn finishes(&self) -> impl Iterator<Item = &str> {
        self.numbered_finishes().map(|(_, reason)| reason)
    }

    pub(crate) fn numbered_finishes(&self) -> impl Iterator<Item = (u64, &str)> {
        let numbered = (0..).zip(&self.choices);
        numbered.filter_map(|(number, choice)| Some((number, choice.finish.as_deref()?)))
    }

    /// Whether every choice that was seen has ended.
    pub(crate) fn all_finished(&self) -> bool {
        let mut seen = self.choices.iter().filter(|choice| choice.seen).peekable();
        seen.peek().is_some() && seen.all(|choice| choice.finish.is_some())
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.done || self.all_finished()
    }

    /// Whether the provider said that it is over, one way or the other.
    pub(crate) fn is_over(&self) -> bool {
        self.is_finished() || self.error.is_some()
    }

    pub(crate) const fn text_tokens(&self) -> u64 {
        self.text.tokens().saturating_add(self.unread)
    }

    pub(crate) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    pub(crate) fn output(&self) -> (u64, bool) {
        let estimate = self.text_tokens();
        match self.usage {
            // a running count may lag, and Anthropic's first says 1 for all that is to come
            Some(usage) if !self.is_finished() => {
                let counted = usage.output();
                (counted.max(estimate), counted < estimate)
            }
            Some(usage) => (usage.output(), false),
            None => (estimate, true),
        }
    }

    /// With that of the attempts before.
    pub(crate) fn all_output(&self) -> u64 {
        self.output_before.saturating_add(self.output().0)
    }

    /// Another attempt goes on with the answer.
    pub(crate) fn goes_on(&mut self) {
        *self = Self {
            output_before: self.all_output(),
            is_old_model: true,
            model: self.model.take(),
            id: self.id.take(),
            created: self.created,
            next_event: self.next_event,
            usage_only: std::mem::take(&mut self.usage_only),
            marks: std::mem::take(&mut self.marks),
            choices: std::mem::take(&mut self.choices),
            blocks: std::mem::take(&mut self.blocks),
            ..Self::default()
        };
    }

    pub(crate) fn tokens(&self, estimated_input: u64) -> Tokens {
        let (output, output_estimated) = self.output();
        let input = self.usage.map(|usage| usage.input());
        Tokens {
            input: input.unwrap_or(estimated_input),
            output,
            input_estimated: input.is_none(),
            output_estimated,
        }
    }

    /// The end of a body that ended in order.
    pub(crate) fn whole(&self, dialect: Dialect, is_stream: bool) -> End {
        if self.error.is_some() || self.finishes().any(is_failure) {
            End::Errored
        } else if self.unreadable {
            End::Unreadable
        } else if self.done && (!is_stream || (dialect.wire().is_complete)(self)) {
            // a status of gRPC proves nothing of what the messages said
            if self.lost && dialect.is_grpc() && self.usage.is_none() {
                End::Unreadable
            } else {
                End::Complete
            }
        } else if self.lost {
            End::Unreadable
        } else {
            End::Truncated
        }
    }
}

/// Mistral's and OpenRouter's word, and DeepSeek's, for an answer that the provider gave up: with or
/// without an error beside it.
fn is_failure(finish_reason: &str) -> bool {
    matches!(finish_reason, "error" | "insufficient_system_resource")
}

/// What repeats with every event is copied once.
fn set(slot: &mut Option<Box<str>>, name: &str) {
    if slot.as_deref() != Some(name) {
        let mut end = name.len().min(LONGEST_NAME);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        *slot = Some(name[..end].into());
    }
}
