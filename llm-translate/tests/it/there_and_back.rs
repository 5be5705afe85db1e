//! Requests from each dialect to each other: what they mean stays, there and back.

use llm_exchange::Dialect;
use proptest::prelude::*;

use crate::{
    neutral::asks,
    neutral_read::read,
    support::{Chat, Gemini, Messages, Responses, request, translated},
};

const DIALECTS: [Dialect; 3] = [Chat, Messages, Gemini];

proptest! {
    #[test]
    fn what_is_asked_in_one_dialect_is_asked_in_each_other_and_comes_back(asks in asks()) {
        for from in [Chat, Messages, Gemini, Responses] {
            // responses have no stop sequences
            let mut asks = asks.clone();
            if from == Responses {
                asks.stops.clear();
            }
            let asked = asks.write(from);
            for to in DIALECTS.into_iter().filter(|to| *to != from) {
                let there = request(from, to, &asked);
                let meant = asks.clone().without_thoughts();
                prop_assert_eq!(&read(to, &there), &meant, "{:?} to {:?}: {}", from, to, there);
                // of what is not sent on the caller hears
                let left_out = translated(from, to, &asked).unwrap().left_out().to_vec();
                prop_assert_eq!(!left_out.is_empty(), asks.has_thoughts(), "{:?}", left_out);
                if from != Responses {
                    let back = request(to, from, &there);
                    prop_assert_eq!(&read(from, &back), &meant, "{:?} and back: {}", from, back);
                    // what was translated once has one form, to the byte
                    prop_assert_eq!(&request(from, to, &back), &there);
                }
                // through the third one too
                for third in DIALECTS.into_iter().filter(|third| *third != to && *third != from) {
                    let on = request(to, third, &there);
                    prop_assert_eq!(&read(third, &on), &meant, "{:?}, {:?}, {:?}", from, to, third);
                }
            }
        }
    }

    #[test]
    fn noise_is_an_error_and_no_panic(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
        for from in [Chat, Messages, Gemini, Responses] {
            for to in DIALECTS.into_iter().filter(|to| *to != from) {
                prop_assert!(llm_translate::Asked::new(from, &noise).translate(to).is_err());
            }
        }
    }
}
