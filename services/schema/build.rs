//! Reads `migrations/` by the rules of the `revisions` crate, and compiles its revisions in. A
//! directory that breaks a rule stops the build with an error that names the file.

use std::{env, fmt::Write as _, fs, path::Path, path::PathBuf, process::ExitCode};

use revisions::Revision;

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=migrations: {error}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let root = root.canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.display());
    let [postgres, sqlite] = revisions::read_both(&root)?;
    let mut code = String::new();
    table(&mut code, "POSTGRES", "PostgreSQL", &postgres)?;
    table(&mut code, "SQLITE", "SQLite", &sqlite)?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("revisions.rs"), code)?;
    Ok(())
}

fn table(code: &mut String, name: &str, backend: &str, set: &[Revision]) -> std::fmt::Result {
    writeln!(code, "/// The revisions for {backend}, oldest first.")?;
    writeln!(code, "static {name}: &[Revision] = &[")?;
    for revision in set {
        writeln!(
            code,
            "Revision {{ id: Cow::Borrowed({:?}), description: Cow::Borrowed({:?}), \
             up: Cow::Borrowed({:?}), down: Cow::Borrowed({:?}), transactional: {}, \
             compatible_from: {}, catalog: {} }},",
            revision.id,
            revision.description,
            revision.up,
            revision.down,
            revision.transactional,
            optional(revision.compatible_from.as_deref()),
            optional(revision.catalog.as_deref()),
        )?;
    }
    writeln!(code, "];")
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "None".into(), |text| format!("Some(Cow::Borrowed({text:?}))"))
}
