use std::net::SocketAddr;

use access::Admission;

use crate::tls::ListenerTls;

/// Other machines could call a service, and it has no access file.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "refusing to listen on {address}, which other machines can reach, without an access file: \
     pass --access-file FILE ({prefix}_ACCESS_FILE), \
     or admit every caller with --allow-anyone ({prefix}_ALLOW_ANYONE=true)"
)]
pub struct Exposed {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The prefix of the service's environment variables, such as `SCHEMA`.
    pub prefix: String,
}

/// Checks the address that a service, such as `schema`, is about to listen on, and warns of what
/// other machines could do there.
///
/// # Errors
/// The address is not the loopback's, an access file is missing, and `allow_anyone` is off. Client
/// certificates alone do not suffice: each of their holders could call everything.
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
        (Some(_), None) => {
            tracing::warn!(%address, "callers send their tokens in plaintext; set up TLS");
        }
        (Some(_), Some(_)) => {}
        (None, _) if !allow_anyone => {
            return Err(Exposed { address, prefix: service.to_uppercase() });
        }
        (None, Some(tls)) if tls.requires_client_certificate() => tracing::warn!(
            %address, "no access file: every holder of a client certificate may call everything"
        ),
        (None, _) => {
            tracing::warn!(%address, "no access file: every caller may call everything");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_loopback_an_access_file_or_allow_anyone_is_required() {
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
