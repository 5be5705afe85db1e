//! Every public type is what axum, hyper and `tokio::spawn` ask for.

use http_body_util::Full;
use llm_translate::*;
use testkit::Script;

fn all<T: Send + Sync + Unpin + 'static>() {}

#[test]
fn public_types_are_send_sync_and_unpin() {
    type Inner = Full<bytes::Bytes>;
    all::<Asked<'static>>();
    all::<Back>();
    all::<NotTranslated>();
    all::<StreamTranslator>();
    all::<Translate<Script>>();
    all::<TranslateLayer>();
    all::<Translated>();
    all::<TranslatedAnswer<Inner>>();
    all::<Translation>();
}
