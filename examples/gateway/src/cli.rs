//! The command line.

use std::{net::SocketAddr, path::PathBuf};

/// What `--help` prints.
pub const HELP: &str = "\
An LLM gateway: proxies any path under /v1/ to a provider through the resilience layers.

Usage: gateway [--config FILE] [--listen ADDRESS]

  --config FILE      serve the providers of this file (TOML; see examples/gateway/README.md);
                     without it, a fake provider in this process
  --listen ADDRESS   where to listen, such as 127.0.0.1:8080 (the default); port 0 picks one
  --help             this text
  --version          the version

RUST_LOG sets what is logged (to stderr), such as RUST_LOG=gateway=debug. Default: info.";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Run {
        /// `--config`
        config: Option<PathBuf>,
        /// `--listen`
        listen: Option<SocketAddr>,
    },
    /// `--help`
    Help,
    /// `--version`
    Version,
}

impl Command {
    /// Reads the arguments, the program's name left out.
    ///
    /// # Errors
    ///
    /// A sentence that names the argument.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let (mut config, mut listen) = (None, None);
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value = || {
                value
                    .clone()
                    .or_else(|| arguments.next())
                    .ok_or_else(|| format!("{name} wants a value"))
            };
            match name.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--version" | "-V" => return Ok(Self::Version),
                "--config" => config = Some(value()?.into()),
                "--listen" => {
                    let address = value()?;
                    listen = Some(address.parse().map_err(|_| {
                        format!("--listen {address}: not an address such as 127.0.0.1:8080")
                    })?);
                }
                _ => return Err(format!("unknown argument {name}; --help lists them")),
            }
        }
        Ok(Self::Run { config, listen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        Command::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_read_in_either_form_and_anything_else_is_named() {
        let listen = Some("127.0.0.1:0".parse().unwrap());
        assert_eq!(
            read("--listen=127.0.0.1:0 --config a.toml"),
            Ok(Command::Run {
                config: Some("a.toml".into()),
                listen
            })
        );
        assert_eq!(
            read(""),
            Ok(Command::Run {
                config: None,
                listen: None
            })
        );
        assert_eq!(read("-h"), Ok(Command::Help));
        assert!(read("--port 1").unwrap_err().contains("--port"));
        assert!(read("--listen nowhere").unwrap_err().contains("nowhere"));
        assert!(read("--config").unwrap_err().contains("--config"));
    }
}
