//! Estimating how many tokens a text is, without a vocabulary.

/// Counts in hundredths of a token.
const TOKEN: u64 = 100;

/// An estimate of the tokens of a text that comes in pieces; where it is cut makes no difference.
///
/// It looks at runs of characters as today's byte-pair encodings split them: words, numbers,
/// punctuation, and what a character of other scripts costs on average. It needs no vocabulary and
/// passes over a text at several hundred MB/s. It is an estimate: what a provider counts is known only
/// when it says so.
///
/// ```
/// use llm_exchange::TokenEstimate;
///
/// let mut estimate = TokenEstimate::default();
/// estimate.push(b"Lemons are yel");
/// estimate.push(b"low.");
/// assert_eq!(estimate.tokens(), 4);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenEstimate {
    hundredths: u64,
    run: Run,
    /// characters of the run so far, and after how many the next token begins
    length: u32,
    next: u32,
}

/// What a character is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Run {
    #[default]
    Nothing,
    Lower,
    Upper,
    Digits,
    Marks,
    Spaces,
    Lines,
    /// A character of another script, each for itself.
    Other,
    /// The second and further bytes of a character.
    Within,
}

impl Run {
    const fn of(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' => Self::Lower,
            b'A'..=b'Z' => Self::Upper,
            b'0'..=b'9' => Self::Digits,
            b' ' | b'\t' => Self::Spaces,
            b'\n' | b'\r' => Self::Lines,
            0..=0x7f => Self::Marks,
            0x80..=0xbf => Self::Within,
            0xc0.. => Self::Other,
        }
    }

    /// What the run's first character costs, how long its first token is, and each further one.
    const fn shape(self) -> (u64, u32, u32) {
        match self {
            Self::Lower => (TOKEN, 8, 5),
            Self::Upper | Self::Digits => (TOKEN, 3, 3),
            Self::Marks => (TOKEN, 3, 2),
            // one space belongs to the word after it
            Self::Spaces => (0, 1, 16),
            // a line's end often belongs to the mark before it
            Self::Lines => (70, u32::MAX, 0),
            Self::Nothing | Self::Other | Self::Within => (0, u32::MAX, 0),
        }
    }
}

/// What a character of another script costs on average, by its first byte.
const fn cost_of_other(byte: u8) -> u64 {
    match byte {
        // Latin with accents, which breaks a word's tokens
        ..=0xcd => 60,
        // Greek, Cyrillic, Armenian
        0xce..=0xd6 => 31,
        // Hebrew, Arabic
        0xd7..=0xdf => 40,
        // Indic scripts, Thai
        0xe0 => 41,
        0xe1 | 0xe2 => 100,
        // kana
        0xe3 => 80,
        // Chinese
        0xe4..=0xe9 => 92,
        // Korean
        0xea..=0xef => 80,
        // emoji and the like
        0xf0.. => 200,
    }
}

static RUNS: [Run; 256] = {
    let mut runs = [Run::Nothing; 256];
    let mut byte = 0;
    while byte < 256 {
        runs[byte] = Run::of(byte as u8);
        byte += 1;
    }
    runs
};

impl TokenEstimate {
    /// The estimate of a whole text.
    #[must_use]
    pub fn of(text: &[u8]) -> u64 {
        let mut estimate = Self::default();
        estimate.push(text);
        estimate.tokens()
    }

    /// Adds the next piece of the text. Not necessarily UTF-8.
    pub fn push(&mut self, text: &[u8]) {
        for byte in text {
            self.byte(*byte);
        }
    }

    /// The tokens so far, rounded up.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.hundredths.div_ceil(TOKEN)
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        let run = RUNS[usize::from(byte)];
        if run == self.run {
            self.length = self.length.saturating_add(1);
            if self.length > self.next {
                self.hundredths += TOKEN;
                self.next = self.next.saturating_add(run.shape().2);
            }
        } else {
            self.begin(run, byte);
        }
    }

    fn begin(&mut self, run: Run, byte: u8) {
        let cost = match run {
            Run::Within => return,
            // never the run that goes on, so that each character comes here
            Run::Other => {
                self.run = Run::Nothing;
                self.hundredths += cost_of_other(byte);
                return;
            }
            // "Word": the capital belongs to it
            Run::Lower if self.run == Run::Upper && self.length == 1 => 0,
            // ".len", "_at": often a mark belongs to the word after it
            Run::Lower if self.run == Run::Marks && self.length == 1 => 60,
            // ";", and the line ends: mostly one token
            Run::Lines if self.run == Run::Marks => 20,
            _ => run.shape().0,
        };
        self.hundredths += cost;
        self.run = run;
        self.length = 1;
        self.next = run.shape().1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_about_as_many_tokens_as_the_encodings_make_of_them() {
        // o200k's own counts
        for (text, tokens) in [
            ("", 0),
            ("Lemons are yellow.", 5),
            ("HTTP/1.1 200 OK\n\n", 9),
            ("        indented", 3),
            ("1234567", 3),
            ("柠檬是黄色的", 7),
            ("Лимоны жёлтые", 6),
            ("\u{1f34b}", 2),
        ] {
            let estimate = TokenEstimate::of(text.as_bytes());
            assert!(estimate.abs_diff(tokens) <= 2, "{text:?}: {estimate}");
        }
    }

    proptest! {
        #[test]
        fn where_a_text_is_cut_makes_no_difference(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<proptest::sample::Index>(),
        ) {
            let (first, second) = text.split_at(at.index(text.len() + 1));
            let mut pieces = TokenEstimate::default();
            pieces.push(first);
            pieces.push(second);
            prop_assert_eq!(pieces.tokens(), TokenEstimate::of(&text));
            // no byte is more than two tokens
            prop_assert!(pieces.tokens() <= 2 * text.len() as u64);
        }
    }
}
