//! A NATS server for one test.

use std::{env, net::SocketAddr, path::PathBuf};

use crate::{process::Process, wait::eventually};

const LISTENS_ON: &str = "Listening for client connections on ";

/// A NATS server on its own port, stopped when the test ends.
#[derive(Debug)]
pub struct Nats {
    process: Process,
    address: SocketAddr,
    login: Option<(String, String)>,
}

impl Nats {
    /// Starts a server without authentication.
    pub async fn start() -> Self {
        Self::on(None, None).await
    }

    /// Starts a server that requires this user and password.
    pub async fn with_login(user: &str, password: &str) -> Self {
        Self::on(None, Some((user.into(), password.into()))).await
    }

    /// The value of `CHAT_BUS`.
    pub fn url(&self) -> String {
        match &self.login {
            Some((user, password)) => format!("nats://{user}:{password}@{}", self.address),
            None => format!("nats://{}", self.address),
        }
    }

    /// Kills it with SIGKILL and waits for its end.
    pub async fn kill(&mut self) {
        self.process.kill().await;
    }

    /// Starts it again after [`kill`](Self::kill), on the same port.
    pub async fn restart(&mut self) {
        *self = Self::on(Some(self.address.port()), self.login.take()).await;
    }

    async fn on(port: Option<u16>, login: Option<(String, String)>) -> Self {
        let port = port.map_or("-1".into(), |port| port.to_string());
        let mut arguments = vec!["--addr", "127.0.0.1", "--port", &port];
        if let Some((user, password)) = &login {
            arguments.extend(["--user", user, "--pass", password]);
        }
        let process = Process::start(binary(), &arguments, &[]);
        let address = eventually("NATS listens", async || {
            let lines = process.output();
            lines.iter().find_map(|line| line.split_once(LISTENS_ON)?.1.trim().parse().ok())
        })
        .await;
        Self { process, address, login }
    }
}

/// From the path, or from /usr/sbin, where Debian installs it.
fn binary() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut files = directories.map(|directory| directory.join("nats-server"));
    files.find(|file| file.exists()).unwrap_or_else(|| {
        panic!("nats-server is missing: run .ci/test, which installs it, or install nats-server")
    })
}
