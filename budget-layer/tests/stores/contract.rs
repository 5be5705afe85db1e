//! Any history of calls, against a list of everything that was used.

use budget_layer::store::{Claim, Edit, Reserved, Store};
use proptest::prelude::*;

use crate::world::*;

const KINDS: usize = 4;
const OWNERS: [&str; 3] = ["alice", "bob", ""];
const LIMITS: [u64; KINDS] = [100, 300, 500, 900];

#[derive(Clone, Debug)]
pub enum Step {
    /// In these limits of this owner, of everybody together too if so, between so much and so much.
    Reserve(Vec<usize>, usize, bool, u64, u64),
    /// The call number so much, modulo those that run.
    Extend(usize, u64, u64),
    /// It used so much in percent of what was reserved.
    Settle(usize, u64),
    Release(usize),
    Charge(usize, usize, u64),
    /// So many quarters of a day.
    Later(u64),
    Crash,
    SetLimit(usize, usize, Option<u64>),
    Grant(usize, usize, u64),
    Reset(usize, usize),
}

pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let kind = 0..KINDS;
    let owner = 0..OWNERS.len();
    let kinds = prop::sample::subsequence(vec![0, 1, 2, 3], 1..=KINDS);
    let step = prop_oneof![
        10 => (kinds, owner.clone(), any::<bool>(), 0u64..60, 0u64..80)
            .prop_map(|(kinds, owner, all, least, more)| Step::Reserve(kinds, owner, all, least, least + more)),
        3 => (any::<usize>(), 0u64..30, 0u64..60)
            .prop_map(|(call, least, more)| Step::Extend(call, least, least + more)),
        8 => (any::<usize>(), 0u64..130).prop_map(|(call, percent)| Step::Settle(call, percent)),
        2 => any::<usize>().prop_map(Step::Release),
        1 => (kind.clone(), owner.clone(), 0u64..50).prop_map(|(kind, owner, amount)| Step::Charge(kind, owner, amount)),
        4 => (1u64..20).prop_map(Step::Later),
        1 => Just(Step::Crash),
        1 => (kind.clone(), owner.clone(), prop::option::of(0u64..800))
            .prop_map(|(kind, owner, limit)| Step::SetLimit(kind, owner, limit)),
        1 => (kind.clone(), owner.clone(), 0u64..200).prop_map(|(kind, owner, more)| Step::Grant(kind, owner, more)),
        1 => (kind, owner).prop_map(|(kind, owner)| Step::Reset(kind, owner)),
    ];
    prop::collection::vec(step, 1..most)
}

/// Everything that ever happened to one scope.
#[derive(Clone, Default)]
struct Listed {
    charges: Vec<(u64, u64)>,
    grants: Vec<(u64, u64)>,
    own_limit: Option<u64>,
}

struct Model {
    now: u64,
    scopes: Vec<Listed>,
    calls: Vec<Call>,
}

/// What a running call reserved, of which scopes.
#[derive(Clone)]
struct Call(Vec<(usize, u64)>);

impl Model {
    fn reserved(&self, scope: usize) -> u64 {
        let parts = self.calls.iter().flat_map(|call| &call.0);
        parts
            .filter(|part| part.0 == scope)
            .map(|part| part.1)
            .sum()
    }

    /// The least and the most that may count as used.
    fn used(&self, scope: usize) -> (u64, u64) {
        let window = window(scope % KINDS);
        let since = |start: u64| -> u64 {
            let charges = self.scopes[scope].charges.iter();
            charges
                .filter(|charge| charge.0 >= start)
                .map(|charge| charge.1)
                .sum()
        };
        match window.part() {
            None => {
                let used = since(window.period(self.now).start);
                (used, used)
            }
            Some(part) => (
                since(self.now - 10 * DAY + 1),
                since(self.now - 10 * DAY - part),
            ),
        }
    }

    fn limit(&self, scope: usize) -> u64 {
        let window = window(scope % KINDS);
        let live = |at: u64| match window.part() {
            None => at >= window.period(self.now).start,
            // the latest grant keeps the earlier ones
            Some(_) => true,
        };
        let listed = &self.scopes[scope];
        let lapsed = window.part().is_some()
            && listed
                .grants
                .last()
                .is_some_and(|grant| self.now >= grant.0 + 10 * DAY);
        let granted: u64 = if lapsed {
            0
        } else {
            listed
                .grants
                .iter()
                .filter(|grant| live(grant.0))
                .map(|grant| grant.1)
                .sum()
        };
        listed.own_limit.unwrap_or(LIMITS[scope % KINDS]) + granted
    }
}

fn claim_of(scope: usize, least: u64, most: u64) -> Claim {
    let kind = scope % KINDS;
    let (name, owner) = (format!("limit-{kind}"), OWNERS[scope / KINDS]);
    claim(&name, owner, window(kind), LIMITS[kind], least).up_to(most)
}

