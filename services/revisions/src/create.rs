//! Making the directories of a new revision, to be filled in. Until they are, they break the
//! rules: a revision without statements must not be built.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sql::Dialect;

use crate::{
    Error,
    folder::directories,
    rules::{self, describe},
};

/// Makes the next revision below `root`: in `postgres/` and `sqlite/` where they exist, else in
/// `root` itself. Returns the new directories.
///
/// # Errors
/// The name breaks a rule, no number is left, or a file cannot be written.
pub fn create(root: &Path, name: &str) -> Result<Vec<PathBuf>, Error> {
    let both = Dialect::ALL.map(|dialect| (Some(dialect), root.join(dialect.folder())));
    let mut parents: Vec<_> = both.into_iter().filter(|(_, parent)| parent.is_dir()).collect();
    if parents.is_empty() {
        parents.push((None, root.to_owned()));
    }
    let mut ids = Vec::new();
    for (_, parent) in &parents {
        for path in directories(parent)? {
            let directory = path.file_name().unwrap_or_default().to_string_lossy();
            ids.push(
                rules::parse_directory_name(&directory)
                    .map_err(|problem| Error::new(&path, problem))?
                    .0,
            );
        }
    }
    let id = next_id(&ids).map_err(|problem| Error::new(root, problem))?;
    let directory = format!("{id}_{name}");
    rules::parse_directory_name(&directory)
        .map_err(|problem| Error::new(&root.join(&directory), problem))?;
    let write_one = |(dialect, parent): (Option<Dialect>, PathBuf)| {
        let folder = parent.join(&directory);
        let title = format!("{id}, {}, {}", describe(name), database_phrase(dialect));
        write(&folder, &title)
            .map_err(|error| Error::new(&folder, error.to_string()))
            .map(|()| folder)
    };
    parents.into_iter().map(write_one).collect()
}

/// The number after the largest, of the same width; `0001` where there is none.
fn next_id(ids: &[String]) -> Result<String, String> {
    let Some(last) = ids.iter().max() else { return Ok("0001".into()) };
    let width = last.len();
    let number: u64 =
        last.parse().map_err(|_| format!("{last} is too large for a number to follow it"))?;
    let id = format!("{:0width$}", number.saturating_add(1));
    if id.len() > width {
        return Err(format!(
            "{last} is the last revision of {width} digits; all revisions have the same width"
        ));
    }
    Ok(id)
}

const fn database_phrase(dialect: Option<Dialect>) -> &'static str {
    match dialect {
        Some(Dialect::Postgres) => "on PostgreSQL",
        Some(Dialect::Sqlite) => "on SQLite",
        None => "on its database",
    }
}

fn write(folder: &Path, title: &str) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    fs::write(
        folder.join("up.sql"),
        format!(
            "-- {title}.\n\
             -- TO FILL IN: the statements. Until it holds one, this file is refused.\n\
             -- No BEGIN and no COMMIT: it runs in one transaction with its bookkeeping.\n"
        ),
    )?;
    fs::write(
        folder.join("down.sql"),
        format!(
            "-- {title}: the way back.\n\
             -- TO FILL IN: what undoes up.sql, its last statement first. Until it holds one, this\n\
             -- file is refused.\n"
        ),
    )?;
    fs::write(
        folder.join("metadata.toml"),
        "# One transaction with its bookkeeping: all of it, or none. Say false only for what cannot \
         run\n\
         # in one, such as CREATE INDEX CONCURRENTLY: it then commits statement by statement.\n\
         run_in_transaction = true\n\
         # Where builds made for an older revision break on this one, the oldest that does not:\n\
         # compatible_from = \"NNNN\"\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metadata, read_both};

    fn root(folders: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        root
    }

    #[test]
    fn both_directories_get_the_next_number_of_the_same_width() {
        let root = root(&["postgres/0008_a", "sqlite/0009_b", "sqlite/.hidden"]);
        let made = create(root.path(), "add_x").unwrap();
        assert_eq!(made, ["postgres/0010_add_x", "sqlite/0010_add_x"].map(|f| root.path().join(f)));
    }

    #[test]
    fn a_directory_of_one_database_gets_one_directory() {
        let root = root(&["2024-01-01-000000_a"]);
        let made = create(root.path(), "b").unwrap();
        assert_eq!(made, [root.path().join("20240101000001_b")]);
    }

    #[test]
    fn a_revision_without_statements_is_refused() {
        let root = root(&["postgres", "sqlite"]);
        create(root.path(), "first").unwrap();
        let error = read_both(root.path()).unwrap_err().to_string();
        assert!(
            error.contains("postgres/0001_first/up.sql: line 1: holds no statement"),
            "{error}"
        );

        for dialect in Dialect::ALL {
            let folder = root.path().join(dialect.folder()).join("0001_first");
            fs::write(folder.join("up.sql"), "select 1;").unwrap();
            let error = crate::read(folder.parent().unwrap(), dialect, Metadata::Required);
            let error = error.unwrap_err().to_string();
            assert!(error.contains("0001_first/down.sql: line 1: holds no statement"), "{error}");
            fs::write(folder.join("down.sql"), "select 1;").unwrap();
        }
        let [postgres, _] = read_both(root.path()).unwrap();
        assert!(postgres[0].transactional);
        assert_eq!(postgres[0].id, "0001");
    }

    #[test]
    fn a_name_or_number_that_breaks_a_rule_is_refused() {
        let root = root(&["9999_last"]);
        for (name, problem) in [
            ("Add_x", "lower case"),
            ("add x", "lower case"),
            ("", "lower case"),
            ("../x", "lower case"),
            ("x", "9999 is the last revision of 4 digits"),
        ] {
            let parent =
                if name == "x" { root.path().into() } else { root.path().join("9999_last") };
            let error = create(&parent, name).unwrap_err().to_string();
            assert!(error.contains(problem), "{name}: {error}");
        }
        assert!(create(&root.path().join("absent"), "x").is_err());
    }
}
