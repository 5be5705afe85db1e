//! Where budgets are kept.

mod away;
mod claim;
pub(crate) mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;

use std::future::Future;

pub use self::away::{Extend, Guarded, GuardedReservation, Read, Reserve, WhenAway};
pub use self::claim::{Claim, Edit, Grant, Refused, Reserved, Scope, Share, Standing, StoreError};
pub use self::memory::{MemoryReservation, MemoryStore, SnapshotError};
#[cfg(feature = "redis")]
pub use self::redis::{InvalidAddress, RedisReservation, RedisStore};
pub use crate::window::Period;

/// Keeps accounts: what each scope used and what is reserved.
///
/// The contract, for any number of callers at once:
///
/// - [`reserve`](Store::reserve) and [`extend`](Store::extend) reserve in every scope or in none. The
///   sum of what is used and reserved in an enforced scope never passes its limit by them.
/// - A reservation is settled once, as it is given away. What was used then counts in the window of that
///   moment. Settling is synchronous and cannot fail: what can't be booked at once is booked later.
/// - A reservation that nobody settles, as its process died, counts as used after a while.
/// - A future of a store may be dropped: then nothing stays reserved by it.
pub trait Store: Clone + Send + Sync + 'static {
    /// What was reserved for one call.
    type Reservation: Send + Sync + 'static;
    /// The answer to [`reserve`](Store::reserve).
    type Reserve: Future<Output = Result<Reserved<Self::Reservation>, StoreError>>
        + Send
        + Unpin
        + 'static;
    /// The answer to [`extend`](Store::extend).
    type Extend: Future<Output = Result<Reserved<()>, StoreError>> + Send + Unpin + 'static;
    /// The answer to [`read`](Store::read) and [`edit`](Store::edit).
    type Read: Future<Output = Result<Vec<Standing>, StoreError>> + Send + Unpin + 'static;

    /// Reserves for one call.
    fn reserve(&self, claims: &[Claim]) -> Self::Reserve;

    /// Reserves more for the same call, of the same scopes in the same order. What fits of it is added
    /// to the reservation.
    fn extend(&self, reservation: &mut Self::Reservation, claims: &[Claim]) -> Self::Extend;

    /// The call has ended, and used this of each scope, in their order; nothing for those that are
    /// missing.
    fn settle(&self, reservation: Self::Reservation, used: &[u64]);

    /// The call was not made.
    fn release(&self, reservation: Self::Reservation) {
        self.settle(reservation, &[]);
    }

    /// A call without a reservation has used the least of each claim.
    fn charge(&self, claims: &[Claim]);

    /// How the scopes stand. Nothing is asked for: the amounts of the claims do not matter.
    fn read(&self, claims: &[Claim]) -> Self::Read;

    /// Changes an account, and says how it stands then.
    fn edit(&self, claim: &Claim, edit: Edit) -> Self::Read;
}
