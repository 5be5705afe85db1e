//! An LLM gateway: an axum server that proxies any path under `/v1/` to a provider through the
//! layers of this workspace, streaming. See the README for its configuration.

mod answers;
mod cli;
mod config;
mod demo;
mod headers;
mod provider;
mod proxy;
mod server;
mod stack;
mod upload;

pub use self::{
    cli::{Command, HELP},
    config::{Config, InvalidConfig},
    demo::Demo,
    server::{Gateway, SHUTDOWN_TIMEOUT},
};
