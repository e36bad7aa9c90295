//! What a certificate says of itself.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use rustls::pki_types::CertificateDer;
use x509_cert::{
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// The organisation of the certificates that `schema certs` makes. It is in every one of them, so
/// that nobody takes them for production's.
pub const DEVELOPMENT: &str = "Schemagate DEVELOPMENT ONLY, not for production";

/// A certificate, read.
#[derive(Clone, Debug)]
pub(crate) struct Certificate(Box<x509_cert::Certificate>);

impl Certificate {
    /// None for what is no X.509 certificate.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        x509_cert::Certificate::from_der(der).ok().map(|read| Self(Box::new(read)))
    }

    /// The first DNS name or URI, else the subject's common name.
    pub(crate) fn name(&self) -> Option<String> {
        let certificate = self.0.tbs_certificate();
        let named = match certificate.get_extension::<SubjectAltName>() {
            Ok(Some((_critical, names))) => names.0.iter().find_map(|name| match name {
                GeneralName::DnsName(name) | GeneralName::UniformResourceIdentifier(name) => {
                    Some(name.to_string())
                }
                _ => None,
            }),
            Ok(None) => None,
            // Names that cannot be read are not replaced by a weaker one.
            Err(_) => return None,
        };
        named
            .or_else(|| Some(certificate.subject().common_name().ok()??.value().into_owned()))
            .filter(|name| !name.is_empty())
    }

    /// When it ends.
    pub(crate) fn expires(&self) -> DateTime<Utc> {
        let end: SystemTime = self.0.tbs_certificate().validity().not_after.to_system_time();
        end.into()
    }

    /// How long it is good yet: nothing, if it is no more.
    pub(crate) fn remains(&self) -> Duration {
        (self.expires() - Utc::now()).to_std().unwrap_or_default()
    }

    /// Whether `schema certs` made it.
    pub(crate) fn is_for_development(&self) -> bool {
        let issuer = self.0.tbs_certificate().issuer().organization();
        issuer.is_ok_and(|name| name.is_some_and(|name| name.value() == DEVELOPMENT))
    }
}
