//! Whose credential a call carries.

use http::{HeaderName, HeaderValue, Request, header};
use llm_exchange::without_signature;

static AUTHORIZATION: HeaderName = header::AUTHORIZATION;

/// Where providers take their keys from, besides `authorization`.
static KEYS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The credential, as it stands in the first of the places that have one.
pub(crate) fn of<B>(request: &Request<B>) -> Option<&[u8]> {
    let headers = request.headers();
    headers
        .get(&AUTHORIZATION)
        .or_else(|| KEYS.iter().find_map(|name| headers.get(name)))
        .map(HeaderValue::as_bytes)
        .map(without_signature)
        .or_else(|| in_query(request.uri().query()?))
}

fn in_query(query: &str) -> Option<&[u8]> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("key="))
        .map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(uri: &str, headers: &[(&str, &str)]) -> Option<Vec<u8>> {
        let request = headers
            .iter()
            .fold(Request::get(uri), |request, (name, value)| {
                request.header(*name, *value)
            });
        of(&request.body(()).unwrap()).map(<[u8]>::to_vec)
    }

    #[test]
    fn each_place_is_found() {
        let uri = "https://h/v1/messages?alt=sse";
        for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
            assert_eq!(credential(uri, &[(name, "k")]).unwrap(), b"k");
        }
        assert_eq!(credential("https://h/p?alt=sse&key=k", &[]).unwrap(), b"k");
        assert_eq!(credential(uri, &[("accept", "k")]), None);
    }

    #[test]
    fn a_signed_call_has_the_credential_of_the_next_one() {
        let signed = |signature: &str| {
            let value =
                format!("AWS4-HMAC-SHA256 Credential=AKID/20261123/us/b, Signature={signature}");
            credential("https://h/p", &[("authorization", &value)])
        };
        assert_eq!(signed("a"), signed("b"));
        assert!(signed("a").unwrap().ends_with(b"AKID"));
    }
}
