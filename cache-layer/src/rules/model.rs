//! Whether an answer is of the model that was asked for.

/// Providers answer with a snapshot of the model asked for (`gpt-4o` with `gpt-4o-2024-08-06`), or with
/// its name in another spelling. Another size or generation is another model: `gpt-4o-mini`,
/// `claude-opus-4-5` for `claude-opus-4`.
pub(crate) fn same_family(asked: &str, answered: &str) -> bool {
    let (asked, answered) = (plain(asked), plain(answered));
    let (short, long) = if asked.len() <= answered.len() {
        (&asked, &answered)
    } else {
        (&answered, &asked)
    };
    long.strip_prefix(&**short).is_some_and(is_version)
}

/// The name without whose it is and without "the latest".
fn plain(model: &str) -> String {
    let name = model
        .rsplit('/')
        .next()
        .unwrap_or(model)
        .to_ascii_lowercase();
    // Bedrock's: where it runs, whose it is, and a version of its own
    let name = match name.split_once("anthropic.") {
        Some((_, name)) => name.split("-v").next().unwrap_or(name).to_owned(),
        None => name,
    };
    for latest in ["-latest", ":latest", "@latest"] {
        if let Some(name) = name.strip_suffix(latest) {
            return name.to_owned();
        }
    }
    name
}

/// Nothing, or dates and numbers of builds: `-2024-08-06`, `-20241022`, `@20250514`, `-001`, `-0613`,
/// `-preview`.
fn is_version(rest: &str) -> bool {
    if rest.is_empty() {
        return true;
    }
    let Some(rest) = rest.strip_prefix(['-', '@', ':']) else {
        return false;
    };
    let mut years = 0;
    rest.split('-').all(|part| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let of_date = years > 0 && part.len() == 2;
        years += usize::from(digits && part.len() == 4);
        (digits && (part.len() >= 3 || of_date)) || matches!(part, "preview" | "exp")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_of_the_family_and_another_size_or_generation_is_not() {
        for (asked, answered) in [
            ("gpt-4o", "gpt-4o"),
            ("gpt-4o", "gpt-4o-2024-08-06"),
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("gpt-4", "gpt-4-0613"),
            ("gpt-4", "gpt-4-1106-preview"),
            ("openai/gpt-4o", "gpt-4o-2024-08-06"),
            ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
            ("claude-sonnet-5-5", "claude-sonnet-5-5@20261021"),
            ("gemini-2.5-flash", "gemini-2.5-flash-001"),
            ("mistral-large-latest", "mistral-large-2411"),
            ("llama3", "llama3:latest"),
            ("Qwen/Qwen3-8B", "qwen3-8b"),
            (
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "claude-sonnet-4-5-20250929",
            ),
        ] {
            assert!(same_family(asked, answered), "{asked} {answered}");
        }
        for (asked, answered) in [
            ("gpt-4o", "gpt-4o-mini"),
            ("gpt-4o", "gpt-4o-mini-2024-07-18"),
            ("gpt-4", "gpt-4o"),
            ("gpt-4", "gpt-4-32k"),
            ("gpt-4", "gpt-4.1"),
            ("claude-opus-4", "claude-opus-4-5-20251101"),
            ("claude-opus-4-5", "claude-opus-4"),
            ("claude-sonnet-5-5", "claude-haiku-5-5"),
            ("gpt-6-sol", "claude-sonnet-5-5"),
            ("a", ""),
        ] {
            assert!(!same_family(asked, answered), "{asked} {answered}");
        }
    }
}
