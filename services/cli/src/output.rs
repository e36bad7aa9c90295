//! Results on standard output, words beside them on standard error.

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::Args;
use prost::{Message, Name};

use super::json;

/// How results are printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Output {
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Prints a result: as JSON, or in the words for people. No words, no line.
    pub fn result<M: Message + Name>(self, message: &M, words: &str) -> io::Result<()> {
        if self.json {
            self.line(json(message)?)
        } else if words.is_empty() {
            Ok(())
        } else {
            self.line(words)
        }
    }

    /// Prints the files or folders that were made.
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
        // Never println!, which panics when its reader has read enough.
        writeln!(io::stdout(), "{line}")
    }

    /// Says something to people. Programs have it in the result.
    pub fn note(self, words: impl Display) {
        if !self.json {
            // Nobody is left to be told that standard error is closed.
            let _ = writeln!(io::stderr(), "{words}");
        }
    }
}
