//! Results on standard output, notes about them on standard error.

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::Args;
use prost::{Message, Name};

use super::json;

/// The format of a command's results.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Output {
    /// Print JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Prints a result: as JSON, or as the text for people, where that is not empty.
    pub fn result<M: Message + Name>(self, message: &M, text: &str) -> io::Result<()> {
        if self.json {
            self.line(json(message)?)
        } else if text.is_empty() {
            Ok(())
        } else {
            self.line(text)
        }
    }

    /// Prints the paths of created files or directories.
    pub fn paths(self, paths: &[PathBuf]) -> io::Result<()> {
        for path in paths {
            let path = path.display();
            if self.json {
                self.line(serde_json::json!({ "path": path.to_string() }))?;
            } else {
                self.line(path)?;
            }
        }
        Ok(())
    }

    /// Prints a line on standard output.
    pub fn line(self, line: impl Display) -> io::Result<()> {
        // println! panics once the reader closes the pipe.
        writeln!(io::stdout(), "{line}")
    }

    /// Prints a note for people on standard error. With JSON it is left out: the result has it.
    pub fn note(self, text: impl Display) {
        if !self.json {
            // No other place is left to report that standard error is closed.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}
