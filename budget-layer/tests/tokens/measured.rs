//! The default estimate against the exact count: the docs' table is what is measured here.

use budget_layer::tokens::{Estimated, ExactTokens, TokenCounter};

const DOCS: &str = include_str!("../../src/tokens/mod.rs");

const TEXTS: [(&str, &str); 12] = [
    ("English", include_str!("texts/english.txt")),
    ("German", include_str!("texts/german.txt")),
    ("French", include_str!("texts/french.txt")),
    ("Spanish", include_str!("texts/spanish.txt")),
    ("Russian", include_str!("texts/russian.txt")),
    ("Arabic", include_str!("texts/arabic.txt")),
    ("Hindi", include_str!("texts/hindi.txt")),
    ("Chinese", include_str!("texts/chinese.txt")),
    ("Japanese", include_str!("texts/japanese.txt")),
    ("Korean", include_str!("texts/korean.txt")),
    ("source code", include_str!("texts/code.txt")),
    ("JSON", include_str!("texts/json.txt")),
];

const NEWEST: Option<&str> = Some("gpt-5.6-sol");

/// By how many percent the estimate is over the exact count.
fn error(exact: &ExactTokens, text: &str) -> f64 {
    let (estimate, exact) = (Estimated.count(NEWEST, text), exact.count(NEWEST, text));
    (estimate as f64 / exact as f64 - 1.0) * 100.0
}

fn percent(error: f64) -> String {
    let rounded = error.round() as i64;
    if rounded < 0 {
        format!("\u{2212}{} %", -rounded)
    } else {
        format!("+{rounded} %")
    }
}

#[test]
fn the_docs_say_what_is_measured_and_it_is_within_a_tenth() {
    let exact = ExactTokens::new();
    let mut rows = Vec::new();
    for (name, text) in TEXTS {
        let whole = error(&exact, text);
        let paragraphs = text.split("\n\n").filter(|part| part.len() > 200);
        let errors: Vec<f64> = paragraphs.map(|part| error(&exact, part)).collect();
        let least = errors.iter().copied().fold(whole, f64::min);
        let most = errors.iter().copied().fold(whole, f64::max);
        let bytes = text.len() as f64 / exact.count(NEWEST, text) as f64;
        rows.push(format!(
            "//! | {name} | {bytes:.1} | {} | {} to {} |",
            percent(whole),
            percent(least),
            percent(most)
        ));
        assert!(whole.abs() < 10.0, "{name}: {whole}");
        assert!(-10.0 < least && most < 20.0, "{name}: {least} to {most}");
    }
    assert!(DOCS.contains(&rows.join("\n")), "{}", rows.join("\n"));
}

#[test]
fn models_are_counted_by_their_own_encodings() {
    let exact = ExactTokens::new();
    let text = TEXTS[6].1;
    let (newer, older) = (375, 1_223);
    for (model, tokens) in [
        ("gpt-5.6-sol", newer),
        ("gpt-4o-mini", newer),
        ("gpt-4.1-nano", newer),
        ("ft:gpt-4.1-mini:us::x", newer),
        ("o3", newer),
        ("openai/gpt-oss-120b", newer),
        ("gpt-6.1-terra", newer),
        ("gpt-4-turbo", older),
        ("gpt-3.5-turbo", older),
        ("azure/gpt-35-turbo", older),
        ("text-embedding-3-large", older),
    ] {
        assert_eq!(exact.count(Some(model), text), tokens, "{model}");
    }
    for model in [None, Some("claude-opus-5-5"), Some("our-deployment")] {
        assert_eq!(exact.count(model, text), Estimated.count(model, text));
    }
}

#[test]
fn special_tokens_in_a_text_are_text() {
    let exact = ExactTokens::new();
    assert!(exact.count(NEWEST, "<|endoftext|>") > 1);
    assert_eq!(exact.count(NEWEST, ""), 0);
}
