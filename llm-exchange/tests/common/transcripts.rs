//! The provider answers in `tests/transcripts`, and what must be read from them.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use llm_exchange::WallClock;
use serde_json::Value;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A `.http` file: status line and headers with LF, a blank line, the exact body.
pub(crate) fn http(name: &str) -> Answer {
    let file = bytes(name);
    let blank = file
        .windows(2)
        .position(|two| two == b"\n\n")
        .expect("a blank line");
    let head = std::str::from_utf8(&file[..blank]).expect("an ASCII head");
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a status line");
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header");
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a header's name"),
            HeaderValue::from_str(value.trim()).expect("a header's value"),
        );
    }
    Answer {
        status: status.parse().expect("a status"),
        headers,
        body: file[blank + 2..].to_vec(),
    }
}

/// The `data` of the event that is an error, in a plain LF stream.
pub(crate) fn error_event(name: &str) -> Vec<u8> {
    let file = String::from_utf8(bytes(name)).expect("UTF-8");
    let data = file.lines().filter_map(|line| line.strip_prefix("data: "));
    let is_error = |data: &&str| {
        let json: Value = serde_json::from_str(data).unwrap_or_default();
        json["error"].is_object() || json["response"]["error"].is_object()
    };
    data.into_iter()
        .find(is_error)
        .expect("an error event")
        .as_bytes()
        .to_vec()
}

pub(crate) fn expected(name: &str) -> Value {
    let all: Value = serde_json::from_slice(&bytes("expected.json")).expect("JSON");
    all[name].clone()
}

/// 2026-11-23T10:00:00Z, against which the delays in `expected.json` are stated.
pub(crate) fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_428_000)
}

pub(crate) fn clock() -> WallClock {
    WallClock::fixed(then())
}
