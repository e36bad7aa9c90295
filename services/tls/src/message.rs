use std::io;

use chrono::DateTime;
use rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};
use wire::format_time;

/// Replaces the text of a failed handshake, as its client sees it, by one that says what to fix.
/// Other errors stay as they are.
pub fn with_handshake_message(error: io::Error) -> io::Error {
    let message =
        error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).map(handshake_message);
    match message {
        Some(message) => io::Error::new(error.kind(), message),
        None if error.kind() == io::ErrorKind::UnexpectedEof => io::Error::new(
            error.kind(),
            "the server closed the connection during the TLS handshake; \
             if it does not speak TLS, use http://",
        ),
        None => error,
    }
}

/// What failed in a handshake, as its client sees it, and what to do.
pub fn handshake_message(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(wrong) => {
            format!("the server's certificate {}", certificate_message(wrong))
        }
        Error::InvalidMessage(_) => {
            "the server does not speak TLS; to connect in plaintext, use http://".into()
        }
        Error::NoApplicationProtocol
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server does not speak HTTP/2 on this port".into()
        }
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "the server requires a client certificate, and none was given".into()
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
                "the server supports neither TLS 1.2 nor TLS 1.3".into()
            }
            other => format!("the server ended the TLS handshake: {other:?}"),
        },
        other => format!("the TLS handshake failed: {other}"),
    }
}

fn certificate_message(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::UnknownIssuer => {
            "is not trusted: it is signed by no authority that this client trusts".into()
        }
        CertificateError::BadSignature => "is not trusted: its signature is wrong".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
            let names = match presented.as_slice() {
                [] => "no name".into(),
                names => names.join(", "),
            };
            format!("is for {names}, not for {}", expected.to_str())
        }
        CertificateError::NotValidForName => "is for another name".into(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("expired at {}", time_text(*not_after))
        }
        CertificateError::Expired => "expired".into(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid before {}", time_text(*not_before))
        }
        CertificateError::NotValidYet => "is not valid yet".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not a server certificate".into()
        }
        other => format!("cannot be verified: {other}"),
    }
}

/// `schema` out of `DnsName("schema")`, which is how webpki prints the names of a certificate.
fn plain_name(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

fn time_text(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).map(format_time).unwrap_or_default()
}
