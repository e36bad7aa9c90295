//! The progress bar: on a terminal, and only there.

use std::{
    fs::{File, OpenOptions},
    io::Read as _,
    os::fd::OwnedFd,
    process::Stdio,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use testing::{Backend, apply, both};

use super::{CliFixture, timeless};

/// A pseudo terminal: what a process writes to it, and its end for that process.
fn terminal() -> (File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(name).unwrap();
    (ours.into(), theirs.into())
}

#[apply(both!)]
async fn a_terminal_gets_a_bar_and_a_file_gets_lines(backend: Backend) {
    let cli = CliFixture::of(backend).await;
    let (mut ours, theirs) = terminal();
    let mut command = cli.command("upgrade");
    command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(theirs);
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    // It holds the other end of the terminal.
    drop(command);
    let mut drawn = Vec::new();
    // Reading a terminal whose other end is closed fails with EIO on Linux.
    let _ = ours.read_to_end(&mut drawn);
    let drawn = String::from_utf8(drawn).unwrap();
    assert!(drawn.contains("░"), "{drawn:?}");
    assert!(drawn.contains("1/3 0001, make notes"), "{drawn:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(timeless(&printed).len(), 4);
    assert!(!printed.contains('\u{1b}'), "{printed:?}");

    let plain = cli.run("downgrade base").await;
    assert_eq!(plain.stderr, "");
    assert_eq!(timeless(&plain.stdout).last().map(String::as_str), Some("base"));
}
