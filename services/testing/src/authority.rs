//! A certificate authority for one test, and the certificates that it issues, as files.

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use tls::ClientFiles;
use transport::ListenerFiles;
use uuid::Uuid;

/// A certificate authority; its files are removed when it is dropped.
pub struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Path of the certificate, in PEM.
    pub cert: PathBuf,
    /// Path of its private key, in PEM.
    pub key: PathBuf,
}

impl Authority {
    /// Creates an authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // A unique name: certificates of an authority with the same name would be verified with
        // this key.
        let name = format!("test authority {}", Uuid::now_v7());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("a file in it");
        Self { directory, issuer }
    }

    /// Path of the authority's certificate, in PEM.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Issues a server certificate for these names; the first one names the files.
    pub fn server(&self, names: &[&str]) -> Identity {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |_| ())
    }

    /// Issues a server certificate that expired in 2020.
    pub fn expired(&self, names: &[&str]) -> Identity {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 31);
        })
    }

    /// Issues a client certificate with this common name.
    pub fn client(&self, name: &str) -> Identity {
        self.issue(&[], ExtendedKeyUsagePurpose::ClientAuth, |params| {
            params.distinguished_name.push(DnType::CommonName, name);
        })
    }

    /// The files of a client that trusts the authority and has no certificate.
    pub fn trusted(&self) -> ClientFiles {
        ClientFiles { ca: Some(self.ca()), cert: None, key: None }
    }

    fn issue(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let file = names.first().cloned().unwrap_or_else(|| "client".into());
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let at = tempfile::tempdir_in(self.directory.path()).expect("a directory").keep();
        let identity =
            Identity { cert: at.join(format!("{file}.pem")), key: at.join(format!("{file}.key")) };
        fs::write(&identity.cert, cert.pem()).expect("a file");
        fs::write(&identity.key, key.serialize_pem()).expect("a file");
        identity
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    /// The files of a listener that does not verify clients.
    pub fn listener(&self) -> ListenerFiles {
        ListenerFiles {
            cert: self.cert.clone(),
            key: self.key.clone(),
            client_ca: None,
            client_auth: Default::default(),
        }
    }

    /// The files of a client that has this certificate and trusts an authority.
    pub fn trusting(&self, authority: &Authority) -> ClientFiles {
        let (cert, key) = (Some(self.cert.clone()), Some(self.key.clone()));
        ClientFiles { cert, key, ..authority.trusted() }
    }

    /// Replaces this certificate by another one, as a renewal does.
    pub fn replace(&self, with: &Self) {
        for (from, to) in [(&with.key, &self.key), (&with.cert, &self.cert)] {
            fs::rename(from, to).expect("a file can be renamed");
        }
    }
}
