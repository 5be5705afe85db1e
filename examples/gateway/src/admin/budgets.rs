//! `GET /budgets`: what those who called lately have used, reserved and left.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use budget_layer::{Account, Amount, BudgetError};
use serde_json::{Value, json};

use super::Admin;
use crate::{
    board::{OTHER, dollars},
    budgets::{ANONYMOUS, Budgets},
    exposition::Exposition,
};

pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(all(&admin).await)
}

/// Accounts that are shown.
const MOST: usize = 24;

/// Users whose accounts the store is asked for at a time.
const AT_A_TIME: usize = 64;

/// The accounts that are nearest to their limits, of those of the last users who called, with how many these
/// are; null without budgets, or while their store is away.
pub(super) async fn all(admin: &Admin) -> Value {
    let Some(mut accounts) = accounts_of(admin, admin.board.users()).await else {
        return Value::Null;
    };
    let count = accounts.len();
    accounts.sort_by(|one, other| {
        let nearest = share(&other.2).total_cmp(&share(&one.2));
        nearest.then_with(|| (&one.1, &one.0).cmp(&(&other.1, &other.0)))
    });
    accounts.truncate(MOST);
    json!({
        "accounts": accounts.iter().map(line).collect::<Vec<_>>(),
        "of": count,
    })
}

/// The limit's name, whose it is, and how it stands.
type Owned = (Arc<str>, Box<str>, Account);

/// Of these users; nothing without budgets, or while their store is away.
async fn accounts_of(admin: &Admin, mut users: Vec<Box<str>>) -> Option<Vec<Owned>> {
    if users.is_empty() {
        // nobody is told apart: all share one account
        users.push(ANONYMOUS.into());
    }
    let accounts = read(admin.budgets.as_ref()?, &users).await;
    accounts
        .inspect_err(|error| tracing::warn!(%error, "the budgets can't be looked at"))
        .ok()
}

async fn read(budgets: &Budgets, users: &[Box<str>]) -> Result<Vec<Owned>, BudgetError> {
    let mut accounts = Vec::new();
    for some in users.chunks(AT_A_TIME) {
        let names = some.iter().map(|user| &**user);
        let found = match budgets {
            Budgets::InMemory(layer) => layer.handle().users(names).await?,
            Budgets::InRedis(layer) => layer.handle().users(names).await?,
        };
        for (user, of_user) in some.iter().zip(found) {
            let of_user = of_user.into_iter();
            accounts.extend(of_user.map(|(name, account)| (name, user.clone(), account)));
        }
    }
    Ok(accounts)
}

/// How much of the limit is used or reserved: 1 is all of it.
fn share(account: &Account) -> f64 {
    let amount = |amount| match amount {
        Amount::Tokens(tokens) => tokens as f64,
        Amount::Money(money) => dollars(money),
        _ => 0.0,
    };
    let taken = amount(account.used) + amount(account.reserved);
    let limit = amount(account.limit);
    if limit > 0.0 { taken / limit } else { 1.0 }
}

/// For Prometheus: the accounts of the users who are told apart in the metrics; and of the last others who
/// called the one that is nearest to its limit, as owners that come and go are no series.
pub(super) async fn metrics(admin: &Admin, text: &mut Exposition) {
    let known = admin.board.spenders();
    let mut users = admin.board.users();
    let has_users = !users.is_empty();
    users.extend(known.iter().cloned());
    users.sort_unstable();
    users.dedup();
    let accounts = accounts_of(admin, users).await;
    let mut shares = BTreeMap::<(Arc<str>, Box<str>), f64>::new();
    for (limit, owner, account) in accounts.into_iter().flatten() {
        let is_told_apart = !has_users || known.contains(&owner);
        let owner = if is_told_apart { owner } else { OTHER.into() };
        let nearest = shares.entry((limit, owner)).or_default();
        *nearest = nearest.max(share(&account));
    }
    for ((limit, owner), share) in &shares {
        let labels = [("limit", &**limit), ("owner", owner)];
        text.add("llm_budget_account_ratio", "gauge", &labels, *share);
    }
}

fn line((name, owner, account): &Owned) -> Value {
    let unit = match account.limit {
        Amount::Tokens(_) => "tokens",
        _ => "usd",
    };
    json!({
        "name": &**name,
        "owner": owner,
        "unit": unit,
        "share": share(account),
        "used": number(account.used),
        "reserved": number(account.reserved),
        "limit": number(account.limit),
        "remaining": number(account.remaining),
    })
}

fn number(amount: Amount) -> Value {
    match amount {
        Amount::Tokens(tokens) => tokens.into(),
        Amount::Money(money) => dollars(money).into(),
        _ => Value::Null,
    }
}
