//! Frames of our own.

use serde::Serialize;

use super::{CHECKSUM, PRELUDE};
use crate::dialect::Problem;

/// A header's value that is a text.
const TEXT: u8 = 7;

/// An event of this name, with a payload of JSON.
pub(crate) fn event(name: &str, json: &[u8]) -> Vec<u8> {
    frame(&message("event", ":event-type", name), json)
}

/// What went wrong, of the kinds that both of Bedrock's streams have: the SDKs know no others.
pub(crate) fn exception(problem: &Problem<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Exception<'a> {
        message: &'a str,
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        original_status_code: Option<u16>,
    }

    let kind = match problem.status {
        429 => "throttlingException",
        500 => "internalServerException",
        503 => "serviceUnavailableException",
        502 | 504.. => "modelStreamErrorException",
        _ => "validationException",
    };
    let of_the_model = kind == "modelStreamErrorException";
    let exception = Exception {
        message: problem.message,
        code: problem.code,
        original_status_code: of_the_model.then_some(problem.status),
    };
    // numbers and strings always serialise
    let json = serde_json::to_vec(&exception).unwrap_or_default();
    frame(&message("exception", ":exception-type", kind), &json)
}

fn message<'a>(kind: &'a str, name: &'a str, value: &'a str) -> [(&'a str, &'a str); 3] {
    let json = (":content-type", "application/json");
    [(name, value), json, (":message-type", kind)]
}

/// A frame with headers that are texts. Names and values are short words of ours.
pub(super) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (name, value) in headers {
        encoded.push(name.len() as u8);
        encoded.extend_from_slice(name.as_bytes());
        encoded.push(TEXT);
        encoded.extend_from_slice(&(value.len() as u16).to_be_bytes());
        encoded.extend_from_slice(value.as_bytes());
    }
    let whole = PRELUDE + encoded.len() + payload.len() + CHECKSUM;
    let mut frame = Vec::with_capacity(whole);
    frame.extend((whole as u32).to_be_bytes());
    frame.extend((encoded.len() as u32).to_be_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(encoded);
    frame.extend_from_slice(payload);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}
