use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Asks for an answer that can be read: for the layers that read answers, before a call is sent.
///
/// A caller who named no encoding is left as it is: providers compress only where they are told that
/// they may.
///
/// ```
/// let mut headers = http::HeaderMap::new();
/// headers.append("accept-encoding", "gzip".parse()?);
/// headers.append("accept-encoding", "br".parse()?);
/// llm_exchange::ask_for_plain_text(&mut headers);
/// assert_eq!(headers.len(), 1);
/// assert_eq!(headers["accept-encoding"], "identity");
/// # Ok::<_, http::header::InvalidHeaderValue>(())
/// ```
pub fn ask_for_plain_text(headers: &mut HeaderMap) {
    // every line of it, if there are several
    static NAME: HeaderName = header::ACCEPT_ENCODING;
    if headers.contains_key(&NAME) {
        let identity = HeaderValue::from_static("identity");
        headers.insert(&NAME, identity);
    }
}
