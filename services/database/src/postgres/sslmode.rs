//! libpq's TLS parameters (<https://www.postgresql.org/docs/current/libpq-ssl.html>), taken out of a
//! URL before tokio_postgres parses it, which supports few of them.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::SslMode;

use ::tls::ClientFiles;

use super::tls::{PostgresConnector, ServerProof};
use crate::InvalidUrl;

/// The value of `sslrootcert` for the system's authorities.
const SYSTEM_AUTHORITIES: &str = "system";

/// The TLS parameters of a URL.
#[derive(Debug)]
pub(super) struct TlsParameters {
    pub(super) mode: SslMode,
    pub(super) connector: PostgresConnector,
}

/// The parameters as they are written.
#[derive(Debug, Default)]
struct Parameters {
    mode: Option<String>,
    root: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl TlsParameters {
    /// Splits the parameters off a URL. The files are read once, so that an unusable one is reported
    /// at the start.
    pub(super) fn take(url: &str) -> Result<(String, Self), InvalidUrl> {
        // A password may hold a question mark.
        let host = url.find('@').map_or(0, |at| at + 1);
        let Some(query) = url[host..].find('?').map(|at| host + at + 1) else {
            return Ok((url.into(), Parameters::default().read()?));
        };
        let mut parameters = Parameters::default();
        let mut kept = Vec::new();
        for pair in url[query..].split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match key {
                "sslmode" => &mut parameters.mode,
                "sslrootcert" => &mut parameters.root,
                "sslcert" => &mut parameters.cert,
                "sslkey" => &mut parameters.key,
                _ => {
                    kept.push(pair);
                    continue;
                }
            };
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| InvalidUrl(format!("{key} is not UTF-8")))?;
            *place = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        Ok((format!("{}{}", &url[..query], kept.join("&")), parameters.read()?))
    }
}

impl Parameters {
    fn read(self) -> Result<TlsParameters, InvalidUrl> {
        let refused = |why: &str| Err(InvalidUrl(why.into()));
        let system = self.root.as_deref() == Some(SYSTEM_AUTHORITIES);
        // The system's authorities sign certificates for anyone: only the name tells servers apart.
        let default_mode = if system { "verify-full" } else { "prefer" };
        let (mode, proof) = match (self.mode.as_deref().unwrap_or(default_mode), &self.root) {
            ("verify-full", Some(_)) => (SslMode::Require, ServerProof::AuthorityAndName),
            (_, Some(_)) if system => {
                return refused("sslrootcert=system requires sslmode=verify-full");
            }
            ("verify-ca" | "require", Some(_)) => (SslMode::Require, ServerProof::Authority),
            ("require", None) => (SslMode::Require, ServerProof::None),
            ("verify-ca" | "verify-full", None) => {
                return refused(
                    "sslmode=verify-ca and verify-full require sslrootcert: a file of authorities in \
                     PEM, or system",
                );
            }
            ("disable" | "prefer", Some(_)) => {
                return refused(
                    "sslrootcert requires sslmode=verify-full or verify-ca: other modes would ignore it",
                );
            }
            ("prefer", None) => (SslMode::Prefer, ServerProof::None),
            ("disable", None) => (SslMode::Disable, ServerProof::None),
            _ => {
                return refused(
                    "sslmode must be disable, prefer, require, verify-ca or verify-full",
                );
            }
        };
        if self.cert.is_some() != self.key.is_some() {
            return refused(
                "sslcert and sslkey must be given together: a certificate and its private key",
            );
        }
        let [ca, cert, key] = [self.root.filter(|_| !system), self.cert, self.key]
            .map(|path| path.map(PathBuf::from));
        let files = ClientFiles { ca, cert, key };
        files.check().map_err(|error| InvalidUrl(error.to_string()))?;
        Ok(TlsParameters { mode, connector: PostgresConnector::new(files, proof) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(url: &str) -> (String, SslMode, ServerProof) {
        let (url, ssl) = TlsParameters::take(url).unwrap();
        (url, ssl.mode, ssl.connector.proof())
    }

    #[test]
    fn other_parameters_stay_in_the_url() {
        for (url, left, mode) in [
            ("postgres://db/chat", "postgres://db/chat", SslMode::Prefer),
            ("postgres://me:a?b@db/chat", "postgres://me:a?b@db/chat", SslMode::Prefer),
            ("postgres://db?sslmode=disable", "postgres://db?", SslMode::Disable),
            (
                "postgres://me:a?b@db/chat?options=-c%20a&sslmode=require&connect_timeout=3",
                "postgres://me:a?b@db/chat?options=-c%20a&connect_timeout=3",
                SslMode::Require,
            ),
        ] {
            assert_eq!(split(url), (left.into(), mode, ServerProof::None));
        }
    }

    #[test]
    fn the_systems_authorities_imply_verify_full() {
        for url in [
            "postgres://db?sslrootcert=system",
            "postgres://db?sslrootcert=system&sslmode=verify-full",
        ] {
            assert_eq!(
                split(url),
                ("postgres://db?".into(), SslMode::Require, ServerProof::AuthorityAndName)
            );
        }
    }

    #[test]
    fn parameters_that_would_verify_nothing_are_refused() {
        for (query, why) in [
            ("sslmode=allow", "sslmode must be"),
            ("sslmode=verify-full", "require sslrootcert"),
            ("sslmode=verify-ca", "require sslrootcert"),
            ("sslmode=require&sslrootcert=system", "requires sslmode=verify-full"),
            ("sslmode=verify-ca&sslrootcert=system", "requires sslmode=verify-full"),
            ("sslrootcert=nowhere.pem", "sslrootcert requires sslmode"),
            ("sslmode=verify-full&sslrootcert=nowhere.pem", "nowhere.pem: No such file"),
            ("sslmode=require&sslcert=nowhere.pem", "must be given together"),
            ("sslcert=nowhere.pem&sslkey=nowhere.key", "nowhere.pem: No such file"),
            ("sslmode=verify-full&sslrootcert=%ff", "sslrootcert is not UTF-8"),
        ] {
            let url = format!("postgres://me:secret@db/chat?{query}");
            let message = TlsParameters::take(&url).unwrap_err().to_string();
            assert!(message.contains(why) && !message.contains("secret"), "{query}: {message}");
        }
    }
}
