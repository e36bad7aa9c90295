//! Certificates and keys out of PEM files, and a stamp by which a changed file is noticed.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct BadFile {
    path: PathBuf,
    why: String,
}

impl BadFile {
    /// An error at a file.
    pub fn new(path: &Path, why: impl ToString) -> Self {
        Self { path: path.into(), why: why.to_string() }
    }

    /// Why rustls refuses a private key together with the certificate of another file.
    pub fn unusable_key(key: &Path, certificate: &Path, error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(_) => Self::new(
                key,
                format!("is not the key of the certificate in {}", certificate.display()),
            ),
            error => Self::new(key, format!("cannot be used: {error}")),
        }
    }
}

/// Reads a certificate chain, leaf first.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| BadFile::new(path, format!("not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(BadFile::new(
            path,
            "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(chain)
}

/// Reads a private key: PKCS#8, SEC1 or PKCS#1.
///
/// # Errors
/// The file cannot be read, or holds no unencrypted private key.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, BadFile> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => BadFile::new(
            path,
            "holds no private key in PEM that is not encrypted (-----BEGIN PRIVATE KEY-----)",
        ),
        // Its text may quote the file: keep it out.
        _ => BadFile::new(path, "its PEM is damaged"),
    })
}

/// Reads the certificates of trusted authorities.
///
/// # Errors
/// The file cannot be read, or a certificate in it is not an authority's.
pub fn read_authorities(path: &Path) -> Result<RootCertStore, BadFile> {
    let mut roots = RootCertStore::empty();
    for authority in read_chain(path)? {
        roots.add(authority).map_err(|error| {
            BadFile::new(path, format!("not the certificate of an authority: {error}"))
        })?;
    }
    Ok(roots)
}

/// Loads the authorities that this system trusts.
///
/// # Errors
/// There are none.
pub fn load_system_authorities() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems keep some certificates that are too old to parse: the others still count.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(io::Error::other(
            "this system has no certificates of authorities: name a file that has",
        ));
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, BadFile> {
    fs::read(path).map_err(|error| BadFile::new(path, error))
}

/// The state of a file's metadata. It differs after a change in place, and after a symbolic link on
/// its path was pointed elsewhere, which is how Kubernetes replaces mounted files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileStamp(Option<[i128; 4]>);

impl FileStamp {
    /// The stamp of the file now.
    pub fn of(path: &Path) -> Self {
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
    fn an_error_names_the_file_and_does_not_quote_it() {
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
            (Some("-----BEGIN PRIVATE KEY-----\nsecret\n"), "not PEM", "damaged"),
        ] {
            if let Some(content) = content {
                fs::write(&file, content).unwrap();
            }
            for (message, expected) in [
                (read_chain(&file).unwrap_err().to_string(), certificate),
                (read_key(&file).unwrap_err().to_string(), private),
            ] {
                assert!(message.starts_with(file.to_str().unwrap()), "{message}");
                assert!(message.contains(expected) && !message.contains("secret"), "{message}");
            }
        }
    }
}
