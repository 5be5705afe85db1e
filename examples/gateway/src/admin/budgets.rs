//! `GET /budgets`: what those who called lately have used, reserved and left.

use std::sync::Arc;

use axum::{Json, extract::State};
use budget_layer::{Account, Amount, BudgetError};
use serde_json::{Value, json};

use super::Admin;
use crate::{
    board::dollars,
    budgets::{ANONYMOUS, Budgets},
};

pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(all(&admin).await)
}

/// The accounts of the last users; null without budgets, or while their store is away.
pub(super) async fn all(admin: &Admin) -> Value {
    let Some(budgets) = &admin.budgets else {
        return Value::Null;
    };
    let mut accounts = Vec::new();
    let mut users = admin.board.users();
    if users.is_empty() {
        // nobody is told apart: all share one account
        users.push(ANONYMOUS.into());
    }
    for user in users {
        match accounts_of(budgets, &user).await {
            Ok(of_user) => {
                let lines = of_user.iter();
                accounts.extend(lines.map(|(name, account)| line(name, &user, account)));
            }
            Err(error) => {
                tracing::warn!(%error, "the budgets can't be looked at");
                return Value::Null;
            }
        }
    }
    accounts.into()
}

async fn accounts_of(
    budgets: &Budgets,
    user: &str,
) -> Result<Vec<(Arc<str>, Account)>, BudgetError> {
    match budgets {
        Budgets::InMemory(layer) => layer.handle().user(user).await,
        Budgets::InRedis(layer) => layer.handle().user(user).await,
    }
}

fn line(name: &str, owner: &str, account: &Account) -> Value {
    let unit = match account.limit {
        Amount::Tokens(_) => "tokens",
        _ => "usd",
    };
    json!({
        "name": name,
        "owner": owner,
        "unit": unit,
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
