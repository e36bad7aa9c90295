use clap::Args;

use database::DatabaseUrl;

use crate::{in_file, redacted};

/// The flags of a service's database: a URL, or a file that holds it.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct DatabaseArgs {
    /// URL of the database: postgres://user@host/name or sqlite:file.db. SQLAlchemy's
    /// postgresql+asyncpg: and sqlite+aiosqlite: are accepted too
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = redacted::<DatabaseUrl>()
    )]
    database_url: Option<DatabaseUrl>,
    /// Read the URL of the database from this file, once at the start: for secrets that are
    /// mounted as files
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", value_parser = in_file::<DatabaseUrl>)]
    database_url_file: Option<DatabaseUrl>,
}

impl DatabaseArgs {
    /// The database's URL.
    pub fn url(&self) -> &DatabaseUrl {
        match self.database_url.as_ref().or(self.database_url_file.as_ref()) {
            Some(url) => url,
            None => unreachable!("clap requires one of the group"),
        }
    }
}

/// The flags of a database that a service may do without.
#[derive(Clone, Debug, Args)]
#[group(multiple = false)]
pub struct OptionalDatabaseArgs {
    /// Check that this database is the one of the schema service: postgres://user@host/name or
    /// sqlite:file.db, SQLAlchemy's forms too. Without it that is not proven
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = redacted::<DatabaseUrl>()
    )]
    database_url: Option<DatabaseUrl>,
    /// Read the URL of the database from this file, once at the start
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", value_parser = in_file::<DatabaseUrl>)]
    database_url_file: Option<DatabaseUrl>,
}

impl OptionalDatabaseArgs {
    /// The database's URL, if one is given.
    pub fn url(&self) -> Option<&DatabaseUrl> {
        self.database_url.as_ref().or(self.database_url_file.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        database: DatabaseArgs,
    }

    #[test]
    fn a_url_is_read_from_a_file_and_never_quoted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("url");
        let path = file.to_str().unwrap();
        let read = |arguments: &[&str]| {
            Cli::try_parse_from([&["service"], arguments].concat()).map_err(|e| e.to_string())
        };
        let from_file = || read(&["--database-url-file", path]);
        let missing = from_file().unwrap_err();
        assert!(missing.contains("cannot be read") && missing.contains(path), "{missing}");

        fs::write(&file, "postgres://me:planted@host/name\n").unwrap();
        let url = from_file().unwrap().database.url().to_string();
        assert!(url.starts_with("postgres://host"), "{url}");
        let both = read(&["--database-url-file", path, "--database-url", "sqlite:a.db"]);
        assert!(both.unwrap_err().contains("cannot be used with"));
        assert!(read(&[]).unwrap_err().contains("--database-url"));

        for invalid in ["planted", "planted://x", "postgres://me:planted@host:port/name", ""] {
            fs::write(&file, invalid).unwrap();
            let refused = from_file().unwrap_err();
            assert!(
                refused.contains("invalid content") && !refused.contains("me:planted"),
                "{refused}"
            );
        }
    }
}
