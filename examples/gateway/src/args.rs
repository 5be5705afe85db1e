//! The command line.

use std::{net::SocketAddr, path::PathBuf};

pub(crate) const USAGE: &str = "gateway [--config FILE] [--listen ADDRESS:PORT]

Proxies LLM calls to providers through the layers, streaming. Without --config it starts a fake provider
of its own, a few calls a second, and a dashboard, and says what to try. SIGHUP reads the file again.

  --config FILE           the providers and layers (TOML; see CONFIGURATION.md)
  --listen ADDRESS:PORT   where to listen, whatever the file says (default 127.0.0.1:8080;
                          port 0 is any free one)
  --help                  this text
  --version               the version

Logs go to stderr; RUST_LOG sets how much (default info).";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Help,
    Version,
    Serve {
        config: Option<PathBuf>,
        listen: Option<SocketAddr>,
    },
}

/// Reads the arguments after the program's name; the error is a sentence.
pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let (mut config, mut listen) = (None, None);
    while let Some(arg) = args.next() {
        let (name, attached) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&*arg, None),
        };
        let mut value = || {
            attached
                .clone()
                .or_else(|| args.next())
                .ok_or_else(|| format!("{name} takes a value"))
        };
        match name {
            "--help" | "-h" => return Ok(Asked::Help),
            "--version" | "-V" => return Ok(Asked::Version),
            "--config" => config = Some(value()?.into()),
            "--listen" => {
                let text = value()?;
                let address = text
                    .parse()
                    .map_err(|_| format!("{text:?} is no IP address with a port"))?;
                listen = Some(address);
            }
            _ => return Err(format!("{arg:?} is no option")),
        }
    }
    Ok(Asked::Serve { config, listen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Asked, String> {
        read(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let both = asked("--config a.toml --listen 127.0.0.1:0");
        assert_eq!(both, asked("--listen=127.0.0.1:0 --config=a.toml"));
        assert_eq!(
            both,
            Ok(Asked::Serve {
                config: Some("a.toml".into()),
                listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            })
        );
        assert_eq!(asked("--help"), Ok(Asked::Help));
        assert_eq!(asked("-V"), Ok(Asked::Version));
    }

    #[test]
    fn what_is_no_option_is_named() {
        assert!(asked("--confg x").unwrap_err().contains("--confg"));
        assert!(asked("file.toml").unwrap_err().contains("file.toml"));
        assert!(asked("--config").unwrap_err().contains("takes a value"));
        assert!(asked("--listen 8080").unwrap_err().contains("8080"));
    }
}
