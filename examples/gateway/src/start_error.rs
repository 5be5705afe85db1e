use std::{fmt, io, net::SocketAddr};

use cache_layer::InvalidRedis;
use cost_layer::LedgerError;
use llm_exchange::BoxError;

/// Why a gateway does not start.
#[non_exhaustive]
#[derive(Debug)]
pub enum StartError {
    /// Other machines could reach it and spend on a key of its own.
    OpenKeys(SocketAddr),
    /// The address can't be listened on.
    Listen(SocketAddr, io::Error),
    /// The ledger can't be opened.
    Ledger(LedgerError),
    /// The store of the cache can't be set up.
    Cache(InvalidRedis),
    /// The store of the budgets can't be set up.
    Budget(BoxError),
    /// The TLS library can't be set up.
    Tls(rustls::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenKeys(addr) => write!(
                f,
                "other machines may reach {addr}, the gateway does not know its callers, and with \
                 api_key_env whoever reaches it spends on your key: give callers keys of the \
                 gateway's (keys_env in [auth]), listen on 127.0.0.1 behind a proxy that \
                 authenticates, or remove api_key_env so that callers bring their own keys"
            ),
            Self::Listen(addr, error) => write!(
                f,
                "can't listen on {addr}: {error} (--listen ADDRESS:PORT chooses another)"
            ),
            Self::Ledger(error) => write!(f, "can't open the ledger of [cost]: {error}"),
            Self::Cache(error) => write!(f, "can't set up the store of [cache]: {error}"),
            Self::Budget(error) => write!(f, "can't set up the store of [budget]: {error}"),
            Self::Tls(error) => write!(f, "can't set up TLS: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::OpenKeys(_) => None,
            Self::Listen(_, error) => Some(error),
            Self::Ledger(error) => Some(error),
            Self::Cache(error) => Some(error),
            Self::Budget(error) => Some(&**error),
            Self::Tls(error) => Some(error),
        }
    }
}
