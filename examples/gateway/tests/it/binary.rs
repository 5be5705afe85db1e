//! The command itself.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::common::within;

fn gateway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn help_and_version_are_printed_and_a_wrong_argument_is_named() {
    let help = within(gateway().arg("--help").output()).await.unwrap();
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--config"));
    let version = within(gateway().arg("--version").output()).await.unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("gateway "));
    let wrong = within(gateway().arg("--prot").output()).await.unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--prot"));
    let missing = within(gateway().args(["--config", "/nowhere.toml"]).output())
        .await
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere.toml"));
}

#[cfg(unix)]
#[tokio::test]
async fn without_arguments_it_shows_three_things_to_try_and_ends_in_order_on_sigterm() {
    let mut process = gateway().args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut curls = 0;
    while curls < 3 {
        let line = within(lines.next_line()).await.unwrap().expect("a line");
        curls += usize::from(line.trim_start().starts_with("curl "));
    }
    let id = process.id().unwrap().to_string();
    let killed = within(Command::new("kill").args(["-TERM", &id]).status())
        .await
        .unwrap();
    assert!(killed.success());
    assert!(within(process.wait()).await.unwrap().success());
}
