use std::{io, path::PathBuf};

use rustls::{ClientConfig, ConfigBuilder, RootCertStore, client::WantsClientCert};

use crate::{
    client_config,
    pem::{self, BadFile},
};

/// The files of a client: which authorities it trusts, and the certificate it presents. They are
/// read for each connection, so that renewed ones need no restart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientFiles {
    /// The authorities that may sign a server's certificate; the system's where this is absent.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain, leaf first.
    pub cert: Option<PathBuf>,
    /// The private key of the client's certificate.
    pub key: Option<PathBuf>,
}

impl ClientFiles {
    /// Reads the files to report what is wrong with them.
    ///
    /// # Errors
    /// One of them cannot be read or used; the error names it.
    pub fn check(&self) -> Result<(), BadFile> {
        if let Some(ca) = &self.ca {
            pem::read_authorities(ca)?;
        }
        let config = client_config().with_root_certificates(RootCertStore::empty());
        self.with_client_certificate(config).map(drop)
    }

    /// Reads the files into a client's configuration.
    ///
    /// # Errors
    /// One of them cannot be read or used.
    pub fn config(&self) -> io::Result<ClientConfig> {
        let config = client_config().with_root_certificates(self.authorities()?);
        self.with_client_certificate(config).map_err(io::Error::other)
    }

    /// Reads the authorities that may sign a server's certificate.
    ///
    /// # Errors
    /// The file cannot be read, or the system has no authorities.
    pub fn authorities(&self) -> io::Result<RootCertStore> {
        match &self.ca {
            Some(ca) => pem::read_authorities(ca).map_err(io::Error::other),
            None => pem::load_system_authorities(),
        }
    }

    /// Adds the client's certificate, where there is one.
    ///
    /// # Errors
    /// A file cannot be read, or the key is that of another certificate.
    pub fn with_client_certificate(
        &self,
        config: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, BadFile> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Ok(config.with_no_client_auth());
        };
        config
            .with_client_auth_cert(pem::read_chain(cert)?, pem::read_key(key)?)
            .map_err(|error| BadFile::unusable_key(key, cert, error))
    }
}
