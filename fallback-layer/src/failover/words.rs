//! How many words a text has, in any script.

/// What a word counts, and a character of a script without spaces between words, and what is enough:
/// three words, or nine such characters.
const WORD: usize = 3;
const CHARACTER: usize = 1;
const ENOUGH: usize = 9;

/// Whether so much is hardly ever said twice by accident: enough different words.
pub(super) fn are_enough(text: &str) -> bool {
    let mut seen: [&str; ENOUGH] = [""; ENOUGH];
    let (mut different, mut counted) = (0, 0);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (word, counts) = if stands_alone(first) {
            (&rest[..first.len_utf8()], CHARACTER)
        } else if first.is_alphanumeric() {
            let end = rest.find(|char: char| !char.is_alphanumeric() || stands_alone(char));
            (&rest[..end.unwrap_or(rest.len())], WORD)
        } else {
            rest = &rest[first.len_utf8()..];
            continue;
        };
        rest = &rest[word.len()..];
        if !seen[..different].contains(&word) {
            counted += counts;
            if counted >= ENOUGH {
                return true;
            }
            // each counts something, so there is room
            seen[different] = word;
            different += 1;
        }
    }
    false
}

/// Whether it is of a script that has no spaces between words.
const fn stands_alone(char: char) -> bool {
    matches!(char,
        // Thai, Lao, Tibetan, Burmese, Khmer
        '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        // kana and bopomofo, Han and its extensions
        | '\u{3040}'..='\u{312f}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_words_are_enough_or_nine_characters_or_some_of_each() {
        for text in [
            "one two three",
            "- one, two (three",
            "ab我好cd你们他ef",
            "一二三四五六七八九",
            "ก ข ค ง จ ฉ ช ซ ฌ",
        ] {
            assert!(are_enough(text), "{text}");
        }
        for text in [
            "one two",
            "ha ha ha ha",
            "一二三四五六七八",
            "好好好好好好好好好好",
            "}\n  }\n}",
            "🎉🎊🎈",
            "",
            "한국 말",
        ] {
            assert!(!are_enough(text), "{text}");
        }
    }
}
