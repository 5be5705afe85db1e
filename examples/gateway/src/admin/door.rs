//! Who may look.

use std::{fmt, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::json;

use super::Admin;
use crate::headers;

/// What a proxy says of whom it speaks for: that is not this machine.
const PROXIED: [&str; 4] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

/// With a token nobody looks without it. Without one only this machine looks, and no web page from
/// elsewhere that a browser on it has open.
pub(crate) struct Door {
    pub(crate) token: Option<String>,
    /// Only this machine can reach it.
    pub(crate) is_local: bool,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("token", &self.token.is_some())
            .field("is_local", &self.is_local)
            .finish()
    }
}

impl Door {
    fn admits(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        match &self.token {
            Some(token) => {
                let given = headers.get(header::AUTHORIZATION);
                let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
                given.is_some_and(|given| is_same(given, token.as_bytes()))
            }
            // a name of elsewhere may have been made to mean this machine
            None => {
                self.is_local
                    && !PROXIED.iter().any(|name| headers.contains_key(*name))
                    && is_local_name(uri, headers)
                    && !headers::is_from_foreign_page(headers)
            }
        }
    }
}

pub(super) async fn admitted(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    if admin.door.admits(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let message = match admin.door.token {
        Some(_) => "this needs the admin token (token_env in [admin]) as a bearer token",
        None => "without an admin token (token_env in [admin]) only this machine may look",
    };
    let body = Json(json!({"error": {"message": message}}));
    (StatusCode::UNAUTHORIZED, body).into_response()
}

/// Whether the caller called this machine by a name of its own.
fn is_local_name(uri: &Uri, headers: &HeaderMap) -> bool {
    let name = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    // HTTP/2 has it in the address
    let name = uri.authority().map(|name| name.as_str()).or(name);
    let name = name.and_then(|name| name.parse::<http::uri::Authority>().ok());
    name.is_some_and(|name| headers::is_loopback(name.host()))
}

/// Takes as long wherever they differ.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    let differing = given
        .iter()
        .zip(token)
        .fold(0, |bits, (a, b)| bits | (a ^ b));
    given.len() == token.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(door: &Door, lines: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.insert(*name, value.parse().unwrap());
        }
        door.admits(&"/breakers".parse().unwrap(), &headers)
    }

    #[test]
    fn without_a_token_this_machine_looks_and_nobody_else() {
        let door = Door {
            token: None,
            is_local: true,
        };
        let here = ("host", "127.0.0.1:8080");
        assert!(admits(&door, &[here]));
        assert!(admits(&door, &[("host", "localhost:8080")]));
        assert!(admits(&door, &[here, ("origin", "http://localhost:8080")]));
        assert!(!admits(&door, &[here, ("origin", "https://evil.example")]));
        assert!(!admits(&door, &[("host", "rebound.example:8080")]));
        assert!(!admits(&door, &[here, ("x-forwarded-for", "203.0.113.7")]));
        assert!(!admits(&door, &[]));
        let open = Door {
            is_local: false,
            ..door
        };
        assert!(!admits(&open, &[here]));
    }

    #[test]
    fn with_a_token_it_alone_counts() {
        let door = Door {
            token: Some("secret".into()),
            is_local: true,
        };
        assert!(admits(&door, &[("authorization", "Bearer secret")]));
        for wrong in [
            "Bearer secre",
            "Bearer secret1",
            "Bearer Secret",
            "secret",
            "",
        ] {
            let lines = [("host", "127.0.0.1"), ("authorization", wrong)];
            assert!(!admits(&door, &lines), "{wrong}");
        }
        assert!(!admits(&door, &[("host", "127.0.0.1")]));
        assert!(!format!("{door:?}").contains("secret"));
    }
}
