//! Requests, answers and streams between dialects.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod answers;
mod auto_traits;
mod bounds;
mod chat_and_messages;
mod collected;
mod dropped;
mod gemini;
mod layer;
mod left_out;
mod neutral;
mod neutral_read;
mod responses;
mod streams;
mod support;
mod there_and_back;
#[path = "../../../llm-exchange/tests/common/transcripts.rs"]
mod transcripts;
mod transcripts_all;
