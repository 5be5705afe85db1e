//! The fake provider as a program.

use std::{net::SocketAddr, process::ExitCode};

use fake_provider::{FakeProvider, OPTIONS, WORDS};

const USAGE: &str = "fake-provider [--listen ADDRESS] [--key KEY]

  --listen ADDRESS   where to listen (default 127.0.0.1:9001; port 0 is any free one)
  --key KEY          answer only requests with this credential
  --help             this text, and every option of x-fake";

enum Asked {
    Help,
    Serve {
        listen: SocketAddr,
        key: Option<String>,
    },
}

fn read(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 9001));
    let mut key = None;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--listen" => {
                let text = value()?;
                listen = text
                    .parse()
                    .map_err(|_| format!("{text:?} is no address with a port"))?;
            }
            "--key" => key = Some(value()?),
            _ => return Err(format!("{arg:?} is no option")),
        }
    }
    Ok(Asked::Serve { listen, key })
}

fn help() -> String {
    let mut text = format!("{USAGE}\n\nx-fake: OPTION[=VALUE],OPTION[=VALUE],...\n\n");
    for (name, value, what) in OPTIONS {
        let option = format!("{name}{value}");
        text.push_str(&format!("  {option:<26} {what}\n"));
    }
    text.push_str("\nIn the name of a model (word-N, joined by '+'):\n\n");
    for (word, option) in WORDS {
        text.push_str(&format!("  {word:<26} {option}\n"));
    }
    text
}

fn examples(url: &str) -> String {
    let json = "-H 'content-type: application/json'";
    format!(
        r#"fake-provider listens on {url}

  curl -N {url}/v1/chat/completions {json} \
    -d '{{"model":"gpt-4o+slow-200","stream":true,"messages":[{{"role":"user","content":"one two three"}}]}}'

  curl -i {url}/v1/chat/completions {json} -H 'x-fake: throttle=2,retry-after-ms=200' \
    -d '{{"model":"gpt-4o","messages":[{{"role":"user","content":"hello"}}]}}'

  curl -N {url}/v1/messages {json} -H 'x-fake: err-at=2,ping-every=1' \
    -d '{{"model":"claude","max_tokens":99,"stream":true,"messages":[{{"role":"user","content":"hello"}}]}}'

What it received: curl {url}/fake/log      Everything else: fake-provider --help"#
    )
}

fn main() -> ExitCode {
    let (listen, key) = match read(std::env::args().skip(1)) {
        Ok(Asked::Serve { listen, key }) => (listen, key),
        Ok(Asked::Help) => {
            print!("{}", help());
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(listen, key) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("can't serve on {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listen: SocketAddr, key: Option<String>) -> std::io::Result<std::convert::Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut builder = FakeProvider::builder().bind(listen);
        if let Some(key) = key {
            builder = builder.require_key(key);
        }
        let fake = builder.start().await?;
        println!("{}", examples(&fake.url()));
        // until the process is told to end
        std::future::pending().await
    })
}
