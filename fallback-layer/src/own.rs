//! Targets that bring a service of their own, and those that don't.

use http::Request;
use llm_exchange::Payload;
use tower_service::Service;

/// No target has a service of its own: all are served by the inner one.
#[derive(Clone, Copy, Debug)]
pub enum Inner {}

/// Some target has a service of its own, of this type; see [`Target::via`](crate::Target::via).
#[derive(Clone, Debug)]
pub struct Via<T>(pub(crate) T);

#[allow(unnameable_types, reason = "nobody else is to implement it")]
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Inner {}
    impl<T> Sealed for super::Via<T> {}
}

/// [`Inner`] or [`Via`]: how the targets of a chain are served beside the inner service `S`.
pub trait Own<S: Service<Request<Payload>>>: sealed::Sealed {
    /// The service that a target brings.
    type Service: Service<Request<Payload>, Response = S::Response, Error = S::Error> + Clone;

    /// A clone of it.
    #[doc(hidden)]
    fn service(&self) -> Self::Service;
}

impl<S: Service<Request<Payload>> + Clone> Own<S> for Inner {
    type Service = S;

    fn service(&self) -> S {
        match *self {}
    }
}

impl<S, T> Own<S> for Via<T>
where
    S: Service<Request<Payload>>,
    T: Service<Request<Payload>, Response = S::Response, Error = S::Error> + Clone,
{
    type Service = T;

    fn service(&self) -> T {
        self.0.clone()
    }
}

/// Brings targets with and without a service of their own into one chain.
///
/// All services that targets of one layer bring have one type: box them where they differ, with
/// tower's `BoxCloneSyncService`.
#[diagnostic::on_unimplemented(
    message = "the targets of one layer bring services of different types",
    note = "box them with `tower::util::BoxCloneSyncService`, so that they have one type"
)]
pub trait Join<U>: sealed::Sealed + Sized {
    /// [`Inner`] if both are, else the other.
    type Out;

    #[doc(hidden)]
    fn this(self) -> Self::Out;
    #[doc(hidden)]
    fn that(other: U) -> Self::Out;
}

impl<U> Join<U> for Inner {
    type Out = U;

    fn this(self) -> U {
        match self {}
    }

    fn that(other: U) -> U {
        other
    }
}

impl<T> Join<Inner> for Via<T> {
    type Out = Self;

    fn this(self) -> Self {
        self
    }

    fn that(other: Inner) -> Self {
        match other {}
    }
}

impl<T> Join<Self> for Via<T> {
    type Out = Self;

    fn this(self) -> Self {
        self
    }

    fn that(other: Self) -> Self {
        other
    }
}
