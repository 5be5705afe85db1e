//! Whether an answer that is no stream came whole, and whether it is an error after all.

use bytes::Bytes;
use llm_exchange::{Dialect, ProviderError};

/// Of an error in a 200 so much is kept.
const MOST: usize = 64 << 10;
/// An answer that begins with fewer bytes may still become an error.
const TELLING: usize = 32;
/// An answer of whose beginning so much does not tell is taken for none.
const MOST_UNSURE: usize = 16 << 10;

/// With what the first member's name begins then (OpenRouter's may be an `id`), but for the responses API, which says it
/// in its middle.
const MAY_BE_AN_ERROR: [u8; 5] = [b'e', b't', b'o', b'm', b'i'];

/// Looks at an answer's beginning and at its last byte, and keeps it only if it may be an error.
#[derive(Debug)]
pub(crate) struct Whole {
    begins: Begins,
    dialect: Dialect,
    /// the last byte that is no white space
    last: u8,
}

#[derive(Debug)]
enum Begins {
    /// Not at all yet, but for white space: servers keep the connection alive so.
    Blank,
    /// An error, or what may still be one.
    Kept(Box<Kept>),
    AsJson,
    /// Compressed, or of a type that is not read.
    Otherwise,
}

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    /// looked at again when so much is there, so that an answer that comes byte by byte is not looked at
    /// for each of them
    look_at: usize,
    is_error: bool,
}

impl Whole {
    pub(crate) const fn new(dialect: Dialect) -> Self {
        Self {
            begins: Begins::Blank,
            dialect,
            last: 0,
        }
    }

    /// Whether content begins here: what is an error has none.
    pub(crate) fn data(&mut self, data: &Bytes) -> bool {
        // the bytes of most answers: nothing is trimmed of them
        if let ([b'{', b'"', name, ..], Some(last @ b'}'), Begins::Blank) =
            (&data[..], data.last(), &self.begins)
            && self.dialect != Dialect::OpenAiResponses
            && !MAY_BE_AN_ERROR.contains(name)
            && data.len() >= TELLING
        {
            (self.last, self.begins) = (*last, Begins::AsJson);
            return true;
        }
        let trimmed = data.trim_ascii_end();
        self.last = trimmed.last().copied().unwrap_or(self.last);
        match &mut self.begins {
            Begins::Blank => {
                let text = trimmed.trim_ascii_start();
                match text.first() {
                    None => return false,
                    Some(b'{' | b'[') => {}
                    Some(_) => {
                        self.begins = Begins::Otherwise;
                        return true;
                    }
                }
                if self.dialect.looks_like_error(text) == Some(false)
                    && text.len() >= TELLING
                    && !is_like_an_error(text)
                {
                    self.begins = Begins::AsJson;
                    return true;
                }
                self.begins = Begins::Kept(Box::new(Kept {
                    bytes: Vec::new(),
                    look_at: 0,
                    is_error: false,
                }));
                self.look_on(text)
            }
            Begins::Kept(_) => self.look_on(data),
            Begins::AsJson | Begins::Otherwise => false,
        }
    }

    fn look_on(&mut self, data: &[u8]) -> bool {
        let Begins::Kept(kept) = &mut self.begins else {
            return false;
        };
        let left = MOST.saturating_sub(kept.bytes.len());
        kept.bytes.extend_from_slice(&data[..data.len().min(left)]);
        let text = &kept.bytes;
        if kept.is_error || text.len() < kept.look_at {
            return false;
        }
        kept.look_at = text.len() * 2;
        let told = self.dialect.looks_like_error(text);
        kept.is_error = told == Some(true) || is_like_an_error(text);
        if kept.is_error || text.len() < TELLING || (told.is_none() && text.len() < MOST_UNSURE) {
            return false;
        }
        self.begins = Begins::AsJson;
        true
    }

    /// Whether what came could be all of it.
    pub(crate) fn is_whole(&self) -> bool {
        match self.begins {
            Begins::Blank => false,
            Begins::Otherwise => true,
            Begins::AsJson | Begins::Kept(_) => matches!(self.last, b'}' | b']'),
        }
    }

    /// The error that it is, as OpenRouter and others send it with a 200.
    pub(crate) fn error(&self) -> Option<ProviderError> {
        match &self.begins {
            Begins::Kept(kept) => {
                let text = &kept.bytes;
                let is_error = kept.is_error
                    || self.dialect.looks_like_error(text) == Some(true)
                    || is_like_an_error(text);
                is_error.then(|| ProviderError::from_body(text)).flatten()
            }
            _ => None,
        }
    }
}

/// Whether the first member is an `error`, or says that this is one.
fn is_like_an_error(text: &[u8]) -> bool {
    let Some(name) = after(text, b"{").and_then(|rest| after(rest, b"\"")) else {
        return false;
    };
    let kind = match name.first() {
        Some(b'e') => return name.starts_with(b"error\""),
        Some(b't') => b"type\"".as_slice(),
        Some(b'o') => b"object\"".as_slice(),
        _ => return false,
    };
    name.strip_prefix(kind)
        .and_then(|rest| after(rest, b":"))
        .is_some_and(|value| after(value, b"\"error\"").is_some())
}

