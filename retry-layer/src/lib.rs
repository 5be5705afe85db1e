//! Sends an LLM call again.
