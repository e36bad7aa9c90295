//! Certificates and keys out of PEM files, and whether the files are still the ones that were read.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// A file that is of no use, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct BadFile {
    path: PathBuf,
    why: String,
}

impl BadFile {
    pub(crate) fn new(path: &Path, why: impl ToString) -> Self {
        Self { path: path.into(), why: why.to_string() }
    }
}

/// A certificate, and what stands between it and its authority.
pub(crate) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| BadFile::new(path, format!("no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(BadFile::new(
            path,
            "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(chain)
}

/// A private key: PKCS#8, SEC1 or RSA's own.
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, BadFile> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => BadFile::new(
            path,
            "holds no private key in PEM that is not encrypted (-----BEGIN PRIVATE KEY-----)",
        ),
        // The others quote no more than a line that marks a section.
        _ => BadFile::new(path, "its PEM is damaged"),
    })
}

/// Authorities that are trusted.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, BadFile> {
    let mut roots = RootCertStore::empty();
    for authority in chain(path)? {
        roots.add(authority).map_err(|error| {
            BadFile::new(path, format!("no certificate of an authority: {error}"))
        })?;
    }
    Ok(roots)
}

/// The authorities that this system trusts.
pub(crate) fn system_authorities() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems keep some that are too old to be read; they are no reason to trust none.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(io::Error::other(
            "this system has no certificates of authorities: name a file of them",
        ));
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, BadFile> {
    fs::read(path).map_err(|error| BadFile::new(path, error))
}

/// What tells that a file changed, in place or by a symbolic link that points elsewhere, as
/// Kubernetes changes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stamp(Option<[i128; 4]>);

impl Stamp {
    pub(crate) fn of(path: &Path) -> Self {
        let seen = fs::metadata(path).map(|file| {
            let modified = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
            [modified, file.size().into(), file.ino().into(), file.dev().into()]
        });
        Self(seen.ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_of_no_use_is_named_and_its_content_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("some.pem");
        for (content, certificate, private) in [
            (None, "No such file", "No such file"),
            (Some(""), "holds no certificate", "holds no private key"),
            (
                Some(
                    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n",
                ),
                "holds no certificate",
                "not encrypted",
            ),
            (Some("-----BEGIN PRIVATE KEY-----\nsecret\n"), "no PEM", "damaged"),
        ] {
            if let Some(content) = content {
                fs::write(&file, content).unwrap();
            }
            for (said, expected) in [
                (chain(&file).unwrap_err().to_string(), certificate),
                (key(&file).unwrap_err().to_string(), private),
            ] {
                assert!(said.starts_with(file.to_str().unwrap()), "{said}");
                assert!(said.contains(expected) && !said.contains("secret"), "{said}");
            }
        }
    }
}
