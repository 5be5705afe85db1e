//! The program itself.

use std::process::{Output, Stdio};

use fake_provider::FakeProvider;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::common::{CHAT, chat, exchange};

fn gateway(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(args).env_remove("RUST_LOG").kill_on_drop(true);
    command
}

async fn output(args: &[&str]) -> Output {
    gateway(args).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads what a running program prints until this text is there.
async fn printed(child: &mut Child, until: &str) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut all = String::new();
    while !all.contains(until) {
        all.push_str(&lines.next_line().await.unwrap().unwrap());
        all.push('\n');
    }
    all
}

fn address(printed: &str) -> String {
    let (_, rest) = printed.split_once("listens on http://").unwrap();
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
    rest[..end.unwrap_or(rest.len())].to_owned()
}

async fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args([name, &id]).status().await;
    assert!(sent.unwrap().success());
}

/// A file that goes with the test.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gateway-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn help_and_version_are_printed() {
    let help = output(&["--help"]).await;
    assert!(help.status.success());
    assert!(text(&help.stdout).contains("--config FILE"));
    let version = output(&["--version"]).await;
    assert!(text(&version.stdout).starts_with("gateway "));
}

#[tokio::test]
async fn an_unknown_argument_is_an_error_that_names_it() {
    let wrong = output(&["--confg", "x.toml"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("\"--confg\" is no option"));
}

#[cfg(unix)]
#[tokio::test]
async fn without_arguments_it_prints_three_things_to_try_and_ends_at_sigterm() {
    let mut child = gateway(&["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let printed = printed(&mut child, "--config FILE").await;
    let address = address(&printed);
    let layers = "layers: sse, cost, cache, budget, fallback, retry, breaker\n";
    assert!(printed.contains(layers), "{printed}");
    let lines = printed
        .lines()
        .filter(|line| line.trim_start().starts_with("curl"));
    assert_eq!(
        lines.filter(|line| line.contains(&address)).count(),
        3,
        "{printed}"
    );
    // the bodies that are printed are good ones
    let bodies: Vec<_> = printed
        .split('\'')
        .filter(|part| part.starts_with('{'))
        .collect();
    assert_eq!(bodies.len(), 3);
    for body in bodies
        .into_iter()
        .filter(|body| !body.contains("slow") && !body.contains("thrott"))
    {
        let request = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let tcp = TcpStream::connect(&address).await.unwrap();
        let answer = exchange(tcp, request.as_bytes()).await;
        assert!(answer.contains("echo: one two three"), "{answer}");
    }
    signal(&child, "-TERM").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn it_serves_when_nobody_reads_what_it_prints() {
    let mut child = gateway(&["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    // its own calls
    while !log.next_line().await.unwrap().unwrap().contains("status=") {}
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    signal(&child, "-TERM").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut child = gateway(&["--listen=127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let printed = printed(&mut child, "--config FILE").await;
    // a stream that never ends
    let mut tcp = TcpStream::connect(address(&printed)).await.unwrap();
    let body = "{\"model\":\"stall-1\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    tcp.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    signal(&child, "-INT").await;
    // until the port is closed the first one has not arrived
    while TcpStream::connect(address(&printed)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    signal(&child, "-TERM").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn faults_of_the_configuration_are_told_with_their_place() {
    let provider = "[[provider]]\nname = \"p\"\nbase_url = \"http://127.0.0.1:1\"\n";
    for (name, config, says) in [
        (
            "unknown",
            format!("{provider}[retry]\nretries = 1\n"),
            "line 5, [retry] retries: unknown field",
        ),
        (
            "missing",
            format!("{provider}api_key_env = \"NO_SUCH_KEY_4711\"\n"),
            "NO_SUCH_KEY_4711 is not set",
        ),
        (
            "open",
            format!("listen = \"0.0.0.0:0\"\n{provider}api_key_env = \"PATH\"\n"),
            "whoever reaches it spends on your key",
        ),
    ] {
        let file = File::new(name, &config);
        let output = output(&["--config", file.path()]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains(says),
            "{}",
            text(&output.stderr)
        );
    }
    let output = output(&["--config", "/no/such/file.toml"]).await;
    assert!(text(&output.stderr).contains("/no/such/file.toml: "));
}

#[cfg(unix)]
#[tokio::test]
async fn a_limit_that_the_file_has_no_more_is_told_to_be_in_force_until_a_restart() {
    let text = |limits: &str| {
        format!(
            "[[provider]]\nname = \"p\"\nbase_url = \"http://127.0.0.1:1\"\n[budget]\n{limits}\n"
        )
    };
    let both = "per_request_tokens = 5000\nper_user_tokens_per_day = 90000";
    let file = File::new("limit", &text(both));
    let mut child = gateway(&["--config", file.path(), "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    printed(&mut child, "layers: budget").await;
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    std::fs::write(file.path(), text("per_request_tokens = 6000")).unwrap();
    signal(&child, "-HUP").await;
    let mut told = String::new();
    while !told.contains("was read again") {
        told.push_str(&log.next_line().await.unwrap().unwrap());
        told.push('\n');
    }
    assert!(told.contains("the amounts of [budget]"), "{told}");
    let warned: Vec<_> = told.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warned.len(), 1, "{told}");
    assert!(warned[0].contains("until a restart") && warned[0].contains("user-day-tokens"));
    signal(&child, "-TERM").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn logs_have_one_line_for_a_call_and_nothing_private() {
    let fake = FakeProvider::start().await.unwrap();
    let provider = format!(
        "[[provider]]\nname = \"p\"\nbase_url = \"{}\"\napi_key_env = \"OUR_KEY\"\n[retry]\n",
        fake.url()
    );
    let file = File::new("logs", &provider);
    let mut child = gateway(&["--config", file.path(), "--listen", "127.0.0.1:0"])
        .env("OUR_KEY", "canary-key")
        .env("RUST_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let address = address(&printed(&mut child, "http://").await);
    let body = chat("gpt-4o").to_string().replace("one", "canary-prompt");
    let request = format!(
        "POST {CHAT}?key=canary-query HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncookie: canary-cookie\r\n\
         authorization: Bearer canary-caller\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let tcp = TcpStream::connect(&address).await.unwrap();
    assert!(
        exchange(tcp, request.as_bytes())
            .await
            .contains("canary-prompt")
    );
    signal(&child, "-TERM").await;
    let output = child.wait_with_output().await.unwrap();
    let log = text(&output.stderr);
    let ours: Vec<_> = log
        .lines()
        .filter(|line| line.contains("attempts=1"))
        .collect();
    assert_eq!(ours.len(), 1, "{log}");
    for part in [
        "method=\"POST\"",
        "status=200",
        "model=\"gpt-4o\"",
        "provider=\"p\"",
        "whole",
    ] {
        assert!(ours[0].contains(part), "{}", ours[0]);
    }
    assert!(!log.contains("canary"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn sighup_reads_the_file_again_and_a_file_that_is_wrong_changes_nothing() {
    let fake = FakeProvider::start().await.unwrap();
    let text = |disabled: bool, more: &str| {
        format!(
            "[[provider]]\nname = \"p\"\nbase_url = \"{}\"\n[[route]]\nmodel = \"gpt-4o\"\n\
             chain = [{{ provider = \"p\", disabled = {disabled} }}, {{ provider = \"p\", model = \"other\" }}]\n{more}",
            fake.url()
        )
    };
    let file = File::new("hup", &text(false, ""));
    let mut child = gateway(&["--config", file.path(), "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let printed = printed(&mut child, "layers: ").await;
    assert!(
        printed.contains("providers: p at http://127.0.0.1:"),
        "{printed}"
    );
    assert!(printed.contains("layers: fallback\n"), "{printed}");
    let address = address(&printed);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let body = chat("gpt-4o").to_string();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let served = async || {
        let tcp = TcpStream::connect(&address).await.unwrap();
        let answer = exchange(tcp, request.as_bytes()).await.to_lowercase();
        let (_, model) = answer.split_once("x-llm-model: ").unwrap();
        model.split("\r\n").next().unwrap().to_owned()
    };
    assert_eq!(served().await, "gpt-4o");
    for (text, says, serves) in [
        (text(true, ""), "was read again", "other"),
        (
            text(false, "[retry]\nretires = 1"),
            "unknown field",
            "other",
        ),
        (text(false, ""), "was read again", "gpt-4o"),
    ] {
        std::fs::write(file.path(), text).unwrap();
        signal(&child, "-HUP").await;
        while !log.next_line().await.unwrap().unwrap().contains(says) {}
        assert_eq!(served().await, serves);
    }
    signal(&child, "-TERM").await;
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}
