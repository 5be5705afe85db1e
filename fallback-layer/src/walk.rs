//! Which target is next. Nothing here waits, sends or asks the time.

use crate::{
    Skipped,
    routes::{ChainId, Routes, Stop, TargetId},
};

/// The way of one call through the chains.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Its own, then those that are entered when something happens; a call walks each once at most.
    legs: [Option<Leg>; LEGS],
    current: usize,
}

/// The leg of a prompt that is too long, and of filtered content.
const TOO_LONG: usize = 1;
const FILTERED: usize = 2;
const LEGS: usize = 3;

/// The way through one chain.
#[derive(Clone, Copy, Debug)]
struct Leg {
    chain: ChainId,
    begun: bool,
    /// The target that comes next.
    next: usize,
    /// A bit for each target that was tried: a chain has at most 32.
    tried: u32,
}

/// Why the target before is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The call begins, or the target failed.
    Any,
    TooLong,
    Filtered,
}

/// What the choice depends on.
pub(crate) trait Facts<O> {
    /// Whether the target can serve the call at all.
    fn fits(&mut self, stop: &Stop<O>) -> Result<(), Skipped>;

    /// Whether it failed lately.
    fn is_remembered(&mut self, stop: &Stop<O>) -> bool;

    /// It is skipped.
    fn skipped(&mut self, stop: &Stop<O>, why: Skipped);
}

impl Walk {
    pub(crate) fn start<O>(chain: ChainId, routes: &Routes<O>) -> Self {
        let leg = |chain: ChainId| Leg {
            chain,
            begun: false,
            next: 0,
            tried: 0,
        };
        Self {
            legs: [
                Some(leg(chain)),
                routes.too_long.map(leg),
                routes.filtered.map(leg),
            ],
            current: 0,
        }
    }

    /// Whether anything can come after the current target.
    pub(crate) fn may_go_on<O>(&self, routes: &Routes<O>) -> bool {
        let waits = |leg: &Leg| !leg.begun;
        self.legs[self.current].is_some_and(|leg| leg.next < routes.stops(leg.chain).len())
            || self.legs.iter().flatten().any(waits)
    }

    /// The next target. `asked` is the model that the call asks for.
    pub(crate) fn next<O>(
        &mut self,
        routes: &Routes<O>,
        asked: Option<&str>,
        cause: Cause,
        facts: &mut impl Facts<O>,
    ) -> Option<TargetId> {
        match cause {
            Cause::Any => self.enter(self.current),
            Cause::TooLong => self.enter(TOO_LONG),
            Cause::Filtered => self.enter(FILTERED),
        };
        loop {
            let mut too_long = false;
            let found = self.in_chain(routes, asked, &mut too_long, facts);
            if let Some(leg) = &mut self.legs[self.current] {
                leg.next = found.map_or(usize::MAX, |target| target.at + 1);
                leg.tried |= found.map_or(0, |target| 1 << target.at);
            }
            if found.is_some() || !(too_long && self.enter(TOO_LONG)) {
                return found;
            }
        }
    }

    /// This target was not sent the call, or was not at fault: it comes again before those after it.
    pub(crate) fn give_back(&mut self, target: TargetId) {
        let mut legs = self.legs.iter_mut().flatten();
        if let Some(leg) = legs.find(|leg| leg.begun && leg.chain == target.chain) {
            leg.next = leg.next.min(target.at);
            leg.tried &= !(1 << target.at);
        }
    }

    fn in_chain<O>(
        &self,
        routes: &Routes<O>,
        asked: Option<&str>,
        too_long: &mut bool,
        facts: &mut impl Facts<O>,
    ) -> Option<TargetId> {
        let leg = self.legs[self.current]?;
        // it would do, but failed lately: taken if no other comes after it
        let mut last = None;
        for (at, stop) in routes.stops(leg.chain).iter().enumerate().skip(leg.next) {
            let target = TargetId {
                chain: leg.chain,
                at,
            };
            if self.was_tried(routes, stop, asked) {
                continue;
            }
            if let Err(why) = facts.fits(stop) {
                *too_long |= why == Skipped::ContextWindow;
                facts.skipped(stop, why);
                continue;
            }
            if let Some(before) = last.replace(target) {
                facts.skipped(routes.stop(before), Skipped::FailedLately);
            }
            if !facts.is_remembered(stop) {
                break;
            }
        }
        last
    }