fn after<'a>(text: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    text.trim_ascii_start().strip_prefix(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(frames: &[&str]) -> Whole {
        seen_in(Dialect::OpenAiChat, frames)
    }

    fn seen_in(dialect: Dialect, frames: &[&str]) -> Whole {
        let mut whole = Whole::new(dialect);
        for frame in frames {
            whole.data(&Bytes::copy_from_slice(frame.as_bytes()));
        }
        whole
    }

    #[test]
    fn an_error_is_found_however_it_is_written_and_cut() {
        for frames in [
            &[r#"{"error":{"message":"upstream","code":502}}"#][..],
            &["\n\n", " { \"error\" : {\"code\":502}}"],
            &["{", "\"err", "or\":{\"code\":502}}"],
            &[r#"{"type":"error","error":{"type":"overloaded_error"}}"#],
            &[r#"{"object": "error","message":"out of memory","code":500}"#],
        ] {
            assert!(seen(frames).error().is_some(), "{frames:?}");
        }
    }

    #[test]
    fn an_answer_is_none() {
        for text in [
            r#"{"id":"chatcmpl-1","error":null,"choices":[]}"#,
            r#"{"type":"message","content":[{"type":"text","text":"error"}]}"#,
            "{}",
            "",
        ] {
            assert!(seen(&[text]).error().is_none(), "{text}");
        }
    }

    #[test]
    fn a_json_text_is_whole_if_it_ends_as_one_and_anything_else_if_it_ends() {
        assert!(seen(&["\n\n", "{\"id\":", "1}", " \n"]).is_whole());
        assert!(seen(&["[{},\r\n", "{}]"]).is_whole());
        assert!(seen(&["\u{1f}\u{8b}"]).is_whole());
        assert!(!seen(&["{\"id\":"]).is_whole());
        assert!(!seen(&["\n"]).is_whole());
        assert!(!seen(&[]).is_whole());
    }

    #[test]
    fn an_answer_that_begins_as_most_do_is_judged_by_its_last_frame_too() {
        let begins = r#"{"id":"chatcmpl-1","usage":{"prompt_tokens":9}"#;
        assert!(seen(&[begins, "}\n"]).is_whole());
        assert!(!seen(&[begins, ",\"choices\":["]).is_whole());
        assert!(seen(&[begins, "}"]).error().is_none());
        let behind = r#"{"id":"gen-1","error":{"message":"busy","code":502}}"#;
        assert!(seen(&[behind]).error().is_some());
        let late = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
        assert!(seen(&[late]).error().is_some());
    }

    #[test]
    fn a_responses_failure_is_found_where_it_stands_however_it_is_cut() {
        let text = r#"{"id":"resp_1","object":"response","created_at":1,"status":"failed","error":{"code":"server_error","message":"oops"},"output":[]}"#;
        for cut in 0..text.len() {
            let (front, rest) = text.split_at(cut);
            let error = seen_in(Dialect::OpenAiResponses, &[front, rest]).error();
            assert_eq!(error.unwrap().code(), Some("server_error"), "{cut}");
        }
        let bytes: Vec<&str> = (0..text.len()).map(|at| &text[at..=at]).collect();
        assert!(seen_in(Dialect::OpenAiResponses, &bytes).error().is_some());
        let fine = text.replace("failed", "completed");
        assert!(
            seen_in(Dialect::OpenAiResponses, &[&fine])
                .error()
                .is_none()
        );
    }

    #[test]
    fn content_begins_once_and_never_in_an_error() {
        let begins = |frames: &[&str]| -> Vec<bool> {
            let mut whole = Whole::new(Dialect::OpenAiChat);
            let data = |text: &&str| Bytes::copy_from_slice(text.as_bytes());
            frames.iter().map(|text| whole.data(&data(text))).collect()
        };
        let answer = r#"{"id":"chatcmpl-1","object":"chat.completion"}"#;
        assert_eq!(begins(&[answer, answer]), [true, false]);
        let rest = "\"chatcmpl-1\",\"choices\":[{\"index\":0";
        assert_eq!(begins(&["\n", "{\"id\":", rest]), [false, false, true]);
        assert_eq!(
            begins(&[r#"{"error":{"#, r#""message":"oops","code":502}}"#]),
            [false, false]
        );
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut whole = seen(&["{\"error\":{\"message\":\""]);
        for _ in 0..100 {
            whole.data(&Bytes::from(vec![b'x'; 10_000]));
        }
        let Begins::Kept(kept) = &whole.begins else {
            panic!("{whole:?}")
        };
        assert_eq!(kept.bytes.len(), MOST);
        assert!(whole.error().is_some(), "read by its beginning");
    }
}
