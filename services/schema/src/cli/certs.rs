//! `schema certs`: an authority and the certificates that it takes to try TLS, for development.
//!
//! The authority's key is never written: whoever finds the directory can show its certificates
//! until they end, and issue no other.

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

/// How long they are good.
const DAYS: u32 = 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The servers of a deployment: a file's name, and the other names that it is called by.
const SERVERS: [(&str, &[&str]); 4] =
    [("schema", &[]), ("chat", &[]), ("postgres", &["db"]), ("nats", &[])];

/// What every server is called on its own machine.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What is to be made.
#[derive(Clone, Debug, Args)]
pub struct CertsArgs {
    /// The directory, which is made where it is missing. Nothing in it is overwritten.
    pub dir: PathBuf,
    /// A client that gets a certificate with this name; may be given several times.
    #[arg(
        long = "client",
        value_name = "NAME",
        value_parser = client_name,
        default_values = ["operator", "admin", "reader", "chat"]
    )]
    pub clients: Vec<String>,
    /// One more name, or address, that every server may be called by; may be given several times.
    #[arg(long = "host", value_name = "NAME", value_parser = host_name)]
    pub hosts: Vec<String>,
    /// How the files are named on standard output.
    #[command(flatten)]
    pub output: Output,
}

/// A file that is to be made.
struct Made {
    path: PathBuf,
    content: String,
    mode: u32,
}

impl CertsArgs {
    pub(super) fn run(&self) -> Result<(), Box<dyn std::error::Error>> {
        let files = self.files()?;
        fs::create_dir_all(&self.dir).map_err(|error| about(&self.dir, &error))?;
        if let Some(there) = files.iter().find(|file| file.path.exists()) {
            let path = there.path.display();
            return Err(
                format!("{path} is there already: name another directory, or remove it").into()
            );
        }
        for file in &files {
            file.write().map_err(|error| about(&file.path, &error))?;
        }
        self.output.paths(&files.into_iter().map(|file| file.path).collect::<Vec<_>>())?;
        self.output.note(self.advice());
        Ok(())
    }

    fn files(&self) -> Result<Vec<Made>, rcgen::Error> {
        let authority = authority()?;
        let mut files = vec![self.file("ca.pem", authority.pem(), 0o644)];
        for (name, more) in SERVERS {
            let names = [name].into_iter().chain(more.iter().copied()).chain(LOCAL);
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
    ) -> Result<[Made; 2], rcgen::Error> {
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

    fn file(&self, name: &str, content: String, mode: u32) -> Made {
        Made { path: self.dir.join(name), content, mode }
    }

    fn advice(&self) -> String {
        let at = |name: &str| self.dir.join(name).display().to_string();
        let client = self.clients.first().map(|name| format!("client-{name}")).unwrap_or_default();
        format!(
            "good for {DAYS} days, for development only. To serve with them, and to ask:\n  \
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

impl Made {
    fn write(&self) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(self.mode).open(&self.path)?;
        file.write_all(self.content.as_bytes())
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = params("Schemagate development authority", Vec::new())?;
    // What it vouches for ends nowhere but at a server or a client.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// What all of them say of themselves.
fn params(name: &str, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, DEVELOPMENT);
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    // A machine whose clock is behind takes them too.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * DAYS).into();
    Ok(params)
}

/// It is a file's name too.
fn client_name(name: &str) -> Result<String, String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || !name.chars().all(fits) {
        return Err("letters, digits, '-', '_' and '.' are what it may hold".into());
    }
    Ok(name.to_owned())
}

/// What a certificate can hold.
fn host_name(name: &str) -> Result<String, String> {
    match CertificateParams::new([name.to_owned()]) {
        Ok(_) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err("is no name of a host: ASCII letters, or an address".into()),
    }
}

fn about(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