    /// Whether the same request was sent before.
    fn was_tried<O>(&self, routes: &Routes<O>, stop: &Stop<O>, asked: Option<&str>) -> bool {
        self.legs.iter().flatten().any(|leg| {
            let stops = routes.stops(leg.chain).iter().enumerate();
            let mut tried = stops.filter(|(at, _)| leg.tried & (1 << at) != 0);
            leg.tried != 0
                && tried.any(|(_, before)| {
                    let shared = before.own.is_none() && stop.own.is_none();
                    before.id == stop.id || (shared && before.spec.is_same(&stop.spec, asked))
                })
        })
    }

    /// Goes on with this leg, if there is such and it was not walked before.
    fn enter(&mut self, at: usize) -> bool {
        let Some(leg) = self.legs[at].as_mut().filter(|leg| !leg.begun) else {
            return false;
        };
        leg.begun = true;
        self.current = at;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use llm_exchange::Dialect;
    use proptest::prelude::*;

    use super::*;
    use crate::{Chain, Chains, Inner, Target};

    /// Targets named after what they are: `d`isabled, too `s`mall a window, failed `l`ately, or fine.
    struct Named {
        skipped: Vec<Skipped>,
    }

    impl Facts<Inner> for Named {
        fn fits(&mut self, stop: &Stop<Inner>) -> Result<(), Skipped> {
            match stop.spec.model.as_deref().unwrap_or("").as_bytes().first() {
                Some(b'd') => Err(Skipped::Disabled),
                Some(b's') => Err(Skipped::ContextWindow),
                _ => Ok(()),
            }
        }

        fn is_remembered(&mut self, stop: &Stop<Inner>) -> bool {
            let model = stop.spec.model.as_deref();
            model.is_some_and(|model| model.starts_with('l'))
        }

        fn skipped(&mut self, _: &Stop<Inner>, why: Skipped) {
            self.skipped.push(why);
        }
    }

    fn chain(targets: &[String]) -> Chain {
        let targets = targets.iter().map(|model| match &**model {
            "asked" => Target::as_asked(),
            model => Target::model(model),
        });
        targets.fold(Chain::new(), |chain, target| chain.then(target))
    }

    /// The labels of all targets that are tried when each is left for the next of these causes.
    fn walked(routes: &Routes<Inner>, asked: &str, causes: &[Cause]) -> Vec<String> {
        let Some(Some(first)) = routes.chain_of(Dialect::OpenAiChat, asked, None) else {
            return Vec::new();
        };
        let mut facts = Named { skipped: vec![] };
        let mut walk = Walk::start(first, routes);
        let (mut labels, mut cause) = (Vec::new(), Cause::Any);
        while let Some(target) = walk.next(routes, Some(asked), cause, &mut facts) {
            assert!(labels.len() < 200, "it goes in a circle");
            let stop = routes.stop(target);
            labels.push(stop.spec.model.as_deref().unwrap_or(asked).to_owned());
            cause = causes.get(labels.len() - 1).copied().unwrap_or(Cause::Any);
        }
        labels
    }

    fn routes(chains: Chains) -> Routes<Inner> {
        Routes::build(chains).unwrap()
    }

    fn names(list: &str) -> Vec<String> {
        list.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn targets_come_in_order_and_those_that_cannot_serve_are_passed_over() {
        let routes = routes(chain(&names("a d b s l c")).into());
        assert_eq!(walked(&routes, "x", &[]), ["a", "b", "c"]);
    }

    #[test]
    fn the_last_one_is_tried_though_it_failed_lately() {
        let all = routes(chain(&names("l1 l2 d")).into());
        assert_eq!(walked(&all, "x", &[]), ["l2"]);
        let one = routes(chain(&names("l1")).into());
        assert_eq!(walked(&one, "x", &[]), ["l1"]);
        let after_a_fine_one = routes(chain(&names("a l1 l2")).into());
        assert_eq!(walked(&after_a_fine_one, "x", &[]), ["a", "l2"]);
    }

    #[test]
    fn the_model_asked_for_is_not_tried_again_under_its_name() {
        let routes = routes(chain(&names("asked b c")).into());
        assert_eq!(walked(&routes, "b", &[]), ["b", "c"]);
        assert_eq!(walked(&routes, "x", &[]), ["x", "b", "c"]);
    }

    #[test]
    fn a_prompt_that_is_too_long_takes_the_detour_once() {
        let long = Chains::new()
            .default_chain(chain(&names("a b")))
            .on_prompt_too_long(chain(&names("big a bigger")));
        let routes = routes(long);
        let too_long = [Cause::TooLong; 9];
        assert_eq!(walked(&routes, "x", &too_long), ["a", "big", "bigger"]);
        assert_eq!(walked(&routes, "x", &[]), ["a", "b"]);
        let later = [Cause::Any, Cause::TooLong];
        assert_eq!(walked(&routes, "x", &later), ["a", "b", "big", "bigger"]);
    }

    #[test]
    fn the_detour_is_also_taken_where_no_window_of_the_chain_is_large_enough() {
        let long = Chains::new()
            .default_chain(chain(&names("s1 s2")))
            .on_prompt_too_long(chain(&names("big")));
        assert_eq!(walked(&routes(long), "x", &[]), ["big"]);
        let none = routes(chain(&names("s1 s2")).into());
        assert_eq!(walked(&none, "x", &[]), Vec::<String>::new());
    }

    #[test]
    fn filtered_content_has_a_detour_of_its_own() {
        let chains = Chains::new()
            .default_chain(chain(&names("a b")))
            .on_filtered(chain(&names("tame")))
            .on_prompt_too_long(chain(&names("big")));
        let causes = [Cause::Filtered, Cause::TooLong, Cause::Filtered];
        assert_eq!(walked(&routes(chains), "x", &causes), ["a", "tame", "big"]);
    }

    fn targets() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[abdsl]|asked", 1..7).prop_map(|mut all| {
            let mut seen = HashSet::new();
            all.retain(|name| seen.insert(name.clone()));
            all
        })
    }

    fn causes() -> impl Strategy<Value = Vec<Cause>> {
        let cause = prop_oneof![
            3 => Just(Cause::Any),
            1 => Just(Cause::TooLong),
            1 => Just(Cause::Filtered)
        ];
        prop::collection::vec(cause, 0..20)
    }

    proptest! {
        #[test]
        fn nothing_is_sent_twice_nor_to_what_cannot_serve_and_the_walk_ends(
            own in targets(), long in targets(), filtered in targets(),
            causes in causes(), asked in "[abdslx]",
        ) {
            let chains = Chains::new()
                .default_chain(chain(&own))
                .on_prompt_too_long(chain(&long))
                .on_filtered(chain(&filtered));
            let walked = walked(&routes(chains), &asked, &causes);
            let distinct: HashSet<_> = walked.iter().collect();
            prop_assert_eq!(distinct.len(), walked.len(), "twice: {:?}", walked);
            let cannot = |name: &str| {
                let by_name = !own.iter().chain(&long).chain(&filtered).any(|own| own == "asked");
                (name == "d" || name == "s") && (by_name || name != asked)
            };
            prop_assert!(!walked.iter().any(|name| cannot(name)), "{:?}", walked);
        }

        #[test]
        fn a_chain_is_walked_in_its_order_and_memory_alone_never_leaves_a_call_without_a_target(
            own in targets(),
        ) {
            let walked = walked(&routes(chain(&own).into()), "x", &[]);
            let fits: Vec<_> = own
                .iter()
                .map(|name| if name == "asked" { "x" } else { name })
                .filter(|name| !["d", "s"].contains(name))
                .collect();
            let last = fits.last().copied();
            let expected: Vec<_> = fits
                .into_iter()
                .filter(|name| !name.starts_with('l') || Some(*name) == last)
                .collect();
            prop_assert_eq!(walked, expected);
        }
    }
}
