use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use rustls::pki_types::CertificateDer;
use x509_cert::{
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// The organisation in every certificate that `schema certs` makes, so that none is mistaken for a
/// production certificate.
pub const DEVELOPMENT: &str = "Schemagate DEVELOPMENT ONLY, not for production";

/// A parsed X.509 certificate.
#[derive(Clone, Debug)]
pub struct Certificate(Box<x509_cert::Certificate>);

impl Certificate {
    /// Parses a certificate; `None` where the bytes are not X.509.
    pub fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        x509_cert::Certificate::from_der(der).ok().map(|read| Self(Box::new(read)))
    }

    /// The first DNS name or URI, else the subject's common name.
    pub fn name(&self) -> Option<String> {
        let certificate = self.0.tbs_certificate();
        let named = match certificate.get_extension::<SubjectAltName>() {
            Ok(Some((_critical, names))) => names.0.iter().find_map(|name| match name {
                GeneralName::DnsName(name) | GeneralName::UniformResourceIdentifier(name) => {
                    Some(name.to_string())
                }
                _ => None,
            }),
            Ok(None) => None,
            // An unreadable extension must not fall back to the weaker common name.
            Err(_) => return None,
        };
        named
            .or_else(|| Some(certificate.subject().common_name().ok()??.value().into_owned()))
            .filter(|name| !name.is_empty())
    }

    /// The end of its validity.
    pub fn expires_at(&self) -> DateTime<Utc> {
        let end: SystemTime = self.0.tbs_certificate().validity().not_after.to_system_time();
        end.into()
    }

    /// The time until it expires; zero once it has.
    pub fn time_left(&self) -> Duration {
        (self.expires_at() - Utc::now()).to_std().unwrap_or_default()
    }

    /// Whether `schema certs` made it.
    pub fn is_for_development(&self) -> bool {
        let issuer = self.0.tbs_certificate().issuer().organization();
        issuer.is_ok_and(|name| name.is_some_and(|name| name.value() == DEVELOPMENT))
    }
}
