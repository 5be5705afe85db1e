//! The gateway's command.

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode};

use gateway::{Command, Config, Demo, Gateway, HELP};
use llm_exchange::BoxError;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let command = match Command::read(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("gateway: {error}");
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Help => println!("{HELP}"),
        Command::Version => println!("gateway {}", env!("CARGO_PKG_VERSION")),
        Command::Run { config, listen } => {
            if let Err(error) = run(config, listen).await {
                eprintln!("gateway: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

async fn run(file: Option<PathBuf>, listen: Option<SocketAddr>) -> Result<(), BoxError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    // from here on, so that a signal during the start is not lost
    let stop = stop_signal()?;

    let demo = match &file {
        Some(_) => None,
        None => Some(Demo::start(listen).await?),
    };
    let config = match (&file, &demo) {
        (Some(file), _) => Config::read(file, listen)?,
        (None, Some(demo)) => demo.config(),
        (None, None) => return Ok(()),
    };
    let summary = config.summary();
    let gateway = Gateway::start(config).await?;
    println!("gateway on http://{}\n{summary}", gateway.address());
    if demo.is_some() {
        println!("\nthings to try:\n\n{}\n", Demo::to_try(gateway.address()));
    }

    stop.await;
    // a second signal ends it at once
    let again = stop_signal()?;
    tokio::select! {
        () = gateway.shutdown() => {}
        () = again => {}
    }
    Ok(())
}

#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
