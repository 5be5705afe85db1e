//! The path that a call has at another host than where it was going.

use http::{Method, Uri};

use crate::Dialect;

/// The path at a host whose own path is `host`, without a slash at its end.
///
/// An LLM call gets the path that its API has; any other request keeps its own. A version that the host's
/// path has already is not said twice.
pub(super) fn at_host(method: &Method, asked: &Uri, host: &str) -> String {
    let asked_path = asked.path();
    let wire = Dialect::of(method, asked).map(Dialect::wire);
    let whole = wire.map_or(asked_path, |wire| (wire.path_at_host)(asked_path));
    let version = whole
        .split('/')
        .nth(1)
        .filter(|segment| is_version(segment));
    let has_version = |version: &str| {
        let before = host.strip_suffix(version);
        let is_fixed = wire.is_some_and(|wire| wire.needs_version);
        before.is_some_and(|before| before.ends_with('/'))
            || (version == "v1" && !is_fixed && host.split('/').any(is_version))
    };
    let own = match version.filter(|version| has_version(version)) {
        Some(version) => &whole[1 + version.len()..],
        None => whole,
    };
    format!("{host}{own}")
}

/// gRPC's path without what stands before it.
pub(crate) fn service_and_method(path: &str) -> &str {
    last_segments(path, 2)
}

/// Bedrock's `/model/ID/VERB` without what stands before it.
pub(crate) fn model_and_verb(path: &str) -> &str {
    last_segments(path.strip_suffix('/').unwrap_or(path), 3)
}

/// With the slash before them.
fn last_segments(path: &str, count: usize) -> &str {
    let slashes = path.rmatch_indices('/').map(|(at, _)| at);
    slashes.take(count).last().map_or(path, |at| &path[at..])
}

/// A path from the segment on that is a version.
pub(crate) fn from_version(path: &str) -> &str {
    let mut at = 0usize;
    for segment in path.split_inclusive('/') {
        if is_version(segment.trim_end_matches('/')) {
            // with the slash before it
            return &path[at.saturating_sub(1)..];
        }
        at += segment.len();
    }
    path
}

/// `v1`, `v2`, `v1beta`, `v1alpha1`.
fn is_version(segment: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(rest) = segment.strip_prefix('v') else {
        return false;
    };
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let (number, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let stage = rest.strip_prefix("beta").or(rest.strip_prefix("alpha"));
    !number.is_empty() && (rest.is_empty() || stage.is_some_and(digits))
}
