//! Compiles `proto/` with protox, so that a build needs no protoc.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 5] = [
    "schema/v1/schema_service.proto",
    "chat/v1/chat_service.proto",
    "chat/v1/bot_service.proto",
    "chat/v1/schedule_service.proto",
    "gate/v1/readiness_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::Config::new();
    // The CLI prints a message as JSON by its descriptor, which it finds by name.
    config.enable_type_names();
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}
