//! An authority of a test's own, and the certificates that it issues, as files.

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use tls::ClientFiles;
use transport::ListenerFiles;
use uuid::Uuid;

/// An authority; its files are gone with it.
pub struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // A name like no other: what another of the same name issued would be held against its key.
        let name = format!("an authority of a test, {}", Uuid::now_v7());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("a file in it");
        Self { directory, issuer }
    }

    /// The file that those trust who trust it.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A server's certificate, for these names; the first names the files.
    pub fn server(&self, names: &[&str]) -> Identity {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |_| ())
    }

    /// The same, that ended long ago.
    pub fn expired(&self, names: &[&str]) -> Identity {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 31);
        })
    }

    /// A client's certificate; its name is its subject's.
    pub fn client(&self, name: &str) -> Identity {
        self.issue(&[], ExtendedKeyUsagePurpose::ClientAuth, |params| {
            params.distinguished_name.push(DnType::CommonName, name);
        })
    }

    /// What a client is given to trust it, and nothing of its own.
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
    /// As a listener's, that knows nothing of its callers.
    pub fn listener(&self) -> ListenerFiles {
        ListenerFiles {
            cert: self.cert.clone(),
            key: self.key.clone(),
            client_ca: None,
            client_auth: Default::default(),
        }
    }

    /// As a client's, that trusts an authority.
    pub fn trusting(&self, authority: &Authority) -> ClientFiles {
        let (cert, key) = (Some(self.cert.clone()), Some(self.key.clone()));
        ClientFiles { cert, key, ..authority.trusted() }
    }

    /// Puts another certificate in the place of this one, as a renewal does.
    pub fn replace(&self, with: &Self) {
        for (from, to) in [(&with.key, &self.key), (&with.cert, &self.cert)] {
            fs::rename(from, to).expect("a file can be put in another's place");
        }
    }
}
