//! `schema new`: the folders that it makes.

use std::{fs, path::Path};

use super::{Ran, command, json};

async fn new(name: &str, migrations: &Path) -> Ran {
    let line = format!("new {name} --migrations-dir {}", migrations.display());
    Ran::from(command("http://127.0.0.1:1", &line).output().await.unwrap())
}

#[tokio::test]
async fn the_next_revision_is_created_for_both_databases() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["postgres/0003_a", "sqlite/0003_a"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let ran = new("add_reactions", root.path()).await;
    let [postgres, sqlite] =
        ["postgres", "sqlite"].map(|of| root.path().join(of).join("0004_add_reactions"));
    assert_eq!(ran.status, 0);
    assert_eq!(ran.stdout, format!("{}\n{}\n", postgres.display(), sqlite.display()));
    assert!(ran.stderr.contains("fill in up.sql and down.sql"), "{}", ran.stderr);
    for folder in [&postgres, &sqlite] {
        let mut files: Vec<_> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["down.sql", "metadata.toml", "up.sql"]);
    }

    let json = json(&new("next --json", root.path()).await.stdout);
    assert!(json[1]["path"].as_str().unwrap().ends_with("sqlite/0005_next"), "{json:?}");
}

#[tokio::test]
async fn an_invalid_name_creates_nothing() {
    let root = tempfile::tempdir().unwrap();
    let ran = new("Add-Reactions", root.path()).await;
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("lower case letters, digits and '_'"), "{}", ran.stderr);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