/// Plays a history. Returns what the store said, so that two stores can be compared.
pub async fn play<W: World>(world: &mut W, steps: &[Step]) -> Vec<String> {
    let mut model = Model {
        now: START,
        scopes: vec![Listed::default(); KINDS * OWNERS.len()],
        calls: Vec::new(),
    };
    let mut running = Vec::new();
    let mut said = Vec::new();
    for step in steps {
        let store = world.store().clone();
        match step {
            Step::Reserve(kinds, owner, all, least, most) => {
                let mut scopes: Vec<usize> =
                    kinds.iter().map(|kind| owner * KINDS + kind).collect();
                if *all && *owner != 2 {
                    scopes.push(2 * KINDS + kinds[0]);
                }
                let claims: Vec<Claim> = scopes
                    .iter()
                    .map(|scope| claim_of(*scope, *least, *most))
                    .collect();
                let answer = store.reserve(&claims).await.unwrap();
                let (share, amounts) = check(&model, &scopes, &claims, &answer);
                said.push(share);
                if let Reserved::Granted(grant) = answer {
                    running.push(grant.reservation);
                    model.calls.push(Call(amounts));
                }
            }
            Step::Extend(call, least, most) if !running.is_empty() => {
                let call = call % running.len();
                let scopes: Vec<usize> = model.calls[call].0.iter().map(|part| part.0).collect();
                let claims: Vec<Claim> = scopes
                    .iter()
                    .map(|scope| claim_of(*scope, *least, *most))
                    .collect();
                let answer = store.extend(&mut running[call], &claims).await.unwrap();
                let (share, amounts) = check(&model, &scopes, &claims, &answer);
                said.push(share);
                for (part, more) in model.calls[call].0.iter_mut().zip(amounts) {
                    part.1 += more.1;
                }
            }
            Step::Settle(call, percent) if !running.is_empty() => {
                let call = call % running.len();
                let Call(parts) = model.calls.remove(call);
                let used: Vec<u64> = parts.iter().map(|part| part.1 * percent / 100).collect();
                store.settle(running.remove(call), &used);
                for (part, used) in parts.iter().zip(used) {
                    model.scopes[part.0].charges.push((model.now, used));
                }
            }
            Step::Release(call) if !running.is_empty() => {
                let call = call % running.len();
                model.calls.remove(call);
                store.release(running.remove(call));
            }
            Step::Charge(kind, owner, amount) => {
                let scope = owner * KINDS + kind;
                store.charge(&[claim_of(scope, *amount, *amount)]);
                model.scopes[scope].charges.push((model.now, *amount));
            }
            Step::Later(quarters) => {
                world.settled().await;
                world.advance(quarters * DAY / 4);
                model.now += quarters * DAY / 4;
            }
            Step::Crash => {
                world.settled().await;
                drop(store);
                running.clear();
                world.crash().await;
                for Call(parts) in model.calls.drain(..) {
                    for (scope, amount) in parts {
                        model.scopes[scope].charges.push((model.now, amount));
                    }
                }
            }
            Step::SetLimit(kind, owner, limit) => {
                let scope = owner * KINDS + kind;
                store
                    .edit(&claim_of(scope, 0, 0), Edit::Limit(*limit))
                    .await
                    .unwrap();
                model.scopes[scope].own_limit = *limit;
            }
            Step::Grant(kind, owner, more) => {
                let scope = owner * KINDS + kind;
                store
                    .edit(&claim_of(scope, 0, 0), Edit::Grant(*more))
                    .await
                    .unwrap();
                let listed = &mut model.scopes[scope];
                let lapsed = listed
                    .grants
                    .last()
                    .is_some_and(|grant| model.now >= grant.0 + 10 * DAY);
                if *kind == 2 && lapsed {
                    listed.grants.clear();
                }
                listed.grants.push((model.now, *more));
            }
            Step::Reset(kind, owner) => {
                world.settled().await;
                let scope = owner * KINDS + kind;
                store
                    .edit(&claim_of(scope, 0, 0), Edit::Reset)
                    .await
                    .unwrap();
                model.scopes[scope].charges.clear();
                model.scopes[scope].grants.clear();
            }
            Step::Extend(..) | Step::Settle(..) | Step::Release(..) => {}
        }
        world.settled().await;
        for scope in 0..model.scopes.len() {
            let standing = read(world.store(), &claim_of(scope, 0, 0)).await;
            let (least, most) = model.used(scope);
            assert!(
                (least..=most).contains(&standing.used),
                "scope {scope} after {step:?}: used {} is not within {least} and {most}",
                standing.used
            );
            assert_eq!(
                standing.reserved,
                model.reserved(scope),
                "scope {scope} after {step:?}"
            );
            assert_eq!(
                standing.limit,
                model.limit(scope),
                "scope {scope} after {step:?}"
            );
        }
    }
    said
}

/// Whether an answer is right: what it said, and what is reserved of each scope by it.
fn check<T>(
    model: &Model,
    scopes: &[usize],
    claims: &[Claim],
    answer: &Reserved<T>,
) -> (String, Vec<(usize, u64)>) {
    let left = |scope: usize, used: u64| {
        model
            .limit(scope)
            .saturating_sub(used)
            .saturating_sub(model.reserved(scope))
    };
    match answer {
        Reserved::Granted(grant) => {
            let mut amounts = Vec::new();
            for (scope, claim) in scopes.iter().zip(claims) {
                let amount = grant.share.amount(claim);
                assert!(amount >= claim.least && amount <= claim.most);
                assert!(
                    amount <= left(*scope, model.used(*scope).0),
                    "scope {scope} is overspent by {amount}"
                );
                amounts.push((*scope, amount));
            }
            (format!("{:?}", grant.share), amounts)
        }
        Reserved::Refused(refused) => {
            let (scope, claim) = (scopes[refused.index], &claims[refused.index]);
            assert!(
                left(scope, model.used(scope).1) < claim.least,
                "refused though it fits"
            );
            assert!(refused.standings[refused.index].is_over);
            (format!("refused by {}", refused.index), Vec::new())
        }
        _ => unreachable!(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_memory_store_keeps_the_contract_over_any_history(steps in steps(60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(&mut InMemory::new(), &steps));
    }
}
