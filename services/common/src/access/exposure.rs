//! Nobody opens a service to others by mistake.

use std::net::SocketAddr;

/// Others than this machine could call, and nothing says who may.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{address} is not the loopback, and whoever reaches it could call: \
     say who may, --access-file FILE ({prefix}_ACCESS_FILE), \
     or let anyone, --allow-anyone ({prefix}_ALLOW_ANYONE=true)"
)]
pub struct Exposed {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// How the variables begin, such as `SCHEMA`.
    pub prefix: &'static str,
}

/// Checks where a service is about to listen, and says in the log what others can do there.
///
/// # Errors
/// It is beyond the loopback, with no file of callers, and nobody said that this is meant.
pub fn exposure(
    address: SocketAddr,
    prefix: &'static str,
    has_callers: bool,
    allow_anyone: bool,
) -> Result<(), Exposed> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    match (has_callers, allow_anyone) {
        (true, _) => tracing::warn!(
            "tokens come to {address} in clear: whoever sees the traffic can use them"
        ),
        (false, true) => tracing::warn!("anyone who reaches {address} may call everything"),
        (false, false) => return Err(Exposed { address, prefix }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_loopback_somebody_must_have_said_so() {
        let check = |address: &str, has_callers, allow_anyone| {
            exposure(address.parse().unwrap(), "SCHEMA", has_callers, allow_anyone)
        };
        for loopback in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(loopback, false, false), Ok(()));
        }
        for beyond in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:0.0.0.0]:1"] {
            let refused = check(beyond, false, false).unwrap_err().to_string();
            assert!(refused.contains("SCHEMA_ACCESS_FILE") && refused.contains("--allow-anyone"));
            assert_eq!(check(beyond, true, false), Ok(()));
            assert_eq!(check(beyond, false, true), Ok(()));
        }
    }
}
