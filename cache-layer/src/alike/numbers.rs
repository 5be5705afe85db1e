//! Questions that differ in their numbers are not the same, however alike they sound.

/// Whether the same numbers stand in both, in the same order. Vectors hardly tell 15% from 16%.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    numbers(one).eq(numbers(other))
}

/// Runs of digits, and whether a minus is before them; points and commas between digits are part of a
/// number. A hyphen behind a letter or a digit is no minus: of dates, ranges and names.
fn numbers(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let part = |letter: char| !(letter.is_numeric() || letter == '.' || letter == ',');
    let words = text.split(part).map(|word| word.trim_matches(['.', ',']));
    words.filter(|word| !word.is_empty()).map(move |word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        let before = text[..start].trim_end_matches(['.', ',']);
        let before = before.strip_suffix(['-', '\u{2212}']);
        let is_negative = before.is_some_and(|rest| !rest.ends_with(char::is_alphanumeric));
        (is_negative, word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_they_are_written() {
        assert!(are_same("Why is a lemon yellow?", "Why are lemons yellow?"));
        assert!(are_same("15% of 1,200.", "how much, is 15% of 1,200"));
        assert!(!are_same("15% of 80", "16% of 80"));
        assert!(!are_same("from 3 to 4", "from 4 to 3"));
        assert!(!are_same("1.5", "15"));
        assert!(!are_same("in 2025", "in which year"));
        assert!(!are_same("٣", "٤"));
        assert!(!are_same("is -5 °C cold?", "is 5 °C cold?"));
        assert!(!are_same("−5", "5"));
        assert!(!are_same("(-.5)", "(.5)"));
        assert!(are_same("−5", "-5"));
        assert!(are_same("gpt-4, 3-4", "gpt 4, 3 4"));
    }
}
