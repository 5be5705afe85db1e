//! Questions that differ in their numbers are not the same, however alike they sound.

/// Whether the same numbers stand in both, in the same order. Vectors hardly tell 15% from 16%.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    numbers(one).eq(numbers(other))
}

/// Runs of digits; points and commas between digits are part of a number.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let part = |letter: char| !(letter.is_numeric() || letter == '.' || letter == ',');
    let words = text.split(part).map(|word| word.trim_matches(['.', ',']));
    words.filter(|word| !word.is_empty())
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
    }
}
