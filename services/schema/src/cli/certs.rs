//! `schema certs`: an authority and the certificates of servers and clients, for development with
//! TLS.
//!
//! The authority's key is never written: somebody who finds the directory can use its certificates
//! until they expire, and cannot issue others.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap::Args;
use cli::Output;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use tls::DEVELOPMENT;

const VALIDITY_DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The servers of a deployment: the name of their files, and further names that they are called by.
const SERVERS: [(&str, &[&str]); 4] =
    [("schema", &[]), ("chat", &[]), ("postgres", &["db"]), ("nats", &[])];

/// The names of every server on its own machine.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[derive(Clone, Debug, Args)]
pub struct CertsArgs {
    /// Directory for the files. It is created if it does not exist; nothing in it is overwritten.
    dir: PathBuf,
    /// Create a certificate for a client of this name; may be given several times.
    #[arg(
        long = "client",
        value_name = "NAME",
        value_parser = client_name,
        default_values = ["operator", "admin", "reader", "chat"]
    )]
    clients: Vec<String>,
    /// Add a name or address to the certificate of every server; may be given several times.
    #[arg(long = "host", value_name = "NAME", value_parser = host_name)]
    hosts: Vec<String>,
    #[command(flatten)]
    pub output: Output,
}

struct NewFile {
    path: PathBuf,
    content: String,
    mode: u32,
}

impl CertsArgs {
    pub(super) fn run(&self) -> Result<(), Box<dyn std::error::Error>> {
        let files = self.files()?;
        fs::create_dir_all(&self.dir).map_err(|error| with_path(&self.dir, &error))?;
        if let Some(existing) = files.iter().find(|file| file.path.exists()) {
            let path = existing.path.display();
            return Err(format!("{path} exists; name another directory, or remove it").into());
        }
        for file in &files {
            file.write().map_err(|error| with_path(&file.path, &error))?;
        }
        self.output.paths(&files.into_iter().map(|file| file.path).collect::<Vec<_>>())?;
        self.output.note(self.next_steps());
        Ok(())
    }

    fn files(&self) -> Result<Vec<NewFile>, rcgen::Error> {
        let authority = authority()?;
        let mut files = vec![self.file("ca.pem", authority.pem(), 0o644)];
        for (name, more) in SERVERS {
            let names = [name].into_iter().chain(more.iter().copied()).chain(LOCAL_NAMES);
            let names = names.chain(self.hosts.iter().map(String::as_str));
            let names: Vec<_> = names.map(ToOwned::to_owned).collect();
            let usage = ExtendedKeyUsagePurpose::ServerAuth;
            files.extend(self.issue(&authority, name, name, names, usage)?);
        }
        for name in &self.clients {
            let usage = ExtendedKeyUsagePurpose::ClientAuth;
            files.extend(self.issue(
                &authority,
                &format!("client-{name}"),
                name,
                Vec::new(),
                usage,
            )?);
        }
        Ok(files)
    }

    fn issue(
        &self,
        authority: &CertifiedIssuer<'_, KeyPair>,
        file: &str,
        name: &str,
        names: Vec<String>,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<[NewFile; 2], rcgen::Error> {
        let mut params = params(name, names)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, authority)?;
        Ok([
            self.file(&format!("{file}.pem"), certificate.pem(), 0o644),
            self.file(&format!("{file}.key"), key.serialize_pem(), 0o600),
        ])
    }

    fn file(&self, name: &str, content: String, mode: u32) -> NewFile {
        NewFile { path: self.dir.join(name), content, mode }
    }

    fn next_steps(&self) -> String {
        let at = |name: &str| self.dir.join(name).display().to_string();
        let client = self.clients.first().map(|name| format!("client-{name}")).unwrap_or_default();
        format!(
            "valid for {VALIDITY_DAYS} days, for development only. To serve with them, and to call:\n  \
             schema serve --tls-cert {} --tls-key {} --tls-client-ca {ca}\n  \
             schema current --schema-url https://localhost:50051 --tls-ca {ca} \
             --tls-client-cert {} --tls-client-key {}",
            at("schema.pem"),
            at("schema.key"),
            at(&format!("{client}.pem")),
            at(&format!("{client}.key")),
            ca = at("ca.pem"),
        )
    }
}

impl NewFile {
    fn write(&self) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(self.mode).open(&self.path)?;
        file.write_all(self.content.as_bytes())
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = params("Schemagate development authority", Vec::new())?;
    // It may issue certificates of servers and clients, and of no further authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// What all certificates have in common.
fn params(name: &str, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, DEVELOPMENT);
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    // For machines whose clock is behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * VALIDITY_DAYS).into();
    Ok(params)
}

/// A client's name is part of a file's name.
fn client_name(name: &str) -> Result<String, String> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || !name.chars().all(is_allowed) {
        return Err("only letters, digits, '-', '_' and '.' are allowed".into());
    }
    Ok(name.to_owned())
}

fn host_name(name: &str) -> Result<String, String> {
    match CertificateParams::new([name.to_owned()]) {
        Ok(_) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err("not a host name or an address".into()),
    }
}

fn with_path(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
