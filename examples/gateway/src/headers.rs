//! What may go through a proxy and what may not.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};

/// Meant for one connection only (RFC 9110, 7.6.1), besides what `connection` names.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// About the caller or its way to us; a provider has no business with them. The client sets `host`
/// and `content-length` itself, and `expect` was answered here.
const NOT_UPSTREAM: [&str; 8] = [
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "via",
    "x-real-ip",
];

/// About the provider's own origin, which a caller would take for ours.
const NOT_BACK: [&str; 3] = ["alt-svc", "set-cookie", "set-cookie2"];

/// Leaves of a request's headers what a provider may see.
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    NOT_UPSTREAM.iter().for_each(|name| remove(headers, name));
    let forwarded: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name.starts_with("x-forwarded-") || name.starts_with("proxy-")
        })
        .cloned()
        .collect();
    forwarded
        .iter()
        .for_each(|name| remove(headers, name.as_str()));
}

/// Hides the caller's credentials from `Debug`.
pub(crate) fn hide_credentials<B>(request: &mut Request<B>) {
    let names: Vec<HeaderName> = llm_exchange::credentials(request)
        .into_iter()
        .filter_map(|(name, _)| HeaderName::from_bytes(name.as_bytes()).ok())
        .collect();
    for name in names {
        if let header::Entry::Occupied(mut values) = request.headers_mut().entry(name) {
            values
                .iter_mut()
                .for_each(|value| value.set_sensitive(true));
        }
    }
}

/// Leaves of an answer's headers what a caller may see.
pub(crate) fn clean_answer(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    NOT_BACK.iter().for_each(|name| remove(headers, name));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    named.iter().for_each(|name| remove(headers, name.as_str()));
    HOP_BY_HOP.iter().for_each(|name| remove(headers, name));
}

/// Removes every value of a header.
fn remove(headers: &mut HeaderMap, name: &str) {
    headers.remove(name);
}

/// Whether a path has a `.` or `..` segment however it is written: a provider that resolves it
/// would be reached elsewhere than under the configured address.
pub(crate) fn has_dot_segments(path: &str) -> bool {
    decoded(path)
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| {
            // what follows a ';' is a parameter to some servers
            let name = segment
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default();
            name == b"." || name == b".."
        })
}

/// Percent-decodes; what is no escape stays.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = text.as_bytes();
    let mut all = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = match (byte, bytes.get(at + 1), bytes.get(at + 2)) {
            (b'%', Some(&high), Some(&low)) => digit(high).zip(digit(low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                all.push((high * 16 + low) as u8);
                at += 3;
            }
            None => {
                all.push(byte);
                at += 1;
            }
        }
    }
    all
}

/// Whether a web page from elsewhere makes the call: a browser says so in `origin`. `null` and
/// what can't be read are elsewhere.
pub(crate) fn is_from_foreign_page(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ORIGIN)
        .iter()
        .any(|origin| !is_local_page(origin))
}

fn is_local_page(origin: &HeaderValue) -> bool {
    origin
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Uri>().ok())
        .is_some_and(|uri| uri.scheme().is_some() && uri.host().is_some_and(is_loopback))
}

/// Whether a host is this machine, by its name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name, value);
                all
            })
    }

    fn left(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn what_is_meant_for_this_connection_does_not_go_on() {
        let mut headers = map(&[
            ("connection", "close, X-Hop ,"),
            ("connection", "x-other,(no name),"),
            ("x-hop", "1"),
            ("x-hop", "2"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic x"),
            ("proxy-anything", "x"),
            ("content-type", "application/json"),
        ]);
        clean_request(&mut headers);
        assert_eq!(left(&headers), ["content-type"]);
    }

    #[test]
    fn what_is_about_the_caller_does_not_go_on() {
        let mut headers = map(&[
            ("cookie", "a=b"),
            ("host", "me"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-anything", "1"),
            ("x-real-ip", "1.2.3.4"),
            ("content-length", "9"),
            ("anthropic-version", "2026-10-21"),
        ]);
        clean_request(&mut headers);
        assert_eq!(left(&headers), ["anthropic-version"]);
    }

    #[test]
    fn the_callers_own_credential_goes_on_but_debug_does_not_show_it() {
        let mut request = Request::new(());
        *request.headers_mut() =
            map(&[("authorization", "Bearer canary"), ("x-api-key", "canary")]);
        clean_request(request.headers_mut());
        hide_credentials(&mut request);
        assert_eq!(request.headers().len(), 2);
        assert!(!format!("{request:?}").contains("canary"));
    }

    #[test]
    fn an_answer_sets_no_cookie_of_another_origin() {
        let mut headers = map(&[
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("alt-svc", "h3=\":443\""),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-request-id", "1"),
        ]);
        clean_answer(&mut headers);
        assert_eq!(left(&headers), ["x-request-id"]);
    }

    #[test]
    fn dot_segments_are_found_however_they_are_written() {
        for path in [
            "/v1/..",
            "/v1/../admin",
            "/v1/./x",
            "/v1/%2e%2E/x",
            "/v1/.%2e",
            "/v1/x%2f..%2fy",
            "/v1/..\\x",
            "/v1/..%5cx",
            "/v1/..;a/x",
        ] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in [
            "/v1/models/gpt-4.1",
            "/v1/...",
            "/v1/.hidden",
            "/v1//x",
            "/v1/%zz%2",
        ] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }

    #[test]
    fn pages_of_this_machine_are_told_from_pages_of_the_web() {
        let foreign = |origin| is_from_foreign_page(&map(&[("origin", origin)]));
        for origin in [
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "http://[::1]:80",
        ] {
            assert!(!foreign(origin), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "http://127.0.0.1.evil.example",
            "",
            "localhost",
        ] {
            assert!(foreign(origin), "{origin}");
        }
        assert!(!is_from_foreign_page(&HeaderMap::new()));
    }
}
