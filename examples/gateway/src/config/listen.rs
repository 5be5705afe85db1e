//! `listen`: where callers find the gateway.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Where the gateway listens unless it is told otherwise.
pub(super) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

pub(super) fn address<'de, D: Deserializer<'de>>(value: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(value)?;
    let address = text.parse().map_err(|_| {
        D::Error::custom("it takes an IP address and a port, such as \"127.0.0.1:8080\"")
    })?;
    Ok(Some(address))
}
