//! Where a text that goes on begins to say something new.
//!
//! What the caller has seen is the prefix that was sent to the model, and the blanks at its end that
//! were not, as no prefix may end in blanks. A model may begin its continuation with those blanks, may
//! say its last words once more, or the whole prefix. Where it begins to do so it may be within a word.
//! Words that are too few to be said twice by accident hardly ever are taken for new ones.

use super::words;

/// How much of the prefix's end is looked at for repeated words.
const LONGEST: usize = 1 << 10;

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
            let is_said = words.starts_with(repeated);
            let may_come = waits && repeated.starts_with(words);
            if !(is_said || may_come) || !self.counts(repeated) {
                continue;
            }
            if !is_said {
                return None;
            }
            let new = self.new_in(&words[repeated.len()..], waits);
            return new.map(|new| before + repeated.len() + new);
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

    /// What a model may say again, the longest first: the whole prefix, or an end of it.
    fn candidates(&self) -> impl Iterator<Item = &str> {
        let earliest = self.prefix.len().saturating_sub(LONGEST);
        let places = self.prefix.char_indices();
        let places = places.filter(move |(at, char)| *at >= earliest && !char.is_whitespace());
        let whole = self.whole();
        let whole = Some(whole).filter(|whole| !whole.is_empty());
        whole
            .into_iter()
            .chain(places.map(|(at, _)| &self.prefix[at..]))
    }

    fn whole(&self) -> &str {
        self.prefix.trim_start()
    }

    /// Whether it is said again, and not once more.
    fn counts(&self, repeated: &str) -> bool {
        let is_whole = repeated.len() == self.whole().len();
        (self.echoes && is_whole) || words::are_enough(repeated)
    }
}

/// What of a text is sent as the prefix, and the blanks behind it.
pub(super) fn split(text: &str) -> (&str, &str) {
    text.split_at(text.trim_end().len())
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

    #[test]
    fn where_words_are_written_without_spaces_characters_count() {
        let text = "敏捷的棕色狐狸跳过了那只懒";
        assert_eq!(
            joined(text, false, &["棕色狐狸跳过了", "那只懒狗。"]),
            "敏捷的棕色狐狸跳过了那只懒狗。"
        );
        assert_eq!(
            joined(text, false, &["狗。"]),
            "敏捷的棕色狐狸跳过了那只懒狗。"
        );
        assert_eq!(
            joined(
                "すばやい茶色の狐が怠け者の",
                false,
                &["い茶色の狐が怠け者の犬"]
            ),
            "すばやい茶色の狐が怠け者の犬"
        );
        // so few may be meant
        assert_eq!(joined("非常非常", false, &["非常好"]), "非常非常非常好");
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
            let said_again = &said[from.min(said.len() - 3)..];
            let text = said.join(" ") + if blank { " " } else { "" };
            let again = [said_again, new].concat().join(" ");
            prop_assert_eq!(joined(&text, false, &[&again]), words.join(" "));
        }

        #[test]
        fn of_any_text_cut_anywhere_what_is_said_again_is_said_once_if_it_is_enough(
            text in ".{1,40}|[你好吗我很他的了一\\n ]{1,60}|[ab ]{1,40}", cut: prop::sample::Index,
            again in 0usize..40, pieces_of in 1usize..9,
        ) {
            let places: Vec<_> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let cut = cut.index(places.len());
            let seen = &text[..places[cut]];
            // a model goes on from what it is sent, which ends in no blanks
            let sent = split(seen).0;
            let from = sent.char_indices().rev().map(|(at, _)| at).take(again).last();
            let from = from.unwrap_or(sent.len());
            let (said_again, came) = (&sent[from..], &text[from..]);
            let chars: Vec<_> = came.chars().collect();
            let pieces: Vec<String> = chars.chunks(pieces_of).map(|some| some.iter().collect()).collect();
            let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
            let got = joined(seen, false, &pieces);
            // by the rule: the longest end of what was sent that the words begin with, and that is enough
            let words = came.trim_start();
            let ends = sent.char_indices().map(|(at, _)| &sent[at..]);
            let mut ends = ends.filter(|end| !end.starts_with(char::is_whitespace));
            let rule = ends.find(|end| words::are_enough(end) && words.starts_with(end));
            let rest = rule.map_or(came, |end| &words[end.len()..]);
            let blanks = split(seen).1.chars().zip(rest.chars()).take_while(|(one, other)| one == other);
            let new: String = rest.chars().skip(blanks.count()).collect();
            prop_assert_eq!(&got, &format!("{seen}{new}"));
            // which is the text itself, but where too little is said again or more than that was said before
            let is_told = match rule {
                Some(end) => end.len() == said_again.trim_start().len(),
                None => said_again.is_empty(),
            };
            if is_told {
                prop_assert_eq!(got, text);
            }
        }

        #[test]
        fn a_text_in_which_nothing_stands_twice_is_always_itself(
            text in Just(('一'..='倀').chain('ぁ'..='ん').chain('ก'..='ฮ').collect::<Vec<_>>()).prop_shuffle(),
            long in 12usize..80, cut: prop::sample::Index, again: prop::sample::Index,
        ) {
            let text = &text[..long];
            let cut = cut.index(long + 1);
            let again = match again.index(cut + 1) {
                ..9 => 0,
                many => many,
            };
            let of = |chars: &[char]| chars.iter().collect::<String>();
            let (seen, came) = (of(&text[..cut]), of(&text[cut - again..]));
            prop_assert_eq!(joined(&seen, false, &[&came]), of(text));
        }
    }
}
