use std::{fmt, sync::Arc, sync::atomic::Ordering::Relaxed};

use crate::{
    amount::{Amount, Unit},
    budget::{Budget, Kept},
    keys::bounded,
    store::{Claim, Edit, MemoryStore, Scope, Standing, Store, StoreError},
    window::Window,
};

/// Looks at the accounts of a [`BudgetLayer`](crate::BudgetLayer) and changes them while calls run.
///
/// An account is named by its limit ([`Limit::name`](crate::Limit::name)) and by whose it is: the user's
/// name, the model's, what the app's function says; for what is limited for all together, the empty
/// text; of limits per key, what [`owner_of_key`](crate::owner_of_key) says.
pub struct BudgetHandle<S: Store = MemoryStore>(pub(crate) Arc<Budget<S>>);

/// How an account stands.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Used in this window, by calls that have ended.
    pub used: Amount,
    /// Reserved by calls that have not.
    pub reserved: Amount,
    /// The limit, with what was granted.
    pub limit: Amount,
    /// What may still be reserved.
    pub remaining: Amount,
}

/// What the layer has done so far.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetStats {
    /// Reservations of accounts; a call has one for each of its limits.
    pub reserved: u64,
    /// Those that were settled.
    pub settled: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that would have been, by limits that refuse nothing.
    pub would_refuse: u64,
    /// Streams that were ended.
    pub cut: u64,
}

/// Why an account can't be looked at or changed.
#[derive(Debug)]
pub struct BudgetError(Kind);

#[derive(Debug)]
enum Kind {
    NoSuchLimit,
    OtherUnit,
    Store(StoreError),
}

