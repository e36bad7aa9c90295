//! Results on standard output, words beside them on standard error.

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::PathBuf,
    sync::LazyLock,
};

use clap::Args;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

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

/// A message in protobuf's JSON: <https://protobuf.dev/programming-guides/json/>. Fields that are
/// unset are there too, so that programs need not know which are left out.
fn json<M: Message + Name>(message: &M) -> io::Result<String> {
    static POOL: LazyLock<Option<DescriptorPool>> =
        LazyLock::new(|| DescriptorPool::decode(api::DESCRIPTORS).ok());
    let missing = || io::Error::other(format!("no descriptor of {}", M::full_name()));
    let pool = POOL.as_ref().ok_or_else(missing)?;
    let descriptor = pool.get_message_by_name(&M::full_name()).ok_or_else(missing)?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(io::Error::other)?;
    let mut serializer = serde_json::Serializer::new(Vec::new());
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(&mut serializer, &options)?;
    String::from_utf8(serializer.into_inner()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use api::schema::v1::{Operation, SchemaState, Status};

    use super::*;

    #[test]
    fn json_is_protobufs_own_with_every_field() {
        let mut state = SchemaState { revision: "0001".into(), epoch: 7, ..Default::default() };
        state.set_status(Status::Behind);
        state.running = Some(Operation { id: "x".into(), ..Default::default() });
        let json: serde_json::Value = serde_json::from_str(&json(&state).unwrap()).unwrap();
        assert_eq!(json["status"], "STATUS_BEHIND");
        assert_eq!(json["epoch"], "7");
        assert_eq!(json["atHead"], false);
        assert_eq!(json["pending"], serde_json::json!([]));
        assert_eq!(json["running"]["fromRevision"], "");
    }
}
