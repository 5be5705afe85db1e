//! The gateway as a program.

mod args;

use std::{
    error::Error,
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use gateway::{Config, Gateway, SHUTDOWN_TIMEOUT, demo};
use tracing_subscriber::EnvFilter;

use crate::args::{Asked, USAGE};

fn main() -> ExitCode {
    let (config, listen) = match args::read(std::env::args().skip(1)) {
        Ok(Asked::Help) => {
            say(&format!("{USAGE}\n"));
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Version) => {
            say(&format!("gateway {}\n", env!("CARGO_PKG_VERSION")));
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Serve { config, listen }) => (config, listen),
        Err(wrong) => {
            eprintln!("gateway: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(config.as_deref(), listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    config: Option<&Path>,
    listen: Option<SocketAddr>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // before anything is printed: whoever reads that may send a signal at once
        let mut signals = Signals::new()?;
        let Some(path) = config else {
            let demo = demo::start(listen).await?;
            say(&demo.to_try());
            signals.stop().await;
            // its calls would be waited for
            drop(demo.load);
            return shut_down(demo.gateway, &mut signals).await;
        };
        let gateway = Gateway::start(read(path, listen)?).await?;
        let summary = format!(
            "gateway listens on {}\n{}\n",
            gateway.url(),
            gateway.summary()
        );
        say(&summary);
        while let Told::Reload = signals.next().await {
            reload(&gateway, path, listen);
        }
        shut_down(gateway, &mut signals).await
    })
}

/// Prints this, or nothing: nobody may be there to read it.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Goes on with what the file says now, as far as that can be done; else as before.
fn reload(gateway: &Gateway, path: &Path, listen: Option<SocketAddr>) {
    let config = read(path, listen);
    match config.and_then(|config| gateway.reload(config).map_err(|error| error.to_string())) {
        Ok(()) => tracing::info!(
            "the configuration was read again: prices, the amounts of [budget], providers, keys and routes \
             are in force; what else is different waits for a restart"
        ),
        Err(error) => tracing::error!(%error, "the configuration was not taken"),
    }
}

fn read(path: &Path, listen: Option<SocketAddr>) -> Result<Config, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let config = Config::from_toml(&text, |variable| std::env::var(variable).ok())
        .map_err(|error| format!("{shown}: {error}"))?;
    Ok(match listen {
        Some(address) => config.listen(address),
        None => config,
    })
}

/// Lets running answers end; a second signal ends all.
async fn shut_down(
    gateway: Gateway,
    signals: &mut Signals,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing::info!(limit = ?SHUTDOWN_TIMEOUT, "stopping: running answers may end");
    tokio::select! {
        all = gateway.shutdown(SHUTDOWN_TIMEOUT) => {
            if !all {
                tracing::warn!("some answers were cut");
            }
            Ok(())
        }
        () = signals.stop() => Err("told twice to stop: running answers were cut".into()),
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Told to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Told to stop, or to read the configuration again.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn stop(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }

    async fn next(&mut self) -> Told {
        self.stop().await;
        Told::Stop
    }
}

/// What a signal asks for.
enum Told {
    Stop,
    #[cfg_attr(not(unix), allow(dead_code, reason = "there is no such signal"))]
    Reload,
}