impl BudgetError {
    /// Whether the store did not answer.
    #[must_use]
    pub const fn is_store_away(&self) -> bool {
        matches!(self.0, Kind::Store(_))
    }
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::NoSuchLimit => f.write_str("there is no limit of this name that has accounts"),
            Kind::OtherUnit => f.write_str("the limit is not of tokens, or not of money"),
            Kind::Store(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for BudgetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Kind::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl<S: Store> BudgetHandle<S> {
    /// How the account of an owner stands.
    ///
    /// # Errors
    ///
    /// There is no such limit, or the store did not answer.
    pub async fn account(&self, limit: &str, owner: &str) -> Result<Account, BudgetError> {
        let (kept, claim) = self.claim(limit, owner)?;
        let standings = self.0.store.read(&[claim]).await.map_err(away)?;
        Ok(Account::of(kept.unit, first(standings)))
    }

    /// How all accounts of a user stand, by the names of the limits per user.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn user(&self, user: &str) -> Result<Vec<(Arc<str>, Account)>, BudgetError> {
        let mut all = self.users([user]).await?;
        Ok(all.pop().unwrap_or_default())
    }

    /// The same of several users, in their order; the store is asked once for all of them. A store elsewhere
    /// is better asked for a hundred at a time than for ten thousand.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    pub async fn users<'u>(
        &self,
        users: impl IntoIterator<Item = &'u str>,
    ) -> Result<Vec<Vec<(Arc<str>, Account)>>, BudgetError> {
        let limits = self.0.limits.iter();
        let limits: Vec<(&Kept, Window)> = limits
            .filter(|kept| matches!(kept.whose, crate::limit::Whose::User))
            .filter_map(|kept| Some((kept, kept.window.clone()?)))
            .collect();
        let users = users.into_iter();
        if limits.is_empty() {
            return Ok(users.map(|_| Vec::new()).collect());
        }
        let claims_of = |user: &'u str| {
            let limits = limits.iter();
            limits.map(move |(kept, window)| claim(kept, window.clone(), user))
        };
        let claims: Vec<Claim> = users.flat_map(claims_of).collect();
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let standings = self.0.store.read(&claims).await.map_err(away)?;
        let account = |((kept, _), standing): (&(&Kept, Window), &Standing)| {
            (Arc::clone(&kept.name), Account::of(kept.unit, *standing))
        };
        let of_users = standings.chunks(limits.len());
        Ok(of_users
            .map(|of_user| limits.iter().zip(of_user).map(account).collect())
            .collect())
    }

    /// The limits, as they are now.
    #[must_use]
    pub fn limits(&self) -> Vec<(Arc<str>, Amount)> {
        let limits = self.0.limits.iter();
        limits
            .map(|kept| (Arc::clone(&kept.name), kept.unit.amount(kept.amount())))
            .collect()
    }

    /// Changes a limit for all calls through this layer, in this process, until it ends; further
    /// processes and a restart know nothing of it. What was used stays used, and running calls keep
    /// what they have reserved.
    ///
    /// # Errors
    ///
    /// There is no such limit, or it is in the other unit.
    pub fn set_limit(&self, limit: &str, amount: Amount) -> Result<(), BudgetError> {
        let kept = self.0.limit(limit).ok_or(BudgetError(Kind::NoSuchLimit))?;
        same_unit(kept, amount)?;
        kept.set_amount(amount);
        Ok(())
    }

    /// Gives an owner a limit of their own; `None`: the limit for all again.
    ///
    /// # Errors
    ///
    /// There is no such limit, it is in the other unit, or the store did not answer.
    pub async fn set_limit_of(
        &self,
        limit: &str,
        owner: &str,
        amount: Option<Amount>,
    ) -> Result<Account, BudgetError> {
        let kept = self.0.limit(limit).ok_or(BudgetError(Kind::NoSuchLimit))?;
        amount.map_or(Ok(()), |amount| same_unit(kept, amount))?;
        self.edit(limit, owner, Edit::Limit(amount.map(Amount::kept)))
            .await
    }

    /// Gives an owner so much more until the window ends; of a rolling one, for its length.
    ///
    /// # Errors
    ///
    /// There is no such limit, it is in the other unit, or the store did not answer.
    pub async fn grant(
        &self,
        limit: &str,
        owner: &str,
        amount: Amount,
    ) -> Result<Account, BudgetError> {
        let kept = self.0.limit(limit).ok_or(BudgetError(Kind::NoSuchLimit))?;
        same_unit(kept, amount)?;
        self.edit(limit, owner, Edit::Grant(amount.kept())).await
    }

    /// Forgets what an owner used, and what was granted. Reservations of running calls stay.
    ///
    /// # Errors
    ///
    /// There is no such limit, or the store did not answer.
    pub async fn reset(&self, limit: &str, owner: &str) -> Result<Account, BudgetError> {
        self.edit(limit, owner, Edit::Reset).await
    }

    /// What the layer has done so far, in this process.
    #[must_use]
    pub fn stats(&self) -> BudgetStats {
        let counts = &self.0.counts;
        BudgetStats {
            reserved: counts.reserved.load(Relaxed),
            settled: counts.settled.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            would_refuse: counts.would_refuse.load(Relaxed),
            cut: counts.cut.load(Relaxed),
        }
    }

    /// The store, for what it alone can do.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.0.store
    }

    async fn edit(&self, limit: &str, owner: &str, edit: Edit) -> Result<Account, BudgetError> {
        let (kept, claim) = self.claim(limit, owner)?;
        let standings = self.0.store.edit(&claim, edit).await.map_err(away)?;
        Ok(Account::of(kept.unit, first(standings)))
    }

    fn claim(&self, limit: &str, owner: &str) -> Result<(&Kept, Claim), BudgetError> {
        let kept = self.0.limit(limit);
        let found = kept.and_then(|kept| Some((kept, kept.window.clone()?)));
        let (kept, window) = found.ok_or(BudgetError(Kind::NoSuchLimit))?;
        Ok((kept, claim(kept, window, owner)))
    }
}

fn claim(kept: &Kept, window: Window, owner: &str) -> Claim {
    let scope = Scope::new(Arc::clone(&kept.name), bounded(owner));
    Claim::new(scope, window, kept.amount(), 0).enforced(kept.enforced)
}

fn same_unit(kept: &Kept, amount: Amount) -> Result<(), BudgetError> {
    (kept.unit == amount.unit())
        .then_some(())
        .ok_or(BudgetError(Kind::OtherUnit))
}

fn first(standings: Vec<Standing>) -> Standing {
    standings.into_iter().next().unwrap_or_default()
}

fn away(error: StoreError) -> BudgetError {
    BudgetError(Kind::Store(error))
}

impl Account {
    fn of(unit: Unit, standing: Standing) -> Self {
        Self {
            used: unit.amount(standing.used),
            reserved: unit.amount(standing.reserved),
            limit: unit.amount(standing.limit),
            remaining: unit.amount(standing.remaining()),
        }
    }
}

impl<S: Store> Clone for BudgetHandle<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Store> fmt::Debug for BudgetHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetHandle")
            .field("limits", &self.limits())
            .field("stats", &self.stats())
            .finish()
    }
}
