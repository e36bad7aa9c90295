//! A PostgreSQL server with TLS for one test.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::{Authority, TestDatabase, eventually};

/// Debian's user nobody: PostgreSQL refuses to run as root.
const NOBODY_UID: u32 = 65534;

/// `postgres` connects over TLS only, `plain` without TLS only, `proven` with a client certificate of that name, and
/// `locked` never, because it has no password.
const HBA_RULES: &str = "\
hostssl   all postgres all trust
hostnossl all plain    all trust
hostnossl all locked   all scram-sha-256
hostssl   all proven   all trust clientcert=verify-full
";

const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
ssl = on
ssl_ca_file = 'ca.pem'
fsync = off
";

/// A PostgreSQL server named `localhost`, on its own port, stopped when the test ends.
#[derive(Debug)]
pub struct SecurePostgres {
    directory: TempDir,
    binaries: PathBuf,
    server: Child,
    port: u16,
}

impl SecurePostgres {
    /// Starts a server with a certificate of this authority that also accepts its client
    /// certificates.
    pub async fn start(authority: &Authority) -> Self {
        let binaries = binaries();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path();
        if geteuid().is_root() {
            chown(root, Some(NOBODY_UID), Some(NOBODY_UID)).expect("root can change the owner");
        }
        let made = command(&binaries, root, "initdb")
            .args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync"])
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let data = root.join("data");
        let identity = authority.server(&["localhost"]);
        for (from, to) in [
            (&authority.ca(), "ca.pem"),
            (&identity.cert, "server.crt"),
            (&identity.key, "server.key"),
        ] {
            let to = data.join(to);
            fs::copy(from, &to).expect("a file in it");
            fs::set_permissions(&to, PermissionsExt::from_mode(0o600))
                .expect("the file is our own");
            if geteuid().is_root() {
                chown(&to, Some(NOBODY_UID), Some(NOBODY_UID)).expect("root can change the owner");
            }
        }
        fs::write(data.join("pg_hba.conf"), HBA_RULES).expect("the file is there");
        fs::write(data.join("postgresql.auto.conf"), SETTINGS).expect("the file is there");
        let (server, port) = serve(&binaries, root).await;
        Self { directory, binaries, server, port }
    }

    /// Its database, over verified TLS.
    pub fn database(&self, authority: &Authority) -> TestDatabase {
        let ca = authority.ca();
        let query = format!("sslmode=verify-full&sslrootcert={}", ca.display());
        TestDatabase::existing(self.url("postgres@localhost", &query))
    }

    /// The URL for a user at a host.
    pub fn url(&self, user_at_host: &str, query: &str) -> String {
        format!("postgres://{user_at_host}:{}/postgres?{query}", self.port)
    }

    /// Restarts it without TLS.
    pub async fn restart_without_tls(&mut self) {
        self.stop();
        let settings = SETTINGS.replace("ssl = on", "ssl = off");
        let root = self.directory.path();
        fs::write(root.join("data/postgresql.auto.conf"), settings).expect("the file is there");
        (self.server, self.port) = serve(&self.binaries, root).await;
    }

    fn stop(&mut self) {
        // SIGKILL would leave shared memory.
        if let Some(pid) = Pid::from_raw(self.server.id().cast_signed()) {
            let _ = kill_process(pid, Signal::QUIT);
        }
        let _ = self.server.wait();
    }
}

impl Drop for SecurePostgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts the server on a free port; tries another if the port has been taken meanwhile.
async fn serve(binaries: &Path, root: &Path) -> (Child, u16) {
    loop {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a port is free").port();
        let log = fs::File::create(root.join("log")).expect("a file in it");
        let mut server = command(binaries, root, "postgres")
            .args(["-D", "data", "-p", &port.to_string()])
            .stderr(log)
            .spawn()
            .expect("postgres runs");
        let log = root.join("log");
        let serves = eventually("PostgreSQL is ready", async || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let ended = server.try_wait().expect("a child can be asked").is_some();
            match text {
                _ if text.contains("ready to accept connections") => Some(true),
                _ if ended && text.contains("Address already in use") => Some(false),
                _ if ended => panic!("{text}"),
                _ => None,
            }
        })
        .await;
        if serves {
            return (server, port);
        }
    }
}

fn command(binaries: &Path, root: &Path, name: &str) -> Command {
    let mut command = Command::new(binaries.join(name));
    command.current_dir(root).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    if geteuid().is_root() {
        command.uid(NOBODY_UID).gid(NOBODY_UID);
    }
    command
}

/// The directory of PostgreSQL's binaries, from the path or the newest of Debian.
fn binaries() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // On the path there may be a link without postgres beside it.
    let linked = env::split_paths(&path)
        .filter_map(|directory| fs::canonicalize(directory.join("initdb")).ok())
        .filter_map(|file| file.parent().map(Path::to_owned));
    let mut installed: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    installed.sort();
    linked
        .chain(installed.into_iter().rev())
        .find(|directory| directory.join("initdb").exists() && directory.join("postgres").exists())
        .unwrap_or_else(|| {
            panic!("PostgreSQL's initdb is missing: run .ci/test, which installs PostgreSQL")
        })
}
