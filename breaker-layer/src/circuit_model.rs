//! The state machine against a model that keeps everything and counts it anew each time.

use proptest::{collection::vec, prelude::*};

use crate::{
    circuit::{Circuit, CircuitState, Outcome, Refused, Said, Token},
    rules::{Nanos, Rules, Span},
};

/// What may happen to a circuit.
#[derive(Clone, Debug)]
enum Event {
    Call,
    /// One of the calls that are under way ends so; a dropped one says nothing.
    End(prop::sample::Index, Outcome),
    Passes(Nanos),
    ForceOpen,
    ForceClosed,
    Reset,
}

struct Model {
    rules: Rules,
    state: CircuitState,
    /// changes of state so far
    era: u64,
    /// what the calls of this era came to, the latest last
    ended: Vec<(Nanos, Outcome)>,
    /// probes of this era: number, and until when they hold their slot; none when given back
    probes: Vec<Option<Nanos>>,
    until: Nanos,
    closed_at: Nanos,
    /// open periods since the circuit was last healthy
    periods: u32,
}

impl Model {
    fn go(&mut self, state: CircuitState) {
        self.state = state;
        self.era += 1;
        self.ended.clear();
        self.probes.clear();
    }

    fn admit(&mut self, now: Nanos) -> Result<Token, Refused> {
        if self.state == CircuitState::Open && now >= self.until {
            self.go(CircuitState::HalfOpen);
        }
        match self.state {
            CircuitState::Closed | CircuitState::ForcedClosed => Ok(Token {
                generation: self.era,
                probe: None,
            }),
            CircuitState::Open => Err(Refused::For(self.until - now)),
            CircuitState::HalfOpen => {
                let held = self.probes.iter().flatten();
                let held: Vec<Nanos> = held.copied().filter(|until| *until > now).collect();
                if held.len() >= self.rules.probes as usize {
                    return Err(Refused::Probing(held[0] - now));
                }
                self.probes.push(Some(now + self.rules.probe_limit));
                Ok(Token {
                    generation: self.era,
                    probe: Some(self.probes.len() as u32 - 1),
                })
            }
            _ => Err(Refused::Forced),
        }
    }

    fn settle(&mut self, token: Token, outcome: Outcome, now: Nanos, random: f64) {
        let asked = outcome
            .retry_after
            .unwrap_or(0)
            .min(self.rules.max_open.max(self.rules.open_for));
        if token.generation != self.era {
            if self.state == CircuitState::Open
                && token.generation + 1 == self.era
                && outcome.said == Said::Failure
                && asked > 0
            {
                self.until = self.until.max(now + asked);
            }
            return;
        }
        if let Some(number) = token.probe {
            self.probes[number as usize] = None;
        }
        if !outcome.says_nothing() {
            self.ended.push((now, outcome));
        }
        match self.state {
            CircuitState::Closed if self.is_too_bad(outcome, now) => {
                if now - self.closed_at >= self.rules.healthy_after {
                    self.periods = 0;
                }
                self.open(asked, now, random);
            }
            CircuitState::HalfOpen if outcome.said == Said::Failure || outcome.slow => {
                self.open(asked, now, random);
            }
            CircuitState::HalfOpen if self.ended.len() >= self.rules.successes as usize => {
                self.go(CircuitState::Closed);
                self.closed_at = now;
            }
            _ => {}
        }
    }

    fn is_too_bad(&self, latest: Outcome, now: Nanos) -> bool {
        let said = self.ended.iter().rev().map(|(_, outcome)| outcome.said);
        let said = said.filter(|said| *said != Said::Nothing);
        let row = said.take_while(|said| *said == Said::Failure).count() as u32;
        if self.rules.in_a_row.is_some_and(|most| row >= most) {
            return true;
        }
        let tenth = |time: Nanos, span: Nanos| time / (span / 10).max(1);
        let recent: Vec<Outcome> = match self.rules.span {
            Span::Calls(calls) => self
                .ended
                .iter()
                .rev()
                .take(calls as usize)
                .map(|e| e.1)
                .collect(),
            Span::Time(span) => self
                .ended
                .iter()
                .filter(|(at, _)| tenth(*at, span) + 10 > tenth(now, span))
                .map(|e| e.1)
                .collect(),
        };
        let over = |percent: Option<u32>, is: fn(&Outcome) -> bool| {
            let count = recent.iter().filter(|outcome| is(outcome)).count();
            percent.is_some_and(|percent| count * 100 >= recent.len() * percent as usize)
        };
        !latest.says_nothing()
            && recent.len() >= self.rules.min_calls as usize
            && (over(self.rules.failure_percent, |outcome| {
                outcome.said == Said::Failure
            }) || over(self.rules.slow_percent, |outcome| outcome.slow))
    }

