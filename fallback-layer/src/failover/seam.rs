//! Where a text that goes on begins to say something new.
//!
//! What the caller has seen is the prefix that was sent to the model, and the blanks at its end that
//! were not, as no prefix may end in blanks. A model may begin its continuation with those blanks, may
//! say its last words once more, or the whole prefix.

/// How much of the prefix's end is looked at for repeated words.
const LONGEST: usize = 1 << 10;
/// So many different words in a row are said twice by accident hardly ever.
const WORDS: usize = 3;

/// The beginning of a continuation, of which it is not clear yet what of it is new.
pub(super) struct Seam {
    prefix: String,
    blanks: String,
    /// Whether the API is known to give the prefix back in front of what is new.
    echoes: bool,
    came: String,
}

impl Seam {
    /// After this text.
    pub(super) fn after(text: &str, echoes: bool) -> Self {
        let (prefix, blanks) = split(text);
        Self {
            prefix: prefix.to_owned(),
            blanks: blanks.to_owned(),
            echoes,
            came: String::new(),
        }
    }

    /// Takes the next text. `Some`: how many of the bytes that came are to be left out. `None`: that
    /// is not clear yet. At most the length of the prefix, and 1 KiB, is waited for.
    pub(super) fn push(&mut self, text: &str) -> Option<usize> {
        self.came.push_str(text);
        self.decide(false)
    }

    /// No more comes.
    pub(super) fn end(&self) -> usize {
        self.decide(true).unwrap_or(0)
    }

    fn decide(&self, is_all: bool) -> Option<usize> {
        let waits = !is_all && self.came.len() <= self.prefix.len() + LONGEST;
        let words = self.came.trim_start();
        if words.is_empty() && waits {
            return None;
        }
        let before = self.came.len() - words.len();
        for repeated in self.candidates() {
            if let Some(rest) = words.strip_prefix(repeated) {
                let new = self.new_in(rest, waits);
                return new.map(|new| before + repeated.len() + new);
            }
            if repeated.starts_with(words) && waits {
                return None;
            }
        }
        self.new_in(&self.came, waits)
    }

    /// Where in this text something comes that is not the blanks that the caller has seen.
    fn new_in(&self, text: &str, waits: bool) -> Option<usize> {
        if self.blanks.starts_with(text) && self.blanks.len() > text.len() && waits {
            return None;
        }
        let same = text.chars().zip(self.blanks.chars());
        Some(
            same.take_while(|(one, other)| one == other)
                .map(|(one, _)| one.len_utf8())
                .sum(),
        )
    }

    /// What a model may say again, the longest first.
    fn candidates(&self) -> impl Iterator<Item = &str> {
        let whole = self.prefix.trim_start();
        let counts = self.echoes && !whole.is_empty();
        let whole = Some(whole).filter(|whole| counts || are_words(whole));
        let earliest = self.prefix.len().saturating_sub(LONGEST);
        let mut before = None;
        let places = self.prefix.char_indices().filter_map(move |(at, char)| {
            let starts = !before.replace(char).is_some_and(char::is_alphanumeric);
            (at >= earliest && starts && !char.is_whitespace()).then_some(at)
        });
        let tails = places.map(|at| &self.prefix[at..]);
        whole
            .into_iter()
            .chain(tails.take_while(|tail| are_words(tail)))
    }
}

/// What of a text is sent as the prefix, and the blanks behind it.
pub(super) fn split(text: &str) -> (&str, &str) {
    text.split_at(text.trim_end().len())
}

