//! What a key is called in the handle, in events and metrics.

/// A longer model is taken for none, of a longer own key the beginning counts.
pub(crate) const MOST_BYTES: usize = 512;

/// `model@authority`, or what there is of it. Of the authority no user and password, and callers write
/// models: no control character gets through.
pub(crate) fn of(authority: &str, model: Option<&str>) -> String {
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let mut name = model.unwrap_or_default().replace(char::is_control, "?");
    if !authority.is_empty() {
        if model.is_some() {
            name.push('@');
        }
        name.push_str(authority);
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
        assert_eq!(of("user:secret@h", Some("m@x")), "m@x@h");
        assert_eq!(of("h", None), "h");
        assert_eq!(of("", Some("m")), "m");
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
