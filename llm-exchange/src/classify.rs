//! What an answer or an error means.

use std::{any::Any, error::Error, io};

use crate::{BoxError, Cut, CutShort, Peeked, Verdict};

/// Decides what an outcome means for resilience. Each layer asks its own, so that an app's
/// classifier is never bypassed by a layer further in.
///
/// ```
/// use llm_exchange::{Classify, Peeked, Standard, Verdict};
///
/// /// Our local server answers 418 while it loads a model.
/// #[derive(Clone)]
/// struct Loading;
///
/// impl<E: 'static> Classify<E> for Loading {
///     fn error(&self, error: &E) -> Verdict {
///         Standard.error(error)
///     }
///     fn answer(&self, peeked: &Peeked) -> Verdict {
///         if peeked.status() == 418 { Verdict::Overloaded } else { peeked.verdict() }
///     }
/// }
/// ```
pub trait Classify<E> {
    /// The inner service failed: there is no answer.
    fn error(&self, error: &E) -> Verdict;

    /// There is an answer; these are its facts so far.
    fn answer(&self, peeked: &Peeked) -> Verdict {
        peeked.verdict()
    }
}

/// The classification of any error type.
///
/// An error in whose chain of causes a timeout is found is [`Verdict::TimedOut`], every other is
/// [`Verdict::Failed`]. Found are `std::io::Error`, tokio's `Elapsed`, [`CutShort`], and behind the features
/// `hyper-util`, `reqwest` and `tonic` those crates' own. The chain can be walked where the error
/// type is `BoxError`, `io::Error` or one of those crates'; of any other type nothing is known but
/// that the call failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

impl<E: 'static> Classify<E> for Standard {
    fn error(&self, error: &E) -> Verdict {
        as_error(error).map_or(Verdict::Failed, judge)
    }
}

fn as_error<E: 'static>(error: &E) -> Option<&(dyn Error + 'static)> {
    let any: &dyn Any = error;
    if let Some(error) = any.downcast_ref::<BoxError>() {
        return Some(&**error);
    }
    if let Some(error) = any.downcast_ref::<io::Error>() {
        return Some(error);
    }
    #[cfg(feature = "hyper-util")]
    if let Some(error) = any.downcast_ref::<hyper_util::client::legacy::Error>() {
        return Some(error);
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = any.downcast_ref::<reqwest::Error>() {
        return Some(error);
    }
    #[cfg(feature = "tonic")]
    if let Some(error) = any.downcast_ref::<tonic::transport::Error>() {
        return Some(error);
    }
    #[cfg(feature = "tonic")]
    if let Some(error) = any.downcast_ref::<tonic::Status>() {
        return Some(error);
    }
    None
}

fn judge(error: &(dyn Error + 'static)) -> Verdict {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(verdict) = judge_one(error) {
            return verdict;
        }
        cause = error.source();
    }
    Verdict::Failed
}

fn judge_one(error: &(dyn Error + 'static)) -> Option<Verdict> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // an io::Error's source() leaves out the error that it wraps
        let wrapped = error.get_ref().map(|wrapped| judge(wrapped));
        return match wrapped {
            Some(verdict) if verdict != Verdict::Failed => Some(verdict),
            _ => (error.kind() == io::ErrorKind::TimedOut).then_some(Verdict::TimedOut),
        };
    }
    if let Some(short) = error.downcast_ref::<CutShort>() {
        return (short.cut() == Cut::Clock).then_some(Verdict::TimedOut);
    }
    if error.is::<tokio::time::error::Elapsed>() {
        return Some(Verdict::TimedOut);
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        if error.is_timeout() {
            return Some(Verdict::TimedOut);
        }
        if error.is_builder() {
            return Some(Verdict::CallersFault);
        }
    }
    #[cfg(feature = "tonic")]
    if let Some(status) = error.downcast_ref::<tonic::Status>() {
        return Some(judge_grpc(status.code()));
    }
    None
}

/// gRPC's own convention (proposal A6 and `google.rpc.Code`).
#[cfg(feature = "tonic")]
fn judge_grpc(code: tonic::Code) -> Verdict {
    use tonic::Code;
    match code {
        Code::Ok => Verdict::Ok,
        Code::Cancelled => Verdict::CallerGone,
        Code::DeadlineExceeded => Verdict::TimedOut,
        Code::ResourceExhausted => Verdict::Throttled,
        Code::Unavailable => Verdict::Overloaded,
        Code::Unknown | Code::Internal | Code::Aborted | Code::DataLoss => Verdict::Failed,
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => Verdict::CallersFault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_found_however_deep_it_lies() {
        let deep = io::Error::other(io::Error::other(io::Error::from(io::ErrorKind::TimedOut)));
        assert_eq!(Standard.error(&deep), Verdict::TimedOut);
        let boxed: BoxError = Box::new(io::Error::other(io::Error::from(io::ErrorKind::TimedOut)));
        assert_eq!(Standard.error(&boxed), Verdict::TimedOut);
    }

    #[test]
    fn what_is_not_known_has_failed() {
        struct Unknown;
        assert_eq!(Standard.error(&Unknown), Verdict::Failed);
        assert_eq!(Standard.error(&BoxError::from("text")), Verdict::Failed);
        assert_eq!(
            Standard.error(&io::Error::from(io::ErrorKind::ConnectionRefused)),
            Verdict::Failed
        );
    }

    #[test]
    fn a_classifier_can_be_kept_as_a_trait_object() {
        let classify: Box<dyn Classify<BoxError>> = Box::new(Standard);
        assert_eq!(classify.error(&BoxError::from("text")), Verdict::Failed);
    }
}
