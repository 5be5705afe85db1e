//! Changing parameters of a call.

use http::Request;
use serde::de::IgnoredAny;

use super::{Call, NotRewritten, rewrite};
use crate::{Payload, splice};

impl Call {
    /// Whether the request can be rewritten: its body was read, and nothing is signed.
    ///
    /// # Errors
    ///
    /// [`NotRewritten`]: why not.
    pub fn can_be_rewritten(request: &Request<Payload>) -> Result<(), NotRewritten> {
        rewrite::readable(request).map(drop)
    }

    /// Sets a parameter of the request's JSON, a member of its outermost object, to this JSON; adds
    /// it if it isn't there. Every other byte stays as it is, `content-length` is corrected, and
    /// the facts of the call are read anew.
    ///
    /// # Errors
    ///
    /// [`NotRewritten`], also where `json` is none or the parameter stands twice; the request is
    /// unchanged then.
    pub fn set_parameter(
        request: &mut Request<Payload>,
        name: &str,
        json: &str,
    ) -> Result<(), NotRewritten> {
        if serde_json::from_str::<IgnoredAny>(json).is_err() {
            return Err(NotRewritten::NotRead);
        }
        rewrite::body(request, |body| splice::set(body, name, json))
    }

    /// Takes a parameter out of the request's JSON, if it is there, as
    /// [`set_parameter`](Self::set_parameter) sets it.
    ///
    /// # Errors
    ///
    /// [`NotRewritten`], also where the parameter stands twice; the request is unchanged then.
    pub fn remove_parameter(
        request: &mut Request<Payload>,
        name: &str,
    ) -> Result<(), NotRewritten> {
        rewrite::body(request, |body| splice::remove(body, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn request(body: &str) -> Request<Payload> {
        let request = Request::post("/v1/chat/completions")
            .header("content-length", body.len())
            .body(body.to_owned())
            .unwrap();
        Payload::read(request, 1 << 20).await
    }

    fn text(request: &Request<Payload>) -> &[u8] {
        request.body().whole().unwrap()
    }

    #[tokio::test]
    async fn a_parameter_is_set_and_removed_and_the_facts_follow() {
        let mut request = request(r#"{"model":"a","max_tokens": 99, "x":1}"#).await;
        Call::set_parameter(&mut request, "max_tokens", "7").unwrap();
        assert_eq!(text(&request), br#"{"model":"a","max_tokens": 7, "x":1}"#);
        assert_eq!(request.headers()["content-length"], "36");
        assert_eq!(Call::of(&request).unwrap().output_cap(), Some(7));
        Call::remove_parameter(&mut request, "x").unwrap();
        Call::remove_parameter(&mut request, "y").unwrap();
        Call::set_parameter(&mut request, "stop", r#"["\n"]"#).unwrap();
        assert_eq!(
            text(&request),
            br#"{"stop":["\n"],"model":"a","max_tokens": 7}"#
        );
        assert_eq!(request.headers()["content-length"], "43");
    }

    #[tokio::test]
    async fn what_cannot_be_changed_is_left_as_it_was() {
        let twice = r#"{"model":"a","x":1,"x":2}"#;
        let mut request = request(twice).await;
        for changed in [
            Call::set_parameter(&mut request, "x", "3"),
            Call::remove_parameter(&mut request, "x"),
            // no JSON, or none that the API takes
            Call::set_parameter(&mut request, "y", "nope"),
            Call::set_parameter(&mut request, "stream", "3"),
            Call::set_parameter(&mut request, "y", "1,\"z\":2"),
        ] {
            assert_eq!(changed, Err(NotRewritten::NotRead));
        }
        assert_eq!(text(&request), twice.as_bytes());
        assert_eq!(request.headers()["content-length"], "25");

        let digest = "sha-256=:x:".parse().unwrap();
        request.headers_mut().insert("content-digest", digest);
        let signed = Err(NotRewritten::Signed);
        assert_eq!(Call::set_parameter(&mut request, "y", "1"), signed);
        assert_eq!(Call::can_be_rewritten(&request), signed);
    }
}
