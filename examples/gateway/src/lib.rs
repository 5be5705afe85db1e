//! An axum server that proxies LLM calls to a provider through the layers, streaming.
//!
//! ```
//! use gateway::{Config, Gateway, SHUTDOWN_TIMEOUT};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::from_toml(
//!     r#"
//!     listen = "127.0.0.1:0"
//!     [[provider]]
//!     name = "local"
//!     base_url = "http://127.0.0.1:9001"
//!     [retry]
//!     "#,
//!     |variable| std::env::var(variable).ok(),
//! )?;
//! let gateway = Gateway::start(config).await?;
//! println!("{}", gateway.url());
//! gateway.shutdown(SHUTDOWN_TIMEOUT).await;
//! # Ok(()) }
//! ```
//!
//! # Limits
//!
//! Request head 64 KiB and 100 headers; body of an LLM call 32 MiB, of which up to 16 MiB are kept
//! in memory to be sent again; bodies of other calls stream through without a limit. A connection
//! has 30 s for each request head, and an upload may pause for 60 s. The number of connections is
//! left to the operating system's limit of open files.

#![forbid(unsafe_code)]

mod admin;
mod auth;
mod board;
mod budgets;
mod config;
mod connections;
pub mod demo;
mod errors;
mod exporter;
mod exposition;
mod headers;
mod live;
mod log;
mod open;
mod priced;
mod prices;
mod provider;
mod proxy;
mod report;
mod routes;
mod server;
mod stack;
mod start_error;
mod upload;
mod upstream;

pub use self::{
    config::{Config, ConfigError},
    server::{Gateway, ReloadError, SHUTDOWN_TIMEOUT},
    start_error::StartError,
};
