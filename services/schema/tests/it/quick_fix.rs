//! docs/QUICK_FIX.md and the code agree about what can be refused.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The files in which refusals are made.
const MAKERS: [&str; 5] = ["error.rs", "page.rs", "problem.rs", "refusal.rs", "validate.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn makers(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        let in_rpc = path.parent().is_some_and(|parent| parent.ends_with("rpc"));
        if path.is_dir() {
            makers(&path, found);
        } else if MAKERS.contains(&&*name) || name.starts_with("rpc") || in_rpc {
            found.push(path);
        }
    }
}

/// `UPPER_SNAKE`, of two words at least: what no other text in those files is.
fn is_reason(text: &str) -> bool {
    let upper = |c: char| c.is_ascii_uppercase() || c == '_';
    text.contains('_') && text.chars().all(upper)
}

/// What stands between two of a mark.
fn quoted(text: &str, mark: char) -> BTreeSet<String> {
    text.split(mark).filter(|piece| is_reason(piece)).map(str::to_owned).collect()
}

#[test]
fn every_refusal_has_a_way_out() {
    let mut files = Vec::new();
    for service in ["access", "chat", "gate", "schema", "transport", "wire"] {
        makers(&root().join("services").join(service).join("src"), &mut files);
    }
    let page = fs::read_to_string(root().join("docs/QUICK_FIX.md")).unwrap();
    let explained = quoted(&page, '`');
    let mut made = BTreeSet::new();
    for file in &files {
        made.extend(quoted(&fs::read_to_string(file).unwrap(), '"'));
    }
    assert!(made.contains("SCHEMA_NOT_AT_HEAD") && made.contains("STEP_FAILED"), "{files:?}");
    let lacking: Vec<_> = made.difference(&explained).collect();
    assert!(lacking.is_empty(), "docs/QUICK_FIX.md has no way out of {lacking:?}: add a line");
}
