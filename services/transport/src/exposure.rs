//! Nobody opens a service to others by mistake.

use std::net::SocketAddr;

use access::Admission;

use crate::tls::ListenerTls;

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
    pub prefix: String,
}

/// Checks where a service, such as `schema`, is about to listen, and says in the log what others
/// can do there.
///
/// # Errors
/// It is beyond the loopback, with no file of callers, and nobody said that this is meant. That
/// callers must have a certificate is not enough: each of them could do everything.
pub fn check_exposure(
    service: &str,
    address: SocketAddr,
    tls: Option<&ListenerTls>,
    admission: &Admission,
) -> Result<(), Exposed> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let Admission { access, allow_anyone } = admission;
    match (access, tls) {
        (Some(_), None) => tracing::warn!(
            "tokens come to {address} in clear: whoever sees the traffic can use them"
        ),
        (Some(_), Some(_)) => {}
        (None, _) if !allow_anyone => {
            return Err(Exposed { address, prefix: service.to_uppercase() });
        }
        (None, Some(tls)) if tls.requires_client_certificate() => tracing::warn!(
            "anyone with a certificate of --tls-client-ca who reaches {address} may call everything"
        ),
        (None, _) => tracing::warn!("anyone who reaches {address} may call everything"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_loopback_somebody_must_have_said_so() {
        let check = |address: &str, allow_anyone| {
            let admission = Admission { access: None, allow_anyone };
            check_exposure("schema", address.parse().unwrap(), None, &admission)
        };
        for loopback in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(loopback, false), Ok(()));
        }
        for beyond in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:0.0.0.0]:1"] {
            let refused = check(beyond, false).unwrap_err().to_string();
            assert!(refused.contains("SCHEMA_ACCESS_FILE") && refused.contains("--allow-anyone"));
            assert_eq!(check(beyond, true), Ok(()));
        }
    }
}
