//! Amazon's binary event stream: a frame has headers, a payload and two checksums.

/// What a frame tells of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Event,
    Exception,
}

/// The lengths of the frame and of its headers, and the checksum over both.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// A header's value that is a text.
const TEXT: u8 = 7;

/// A frame with a payload of JSON.
pub(crate) fn frame(kind: Kind, name: &str, json: &str) -> Vec<u8> {
    let (message_type, name_of) = match kind {
        Kind::Event => ("event", ":event-type"),
        Kind::Exception => ("exception", ":exception-type"),
    };
    let mut headers = Vec::new();
    for (header, value) in [
        (name_of, name),
        (":content-type", "application/json"),
        (":message-type", message_type),
    ] {
        // words of ours, all shorter than 256 bytes
        headers.push(header.len() as u8);
        headers.extend(header.as_bytes());
        headers.push(TEXT);
        headers.extend((value.len() as u16).to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let whole = PRELUDE + headers.len() + json.len() + CHECKSUM;
    let mut frame = Vec::with_capacity(whole);
    // payloads are at most an error of 8 MiB
    frame.extend((whole as u32).to_be_bytes());
    frame.extend((headers.len() as u32).to_be_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(json.as_bytes());
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_lengths_its_headers_and_both_checksums() {
        let frame = frame(Kind::Event, "x", "{}");
        let headers = b"\x0b:event-type\x07\0\x01x\
            \x0d:content-type\x07\0\x10application/json\
            \x0d:message-type\x07\0\x05event";
        assert_eq!(frame.len(), 16 + headers.len() + 2);
        assert_eq!(
            frame[..4],
            u32::try_from(frame.len()).unwrap().to_be_bytes()
        );
        assert_eq!(
            frame[4..8],
            u32::try_from(headers.len()).unwrap().to_be_bytes()
        );
        assert_eq!(frame[8..12], crc32fast::hash(&frame[..8]).to_be_bytes());
        assert_eq!(frame[12..12 + headers.len()], headers[..]);
        let (checked, checksum) = frame.split_at(frame.len() - 4);
        assert!(checked.ends_with(b"{}"));
        assert_eq!(checksum, crc32fast::hash(checked).to_be_bytes());
    }
}
