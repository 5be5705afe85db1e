//! What is wrong with a file, and where.

use std::{fmt, ops::Range};

/// Why a configuration can't be used. It never shows a value that may be a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub(super) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// A fault with its place: `line 7, [retry] jitter: the jitter must be within 0 and 1`.
///
/// The line itself is not shown, as somebody may have written a key into it.
pub(super) fn fault(text: &str, span: Option<Range<usize>>, message: &str) -> ConfigError {
    // parsers explain themselves over several lines
    let message = message.trim().replace('\n', ", ");
    let Some(before) = span.and_then(|span| text.get(..span.start)) else {
        return ConfigError(message);
    };
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    let key = match line.split_once('=') {
        Some((key, _)) if !line.starts_with('[') => format!(" {}", key.trim()),
        _ => String::new(),
    };
    let section = text
        .lines()
        .take(number)
        .filter_map(|line| {
            let line = line.trim();
            line.starts_with('[')
                .then(|| line.split('#').next().unwrap_or(line).trim())
        })
        .last();
    let section = section.map(|name| format!(", {name}")).unwrap_or_default();
    let comma = if section.is_empty() && !key.is_empty() {
        ","
    } else {
        ""
    };
    ConfigError(format!("line {number}{section}{comma}{key}: {message}"))
}
