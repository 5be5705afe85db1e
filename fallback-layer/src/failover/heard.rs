//! What the caller has of an answer so far.

use llm_exchange::{
    Dialect,
    sse::Event,
    stream::{DeltaKind, DeltaReader, StreamError},
};
use serde::Deserialize;

use crate::members::Members;

/// Reads the events of a stream as they are handed on.
pub(super) struct Heard {
    dialect: Dialect,
    reader: DeltaReader,
    max_bytes: usize,
    text: String,
    names: Names,
    /// It can't be gone on with, and why.
    lost: Option<&'static str>,
}

/// What all events of a stream have in common, as JSON.
#[derive(Default)]
pub(super) struct Names {
    pub(super) id: Option<String>,
    pub(super) created: Option<String>,
    known: bool,
}

impl Heard {
    pub(super) fn new(dialect: Dialect, max_bytes: usize) -> Self {
        Self {
            dialect,
            reader: DeltaReader::new(dialect),
            max_bytes,
            text: String::new(),
            names: Names::default(),
            lost: None,
        }
    }

    /// The next event.
    ///
    /// # Errors
    ///
    /// The provider's, if it is one: it is not to be handed on yet.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), StreamError> {
        let Some(data) = event.data() else {
            return Ok(());
        };
        self.reader.push_data(&data)?;
        if self.lost.is_some() {
            while self.reader.next_delta().is_some() {}
            return Ok(());
        }
        self.names.learn(self.dialect, &data);
        while let Some(delta) = self.reader.next_delta() {
            match delta.kind {
                DeltaKind::Text if delta.choice == 0 => self.text.push_str(&delta.text),
                DeltaKind::Reasoning => self.lose("the model reasons"),
                _ => self.lose("it is not all text"),
            }
        }
        if self.dialect == Dialect::AnthropicMessages && !is_in_first_block(&data) {
            self.lose("its text is over");
        }
        if self.text.len() > self.max_bytes {
            self.lose("it is too long to be kept");
        }
        Ok(())
    }

    fn lose(&mut self, why: &'static str) {
        self.lost.get_or_insert(why);
        self.text = String::new();
    }

    /// The text so far, if the answer may be gone on with.
    pub(super) fn text(&self) -> Result<&str, &'static str> {
        match self.lost {
            Some(why) => Err(why),
            None if self.is_finished() => Err("its text is over"),
            None => Ok(&self.text),
        }
    }

    /// Another attempt's events follow.
    pub(super) fn goes_on(&mut self) {
        self.reader = DeltaReader::new(self.dialect);
    }

    /// The caller's.
    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// Whether the model came to an end.
    pub(super) fn is_finished(&self) -> bool {
        self.reader.finish_reasons().next().is_some() || self.reader.finish().is_ok()
    }
}

impl Names {
    fn learn(&mut self, dialect: Dialect, data: &[u8]) {
        let (id, created) = match dialect {
            Dialect::OpenAiChat => ("id", "created"),
            Dialect::Gemini => ("responseId", ""),
            _ => return,
        };
        if self.known {
            return;
        }
        let Some(event) = Members::of(data) else {
            return;
        };
        // Azure's first event has an empty one
        let id = event.get(id).filter(|id| *id != "\"\"");
        self.known = id.is_some();
        self.id = id.map(str::to_owned);
        self.created = event.get(created).map(str::to_owned);
    }
}

/// Whether it is no event that begins another block, or ends one.
fn is_in_first_block(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Happened {
        r#type: String,
        index: Option<u64>,
        content_block: Option<Block>,
    }

    #[derive(Deserialize)]
    struct Block {
        r#type: String,
    }

    let Ok(event) = serde_json::from_slice::<Happened>(data) else {
        return true;
    };
    match &*event.r#type {
        "content_block_start" => {
            event.index == Some(0)
                && event
                    .content_block
                    .is_some_and(|block| block.r#type == "text")
        }
        kind => kind != "content_block_stop",
    }
}
