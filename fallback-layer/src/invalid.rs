//! Why chains are refused.

use std::fmt;

use llm_exchange::{InvalidCredential, InvalidHost};

/// Why a layer cannot be made of these chains. It shows no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidChain {
    /// Which chain, in words.
    chain: Box<str>,
    /// Which target, if it is about one.
    target: Option<Box<str>>,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Empty,
    /// Another chain is for the same calls.
    Duplicate,
    /// The same target twice in a row.
    TargetTwice,
    /// A target comes again after others.
    Cycle,
    TooLong,
    NoModel,
    NoCredential,
    Host(InvalidHost),
    Credential(InvalidCredential),
    Parameter(Box<str>),
    MaxLatency,
    #[cfg(feature = "translate")]
    Dialect,
}

impl InvalidChain {
    pub(crate) fn new(chain: &str, target: Option<&str>, fault: Fault) -> Self {
        Self {
            chain: chain.into(),
            target: target.map(Into::into),
            fault,
        }
    }

    /// A chain has no target.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fault == Fault::Empty
    }

    /// A chain has a target twice, so that it would go in a circle, or two chains are for the same
    /// calls.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        matches!(
            self.fault,
            Fault::Duplicate | Fault::TargetTwice | Fault::Cycle
        )
    }

    /// A target at another host has no credential of its own, and does not say that it needs none.
    #[must_use]
    pub fn lacks_credential(&self) -> bool {
        self.fault == Fault::NoCredential
    }
}

impl fmt::Display for InvalidChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain)?;
        if let Some(target) = &self.target {
            write!(f, ", target {target}")?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it has no target",
            Self::Duplicate => "there is another one for the same calls",
            Self::TargetTwice => "it is there twice in a row",
            Self::Cycle => "the chain comes back to it, and would go in a circle",
            Self::TooLong => "it has more than 32 targets",
            Self::NoModel => "it does not say which model it is for",
            Self::NoCredential => {
                "it is at another host, so it needs a credential of its own, or to say that it has none"
            }
            Self::Host(why) => return write!(f, "its address: {why}"),
            Self::Credential(why) => return why.fmt(f),
            Self::Parameter(name) => {
                return write!(f, "the parameter {name} can't be set so");
            }
            Self::MaxLatency => "its longest latency is zero",
            #[cfg(feature = "translate")]
            Self::Dialect => "calls cannot be translated into its dialect",
        })
    }
}

impl std::error::Error for InvalidChain {}