/// Whether there are enough different words in it.
fn are_words(text: &str) -> bool {
    let mut seen: [&str; WORDS] = [""; WORDS];
    let mut count = 0;
    for word in text.split(|char: char| !char.is_alphanumeric()) {
        if !word.is_empty() && !seen[..count].contains(&word) {
            seen[count] = word;
            count += 1;
            if count == WORDS {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the caller reads in the end.
    fn joined(text: &str, echoes: bool, pieces: &[&str]) -> String {
        let mut seam = Seam::after(text, echoes);
        let whole = pieces.concat();
        let decided = pieces.iter().find_map(|piece| seam.push(piece));
        let left_out = decided.unwrap_or_else(|| seam.end());
        format!("{text}{}", &whole[left_out..])
    }

    #[test]
    fn what_is_new_goes_on_at_once() {
        assert_eq!(Seam::after("The quick brown", false).push(" fox"), Some(0));
        assert_eq!(joined("one", false, &[" two"]), "one two");
        assert_eq!(joined("hel", false, &["lo"]), "hello");
    }

    #[test]
    fn blanks_that_were_not_sent_are_not_said_twice() {
        assert_eq!(joined("One: ", false, &[" two"]), "One: two");
        assert_eq!(joined("One: ", false, &["two"]), "One: two");
        assert_eq!(
            joined("One:\n\n", false, &["\n", "\n", "two"]),
            "One:\n\ntwo"
        );
        assert_eq!(joined("One:\n", false, &["\n", "\n- two"]), "One:\n\n- two");
    }

    #[test]
    fn last_words_said_again_are_left_out_also_where_one_was_cut() {
        let text = "It jumps over the lazy do";
        assert_eq!(
            joined(text, false, &["over the", " lazy dog."]),
            "It jumps over the lazy dog."
        );
        assert_eq!(
            joined(text, false, &[" jumps over the lazy dog."]),
            "It jumps over the lazy dog."
        );
        assert_eq!(
            joined(text, false, &["It jumps over", " the lazy dog."]),
            "It jumps over the lazy dog."
        );
        assert_eq!(
            joined("one two three ", false, &["one two three four"]),
            "one two three four"
        );
    }

    #[test]
    fn what_is_said_twice_on_purpose_stays() {
        assert_eq!(joined("ha ha", false, &[" ha"]), "ha ha ha");
        assert_eq!(
            joined("row, row, row", false, &[" row"]),
            "row, row, row row"
        );
        assert_eq!(
            joined("}\n    }\n", false, &["    }\n"]),
            "}\n    }\n    }\n"
        );
    }

    #[test]
    fn a_prefix_that_is_given_back_is_left_out_however_short() {
        assert_eq!(joined("Hi", true, &["H", "i there"]), "Hi there");
        assert_eq!(joined("Hi", false, &["H", "i there"]), "HiHi there");
        let long = "word ".repeat(3_000);
        assert_eq!(joined(&long, true, &[&long, "end"]), format!("{long}end"));
    }

    fn pieces(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.retain(|at| text.is_char_boundary(*at));
        places.extend([0, text.len()]);
        places.sort_unstable();
        places
            .windows(2)
            .map(|pair| text[pair[0]..pair[1]].to_owned())
            .collect()
    }

    proptest! {
        #[test]
        fn nothing_new_is_lost_and_how_it_comes_in_pieces_does_not_matter(
            text in "[a-cä ,\n]{0,24}", more in "[a-cä ,\n]{0,24}", echoes: bool,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let whole = joined(&text, echoes, &[&more]);
            let pieces = pieces(&more, &cuts);
            let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(&joined(&text, echoes, &pieces), &whole);
            prop_assert!(whole.starts_with(&text));
            // what is left out was said before
            let kept = &whole[text.len()..];
            prop_assert!(more.ends_with(kept));
            let left_out = more[..more.len() - kept.len()].trim();
            prop_assert!(text.contains(left_out));
        }

        #[test]
        fn whatever_many_words_are_repeated_the_text_reads_as_one(
            words in prop::collection::vec("[a-z]{4,7}", 8..20), from in 0usize..5, blank: bool,
        ) {
            let mut distinct = words.clone();
            distinct.sort();
            distinct.dedup();
            prop_assume!(distinct.len() == words.len());
            let (said, new) = words.split_at(words.len() - 2);
            let said_again = &said[from.min(said.len() - WORDS)..];
            let text = said.join(" ") + if blank { " " } else { "" };
            let again = [said_again, new].concat().join(" ");
            prop_assert_eq!(joined(&text, false, &[&again]), words.join(" "));
        }
    }
}
