//! `chat import`: a file of JSON lines, streamed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use api::chat::v1::{Chat, ImportChatsRequest, ImportChatsResponse, ImportError};
use clap::Args;
use cli::{Failure, from_json};
use indicatif::{ProgressBar, ProgressStyle};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::client_args::{ClientArgs, escape_control};

/// Below the server's limit for a message, with space for the frame.
const MAX_ROW_BYTES: usize = 4 * 1024 * 1024 - 1024;
/// Rows read ahead of the stream to the server.
const MAX_QUEUED_ROWS: usize = 256;
/// Refused lines that are printed; the server lists as many.
const MAX_ERRORS: usize = 100;
/// Between redraws of the progress bar.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// File of chats as JSON, one on a line, as `chat list --json` prints them; `-` is standard input. A
    /// chat whose jid exists is updated
    pub file: PathBuf,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// A line that is refused is reported, and the others are imported.
pub(super) async fn import(args: ImportArgs) -> Result<ExitCode, Failure> {
    let output = args.client.output;
    let mut client = args.client.client().await?;
    let named =
        |error: io::Error| Failure::Local(format!("{}: {error}", args.file.display()).into());
    let (bytes, input) = open(&args.file).map_err(named)?;
    let bar = (!output.json && io::stderr().is_terminal()).then(|| bar(bytes));
    let (rows, streamed) = mpsc::channel(MAX_QUEUED_ROWS);
    let reading = tokio::task::spawn_blocking({
        let bar = bar.clone();
        move || read(input, &rows, bar.as_ref())
    });
    let imported = client.import_chats(ReceiverStream::new(streamed)).await;
    // The reader ends with the file or with the stream.
    let read = reading.await.map_err(|error| Failure::Local(error.into()))?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let (mut imported, skipped) = (imported?.into_inner(), read.map_err(named)?);
    skipped.merge_into(&mut imported);
    for ImportError { index, message, .. } in &imported.errors {
        output.note(escape_control(&format!("line {index}: {message}")));
    }
    let ImportChatsResponse { created, updated, failed, .. } = imported;
    let summary = format!("{created} created, {updated} updated, {failed} refused");
    output.result(&imported, &summary)?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Input = Box<dyn BufRead + Send>;

/// The file, and how many bytes it has, where that can be known.
fn open(path: &Path) -> io::Result<(Option<u64>, Input)> {
    if path == Path::new("-") {
        return Ok((None, Box::new(BufReader::new(io::stdin()))));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let bytes = metadata.is_file().then_some(metadata.len());
    Ok((bytes, Box::new(BufReader::new(file))))
}

/// Hands each line's chat on; returns what was not one.
fn read(
    mut input: Input,
    rows: &mpsc::Sender<ImportChatsRequest>,
    bar: Option<&ProgressBar>,
) -> io::Result<Skipped> {
    let mut skipped = Skipped::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let bytes = input.read_until(b'\n', &mut line)?;
        if bytes == 0 {
            break;
        }
        if let Some(bar) = bar {
            bar.inc(bytes as u64);
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            skipped.lines.push(number);
            continue;
        }
        match row(text) {
            Ok(row) => {
                if rows.blocking_send(row).is_err() {
                    // The server ended the stream: its response has the error.
                    break;
                }
            }
            Err(error) => skipped.refuse(number, &error),
        }
    }
    Ok(skipped)
}

fn row(text: &[u8]) -> io::Result<ImportChatsRequest> {
    let row = ImportChatsRequest { chat: Some(from_json::<Chat>(text)?) };
    match row.encoded_len() {
        ..=MAX_ROW_BYTES => Ok(row),
        _ => Err(io::Error::other(format!("longer than {MAX_ROW_BYTES} bytes"))),
    }
}

#[derive(Default)]
struct Skipped {
    /// Line numbers of all lines that were not sent, in order, from 1.
    lines: Vec<u64>,
    /// Of the first lines that are not chats.
    errors: Vec<ImportError>,
    failed: u64,
}

impl Skipped {
    fn refuse(&mut self, line: u64, error: &io::Error) {
        self.lines.push(line);
        self.failed += 1;
        if self.errors.len() < MAX_ERRORS {
            let (reason, message) = ("LINE_UNREADABLE".into(), error.to_string());
            self.errors.push(ImportError { index: line, reason, message, ..Default::default() });
        }
    }

    /// Adds the errors found here to the server's, which get line numbers in place of indices.
    fn merge_into(self, imported: &mut ImportChatsResponse) {
        for error in &mut imported.errors {
            error.index = self.line(error.index);
        }
        imported.errors.extend(self.errors);
        imported.errors.sort_by_key(|error| error.index);
        imported.failed += self.failed;
    }

    /// The line number of a row, from 1.
    fn line(&self, index: u64) -> u64 {
        self.lines.iter().fold(index + 1, |line, skipped| line + u64::from(*skipped <= line))
    }
}

fn bar(bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{bar:30} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {elapsed}",
        ),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec} {elapsed}"),
    };
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(REDRAW_INTERVAL);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_row_becomes_its_line() {
        let skipped = Skipped { lines: vec![1, 3, 4], ..Skipped::default() };
        assert_eq!([0, 1, 2].map(|index| skipped.line(index)), [2, 5, 6]);
        assert_eq!(Skipped::default().line(7), 8);
    }
}
