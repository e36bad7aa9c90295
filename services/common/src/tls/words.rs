//! What went wrong between two who speak TLS, in words for people.

use std::io;

use chrono::DateTime;
use rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

/// The error with words that say what to mend, where it is one of TLS's.
pub(crate) fn told(error: io::Error) -> io::Error {
    let words = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).map(words);
    match words {
        Some(words) => io::Error::new(error.kind(), words),
        None if error.kind() == io::ErrorKind::UnexpectedEof => io::Error::new(
            error.kind(),
            "the server hung up during the TLS handshake: does it speak TLS? (http://)",
        ),
        None => error,
    }
}

/// Of a handshake as its client sees it.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(wrong) => format!("the server's certificate {}", fault(wrong)),
        Error::InvalidMessage(_) => {
            "the server does not speak TLS: http:// is how to call it, if that is meant".into()
        }
        Error::NoApplicationProtocol
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server does not speak HTTP/2 there".into()
        }
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "the server wants a client certificate, and none was given".into()
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateUnknown => {
                "the server does not trust the client certificate".into()
            }
            AlertDescription::CertificateExpired => "the client certificate expired".into(),
            AlertDescription::ProtocolVersion => {
                "the server speaks no version of TLS that is spoken here: 1.2 or 1.3".into()
            }
            other => format!("the server ended the TLS handshake: {other:?}"),
        },
        other => format!("no TLS with the server: {other}"),
    }
}

fn fault(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::UnknownIssuer => {
            "is not trusted: no authority that is trusted here vouches for it".into()
        }
        CertificateError::BadSignature => "is not trusted: its signature is wrong".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().map(|name| plain(name)).collect();
            format!("is for {}, not for {}", or_nobody(&presented.join(", ")), expected.to_str())
        }
        CertificateError::NotValidForName => "is for another name".into(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired at {}", clock(*not_after))
        }
        CertificateError::Expired => "expired".into(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", clock(*not_before))
        }
        CertificateError::NotValidYet => "is not valid yet".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not one for servers".into()
        }
        other => format!("cannot be verified: {other}"),
    }
}

/// `schema` out of `DnsName("schema")`, as webpki spells the names that a certificate has.
fn plain(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

fn or_nobody(names: &str) -> &str {
    if names.is_empty() { "nobody" } else { names }
}

fn clock(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let at = DateTime::from_timestamp(seconds, 0);
    at.map(|at| at.format("%F %TZ").to_string()).unwrap_or_default()
}