    fn open(&mut self, asked: Nanos, now: Nanos, random: f64) {
        let mut period = self.rules.open_for;
        (0..self.periods)
            .for_each(|_| period = (period * 2).min(self.rules.max_open.max(self.rules.open_for)));
        period = period
            .min(self.rules.max_open.max(self.rules.open_for))
            .max(asked);
        self.periods += 1;
        let jitter = (period as f64 * f64::from(self.rules.jitter_percent) / 100.0 * random) as u64;
        self.go(CircuitState::Open);
        self.until = now + period + jitter;
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let percent = || prop::option::of(1u32..=100);
    let span = prop_oneof![
        (1u32..80).prop_map(Span::Calls),
        (1u64..500).prop_map(Span::Time),
    ];
    (
        (
            prop::option::of(1u32..6),
            percent(),
            percent(),
            span,
            1u32..12,
        ),
        (1u64..100, 1u64..1000, 0u32..50, 0u64..300),
        (1u32..4, 1u32..4, 1u64..100),
    )
        .prop_map(|(trip, open, probe)| Rules {
            in_a_row: trip.0,
            failure_percent: trip.1,
            slow_percent: trip.2,
            span: trip.3,
            min_calls: trip.4,
            open_for: open.0,
            max_open: open.1,
            jitter_percent: open.2,
            healthy_after: open.3,
            successes: probe.0,
            probes: probe.1,
            probe_limit: probe.2,
        })
}

fn event() -> impl Strategy<Value = Event> {
    let said = prop_oneof![
        3 => Just(Said::Success),
        3 => Just(Said::Failure),
        1 => Just(Said::Nothing),
    ];
    let outcome = (
        said,
        prop::bool::weighted(0.2),
        prop::option::weighted(0.2, 1u64..400),
    )
        .prop_map(|(said, slow, retry_after)| Outcome {
            said,
            slow,
            retry_after: retry_after.filter(|_| said == Said::Failure),
        });
    prop_oneof![
        20 => Just(Event::Call),
        20 => (any::<prop::sample::Index>(), outcome).prop_map(|(which, how)| Event::End(which, how)),
        8 => (1u64..120).prop_map(Event::Passes),
        1 => Just(Event::ForceOpen),
        1 => Just(Event::ForceClosed),
        1 => Just(Event::Reset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_model_does(
        rules in rules(),
        history in vec((event(), 0.0f64..1.0), 1..200),
    ) {
        let mut circuit = Circuit::new(0);
        let mut model = Model {
            rules,
            state: CircuitState::Closed,
            era: 0,
            ended: Vec::new(),
            probes: Vec::new(),
            until: 0,
            closed_at: 0,
            periods: 0,
        };
        let mut now = 0;
        let mut running: Vec<Token> = Vec::new();
        for (event, random) in history {
            let clean = circuit.is_clean(&rules);
            match event {
                Event::Call => {
                    let admitted = circuit.admit(&rules, now);
                    prop_assert_eq!(admitted, model.admit(now));
                    running.extend(admitted.ok());
                }
                Event::End(which, outcome) if !running.is_empty() => {
                    let token = running.swap_remove(which.index(running.len()));
                    let before = (circuit.state(), circuit.generation());
                    circuit.settle(&rules, token, outcome, now, || random);
                    model.settle(token, outcome, now, random);
                    let after = (circuit.state(), circuit.generation());
                    if token.generation != before.1 {
                        prop_assert_eq!(before, after, "a call of an earlier generation");
                    }
                    if clean && outcome.said == Said::Success {
                        prop_assert!(circuit.is_clean(&rules), "a success changes nothing");
                    }
                }
                Event::End(..) => {}
                Event::Passes(time) => now += time,
                Event::ForceOpen => {
                    circuit.force_open();
                    model.go(CircuitState::ForcedOpen);
                }
                Event::ForceClosed => {
                    circuit.force_closed();
                    model.go(CircuitState::ForcedClosed);
                }
                Event::Reset => {
                    circuit.reset(now);
                    model.go(CircuitState::Closed);
                    (model.closed_at, model.periods) = (now, 0);
                }
            }
            prop_assert_eq!((circuit.state(), circuit.generation()), (model.state, model.era));
            if model.state == CircuitState::Open {
                prop_assert_eq!(circuit.until(), model.until);
            }
            let out = running.iter().filter(|token| {
                token.generation == circuit.generation() && token.probe.is_some()
            });
            if now < rules.probe_limit {
                // nobody has lost a slot yet
                prop_assert!(out.count() <= rules.probes as usize);
            }
        }
    }
}
