//! The names under which a model may stand in a price table.

/// The prefix that price tables give the models of a host.
pub(crate) fn prefix_of_host(host: &str) -> Option<&'static str> {
    let host = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    const HOSTS: [(&str, &str); 15] = [
        ("api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("api.groq.com", "groq"),
        ("api.x.ai", "xai"),
        ("generativelanguage.googleapis.com", "gemini"),
        ("aiplatform.googleapis.com", "vertex_ai"),
        ("api.mistral.ai", "mistral"),
        ("api.deepseek.com", "deepseek"),
        ("openrouter.ai", "openrouter"),
        ("openai.azure.com", "azure"),
        ("cognitiveservices.azure.com", "azure"),
        ("services.ai.azure.com", "azure"),
        ("api.voyageai.com", "voyage"),
        ("api.cohere.com", "cohere"),
        ("api.cohere.ai", "cohere"),
    ];
    let is = |known: &str| {
        let rest = host.strip_suffix(known);
        // Vertex writes the region in front with a dash
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', '-']))
    };
    HOSTS
        .iter()
        .find(|(known, _)| is(known))
        .map(|(_, prefix)| *prefix)
}

/// The name without its date: `-2026-09-22`, `-20250929`, `@20250929`, each also with Bedrock's `-v1:0`
/// behind it. `None`: it has none.
///
/// Four digits at the end are left: they are as often a version as a date.
pub(crate) fn without_date(model: &str) -> Option<&str> {
    let rest = match model.rsplit_once("-v") {
        Some((rest, version)) if is_version(version) => rest,
        _ => model,
    };
    let digits = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(byte, like)| match like {
                    b'9' => byte.is_ascii_digit(),
                    _ => byte == like,
                })
    };
    for pattern in ["-9999-99-99", "-99999999", "@99999999"] {
        let Some(at) = rest.len().checked_sub(pattern.len()) else {
            continue;
        };
        if at > 0 && rest.is_char_boundary(at) && digits(&rest[at..], pattern) {
            return Some(&rest[..at]);
        }
    }
    None
}

fn is_version(text: &str) -> bool {
    let (major, minor) = text.split_once(':').unwrap_or((text, "0"));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number(major) && number(minor)
}

/// The name, and what is left of it as provider prefixes are taken off: `a/b/c`, `b/c`, `c`.
pub(crate) fn tails(model: &str) -> impl Iterator<Item = &str> {
    let slashes = model.match_indices('/').map(|(at, _)| &model[at + 1..]);
    std::iter::once(model)
        .chain(slashes)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_taken_off_and_versions_are_not() {
        for (model, plain) in [
            ("gpt-6-sol-2026-09-22", Some("gpt-6-sol")),
            ("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5")),
            ("claude-sonnet-4-5@20250929", Some("claude-sonnet-4-5")),
            (
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                Some("us.anthropic.claude-sonnet-4-5"),
            ),
            ("gpt-4-0613", None),
            ("mistral-small-2603", None),
            ("claude-opus-5-5", None),
            ("amazon.nova-pro-v1:0", None),
            ("-2026-09-22", None),
            ("é-20250929", Some("é")),
        ] {
            assert_eq!(without_date(model), plain, "{model}");
        }
    }

    #[test]
    fn hosts_are_known_with_their_regions_and_ports() {
        for (host, prefix) in [
            ("api.x.ai", Some("xai")),
            ("eu.api.openai.com:443", Some("openai")),
            ("my-team.openai.azure.com", Some("azure")),
            ("europe-west1-aiplatform.googleapis.com", Some("vertex_ai")),
            ("api.openai.com.evil.example", None),
            ("notapi.x.ai", None),
            ("localhost:9001", None),
        ] {
            assert_eq!(prefix_of_host(host), prefix, "{host}");
        }
    }

    #[test]
    fn prefixes_are_taken_off_one_by_one() {
        let names: Vec<_> = tails("openrouter/openai/gpt-4o").collect();
        assert_eq!(
            names,
            ["openrouter/openai/gpt-4o", "openai/gpt-4o", "gpt-4o"]
        );
        assert_eq!(tails("models/").count(), 1);
    }

    proptest! {
        #[test]
        fn no_name_panics(name in "\\PC{0,30}(-[0-9]{8})?") {
            let _ = (without_date(&name), tails(&name).count(), prefix_of_host(&name));
        }
    }
}
