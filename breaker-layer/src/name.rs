//! What a key is called in the handle, in events and metrics.

use std::borrow::Cow;

use http::{Request, header};

/// A longer model is taken for none, of a longer own key the beginning counts.
pub(crate) const MOST_BYTES: usize = 512;

/// The host, with its port, that a request goes to: as it is written in lower case, so that one host has one
/// key, without user and password. A server's request mostly has it in `host` alone.
pub(crate) fn host<B>(request: &Request<B>) -> Cow<'_, str> {
    let named = || request.headers().get(header::HOST)?.to_str().ok();
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => named()
            .filter(|host| host.len() <= MOST_BYTES)
            .unwrap_or_default(),
    };
    let is_plain = |byte: u8| byte != b'@' && !byte.is_ascii_uppercase();
    if authority.bytes().all(is_plain) {
        return authority.into();
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.to_ascii_lowercase().into()
}

/// `model@host`, or what there is of it. Callers write models: no control character gets through.
pub(crate) fn of(host: &str, model: Option<&str>) -> String {
    let mut name = model.unwrap_or_default().replace(char::is_control, "?");
    if !host.is_empty() {
        if model.is_some() {
            name.push('@');
        }
        name.push_str(host);
    }
    name
}

/// The number is no part of the credential, and another in each process.
pub(crate) fn with_credential(name: &str, hash: u64) -> String {
    format!("{name} credential {:08x}", hash >> 32)
}

/// The beginning of a text, cut between two characters.
pub(crate) fn bounded(text: &str) -> &str {
    let end = (0..=MOST_BYTES.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_model_and_host_and_nothing_secret() {
        assert_eq!(of("h.example:8443", Some("m")), "m@h.example:8443");
        assert_eq!(of("h", Some("m@x")), "m@x@h");
        assert_eq!(of("h", None), "h");
        assert_eq!(of("", Some("m")), "m");
    }

    #[test]
    fn one_host_is_one_however_it_is_written() {
        let host = |uri: &str, header: Option<&str>| {
            let request = Request::get(uri);
            let request = header
                .into_iter()
                .fold(request, |request, host| request.header("host", host));
            super::host(&request.body(()).unwrap()).into_owned()
        };
        for uri in [
            "https://H.example:8443/p",
            "https://user:secret@h.example:8443/p",
        ] {
            assert_eq!(host(uri, Some("other")), "h.example:8443");
        }
        assert_eq!(host("/p", Some("H.example:8443")), "h.example:8443");
        assert_eq!(host("/p", None), "");
        assert_eq!(host("/p", Some(&"h".repeat(600))), "");
    }

    #[test]
    fn a_model_cannot_write_into_a_log() {
        assert_eq!(of("h", Some("a\nERROR\u{1b}[2J")), "a?ERROR?[2J@h");
    }

    #[test]
    fn a_long_key_is_cut_between_characters() {
        assert_eq!(bounded("abc"), "abc");
        assert_eq!(bounded(&"x".repeat(600)).len(), MOST_BYTES);
        let long = format!("{}é", "x".repeat(MOST_BYTES - 1));
        assert_eq!(bounded(&long).len(), MOST_BYTES - 1);
    }
}
