//! Whether an answer that is no stream came whole, and whether it is an error after all.

use bytes::Bytes;
use llm_exchange::ProviderError;

/// Of an error in a 200 so much is kept.
const MOST: usize = 64 << 10;
/// An answer that begins with fewer bytes may still become an error.
const TELLING: usize = 32;

/// With what the first member's name begins then.
const MAY_BE_AN_ERROR: [u8; 3] = [b'e', b't', b'o'];

/// Looks at an answer's first bytes and at its last one, and keeps it only if it may be an error.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    begins: Begins,
    /// the last byte that is no white space
    last: u8,
}

#[derive(Debug, Default)]
enum Begins {
    /// Not at all yet, but for white space: servers keep the connection alive so.
    #[default]
    Blank,
    AsJson,
    AsError(Vec<u8>),
    /// Compressed, or of a type that is not read.
    Otherwise,
}

impl Whole {
    /// Whether this is the beginning.
    pub(crate) fn data(&mut self, data: &Bytes) -> bool {
        // the bytes of most answers: nothing is trimmed of them
        if let ([b'{', b'"', name, ..], Some(last @ b'}'), Begins::Blank) =
            (&data[..], data.last(), &self.begins)
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
                self.begins = match text.first() {
                    None => return false,
                    Some(b'{' | b'[') if is_like_an_error(text) || text.len() < TELLING => {
                        Begins::AsError(Vec::from(&text[..text.len().min(MOST)]))
                    }
                    Some(b'{' | b'[') => Begins::AsJson,
                    Some(_) => Begins::Otherwise,
                };
                true
            }
            Begins::AsError(kept) => {
                let left = MOST.saturating_sub(kept.len());
                kept.extend_from_slice(&data[..data.len().min(left)]);
                false
            }
            Begins::AsJson | Begins::Otherwise => false,
        }
    }

    /// Whether what came could be all of it.
    pub(crate) fn is_whole(&self) -> bool {
        match self.begins {
            Begins::Blank => false,
            Begins::Otherwise => true,
            Begins::AsJson | Begins::AsError(_) => matches!(self.last, b'}' | b']'),
        }
    }

    /// The error that it is, as OpenRouter and others send it with a 200.
    pub(crate) fn error(&self) -> Option<ProviderError> {
        match &self.begins {
            Begins::AsError(kept) => ProviderError::from_body(kept),
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
        let mut whole = Whole::default();
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
        let late = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
        assert!(seen(&[late]).error().is_some());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut whole = seen(&["{\"error\":{\"message\":\""]);
        for _ in 0..100 {
            whole.data(&Bytes::from(vec![b'x'; 10_000]));
        }
        let Begins::AsError(kept) = &whole.begins else {
            panic!("{whole:?}")
        };
        assert_eq!(kept.len(), MOST);
        assert!(whole.error().is_some(), "read by its beginning");
    }
}
