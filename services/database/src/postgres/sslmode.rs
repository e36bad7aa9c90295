//! libpq's parameters of TLS, taken out of a URL before tokio_postgres reads it, which knows few of
//! them: <https://www.postgresql.org/docs/current/libpq-ssl.html>.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::SslMode;

use ::tls::ClientFiles;

use super::tls::{PostgresConnector, ServerProof};
use crate::InvalidUrl;

/// The value of `sslrootcert` that means the authorities of this system.
const SYSTEM: &str = "system";

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
    /// The URL without them, and what they mean. The files are read once, so that one that is of
    /// no use is told before anything else is done.
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
        let system = self.root.as_deref() == Some(SYSTEM);
        // The authorities of a system vouch for everybody: only a name tells servers apart.
        let unsaid = if system { "verify-full" } else { "prefer" };
        let (mode, proof) = match (self.mode.as_deref().unwrap_or(unsaid), &self.root) {
            ("verify-full", Some(_)) => (SslMode::Require, ServerProof::AuthorityAndName),
            (_, Some(_)) if system => {
                return refused("sslrootcert=system goes with sslmode=verify-full alone");
            }
            ("verify-ca" | "require", Some(_)) => (SslMode::Require, ServerProof::Authority),
            ("require", None) => (SslMode::Require, ServerProof::None),
            ("verify-ca" | "verify-full", None) => {
                return refused(
                    "sslmode=verify-ca and verify-full need sslrootcert: a file of authorities in \
                     PEM, or system",
                );
            }
            ("disable" | "prefer", Some(_)) => {
                return refused(
                    "sslrootcert needs sslmode=verify-full, or verify-ca: nobody would look at it",
                );
            }
            ("prefer", None) => (SslMode::Prefer, ServerProof::None),
            ("disable", None) => (SslMode::Disable, ServerProof::None),
            _ => {
                return refused(
                    "sslmode is one of disable, prefer, require, verify-ca and verify-full",
                );
            }
        };
        if self.cert.is_some() != self.key.is_some() {
            return refused("sslcert and sslkey go together: a certificate, and its private key");
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

    fn took(url: &str) -> (String, SslMode, ServerProof) {
        let (url, ssl) = TlsParameters::take(url).unwrap();
        (url, ssl.mode, ssl.connector.proof())
    }

    #[test]
    fn what_is_not_of_tls_is_left_where_it_was() {
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
            assert_eq!(took(url), (left.into(), mode, ServerProof::None));
        }
    }

    #[test]
    fn the_systems_authorities_vouch_for_names() {
        for url in [
            "postgres://db?sslrootcert=system",
            "postgres://db?sslrootcert=system&sslmode=verify-full",
        ] {
            assert_eq!(
                took(url),
                ("postgres://db?".into(), SslMode::Require, ServerProof::AuthorityAndName)
            );
        }
    }

    #[test]
    fn what_would_prove_nothing_is_refused() {
        for (query, why) in [
            ("sslmode=allow", "sslmode is one of"),
            ("sslmode=verify-full", "need sslrootcert"),
            ("sslmode=verify-ca", "need sslrootcert"),
            ("sslmode=require&sslrootcert=system", "verify-full alone"),
            ("sslmode=verify-ca&sslrootcert=system", "verify-full alone"),
            ("sslrootcert=nowhere.pem", "sslrootcert needs sslmode"),
            ("sslmode=verify-full&sslrootcert=nowhere.pem", "nowhere.pem: No such file"),
            ("sslmode=require&sslcert=nowhere.pem", "sslcert and sslkey go together"),
            ("sslcert=nowhere.pem&sslkey=nowhere.key", "nowhere.pem: No such file"),
            ("sslmode=verify-full&sslrootcert=%ff", "sslrootcert is not UTF-8"),
        ] {
            let said =
                TlsParameters::take(&format!("postgres://me:secret@db/chat?{query}")).unwrap_err();
            let said = said.to_string();
            assert!(said.contains(why) && !said.contains("secret"), "{query}: {said}");
        }
    }
}
