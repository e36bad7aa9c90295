//! A service as a process: binary, signals, exit status.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::wait::{DEADLINE, eventually};

/// What a service prints when it accepts calls (`transport::announce`).
const LISTENS_ON: &str = " listens on ";

/// A running process, killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    command: Command,
    child: Child,
    lines: Lines,
    /// Output from before each restart.
    past: Vec<Lines>,
}

/// Lines of standard output and standard error.
type Lines = Arc<Mutex<Vec<String>>>;

impl Process {
    /// Starts a binary, such as `env!("CARGO_BIN_EXE_schema")`, on free ports, with only these
    /// environment variables.
    ///
    /// # Panics
    /// The binary cannot be started.
    pub fn start(binary: impl AsRef<OsStr>, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .env_clear()
            .envs([("SCHEMA_LISTEN", "127.0.0.1:0"), ("CHAT_LISTEN", "127.0.0.1:0")])
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let (child, lines) = spawn(&mut command);
        Self { command, child, lines, past: Vec::new() }
    }

    /// Starts it again after [`kill`](Self::kill) or [`terminate`](Self::terminate), on the same
    /// addresses.
    pub fn restart(&mut self) {
        for line in self.output() {
            if let Some((service, address)) = line.split_once(LISTENS_ON) {
                let service = service.to_uppercase().replace('-', "_");
                self.command.env(format!("{service}_LISTEN"), address);
            }
        }
        let (child, lines) = spawn(&mut self.command);
        self.child = child;
        self.past.push(std::mem::replace(&mut self.lines, lines));
    }

    /// The address of a service of this process; waits until it listens.
    ///
    /// # Panics
    /// The process ends before it listens.
    pub async fn address(&mut self, service: &str) -> SocketAddr {
        let announced = format!("{service}{LISTENS_ON}");
        eventually(&announced, async || {
            let ended = self.child.try_wait().expect("a child can be asked");
            let lines = self.output();
            let address = lines.iter().find_map(|line| line.strip_prefix(&announced)?.parse().ok());
            match (address, ended) {
                (None, Some(status)) => panic!("{service} ended with {status} before it listened"),
                (address, _) => address,
            }
        })
        .await
    }

    /// Its process id.
    ///
    /// # Panics
    /// It has ended.
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Lines of standard output and standard error so far.
    pub fn output(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All lines, including those from before restarts.
    pub fn history(&self) -> Vec<String> {
        let all = self.past.iter().chain([&self.lines]);
        all.flat_map(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Panics
    /// It cannot be killed.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Sends SIGTERM and waits for its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.send_sigterm();
        self.ended().await
    }

    /// Sends SIGTERM.
    pub fn send_sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGSTOP: like a machine that vanished, its connections stay open and are not answered.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            kill_process(pid, signal).expect("a child takes signals");
        }
    }

    /// Waits until it exits by itself.
    ///
    /// # Panics
    /// It is still running after [`DEADLINE`].
    pub async fn ended(&mut self) -> ExitStatus {
        let status = timeout(DEADLINE, self.child.wait()).await;
        status.expect("the process ends").expect("a child can be waited for")
    }
}

fn spawn(command: &mut Command) -> (Child, Lines) {
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{}: {error}; run cargo build", command.as_std().get_program().display())
    });
    let lines = Lines::default();
    if let Some(output) = child.stdout.take() {
        tokio::spawn(collect(output, Arc::clone(&lines)));
    }
    if let Some(output) = child.stderr.take() {
        tokio::spawn(collect(output, Arc::clone(&lines)));
    }
    (child, lines)
}

async fn collect(output: impl AsyncRead + Unpin, lines: Lines) {
    let mut reader = BufReader::new(output).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        // Shown only if the test fails.
        eprintln!("{line}");
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script that behaves like a service.
    const SERVER: &str = "trap 'exit 7' TERM; echo fake listens on 127.0.0.1:${FAKE_LISTEN##*:}; \
                          while :; do :; done";

    #[tokio::test]
    async fn a_process_reports_its_address_and_restarts() {
        let mut process = Process::start("/bin/bash", &["-c", SERVER], &[("FAKE_LISTEN", ":1")]);
        assert_eq!(process.address("fake").await.port(), 1);
        assert_eq!(process.terminate().await.code(), Some(7));
        process.restart();
        process.address("fake").await;
        process.kill().await;
        assert_eq!(process.output().len(), 1);
        assert_eq!(process.history(), ["fake listens on 127.0.0.1:1"; 2]);
    }
}
