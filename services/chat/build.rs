//! Sets BUILT_WITH, the newest revision of `migrations/`.

use std::{error::Error, path::Path};

const MIGRATIONS: &str = "../../migrations";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={MIGRATIONS}");
    let [postgres, _] = revisions::read_both(Path::new(MIGRATIONS))?;
    let newest = postgres.last().ok_or("no migrations found")?;
    println!("cargo::rustc-env=BUILT_WITH={}", newest.id);
    Ok(())
}
