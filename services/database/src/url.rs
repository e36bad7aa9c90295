//! `DATABASE_URL`, in its own spellings and SQLAlchemy's.

use std::{fmt, path::PathBuf, str::FromStr};

use super::Postgres;

/// The URL of a database. `Display` and `Debug` leave the password out.
#[derive(Clone, Eq, PartialEq)]
pub enum DatabaseUrl {
    /// A PostgreSQL server.
    Postgres(Box<Postgres>),
    /// An SQLite file.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Whether it is opened read-only: `?mode=ro`.
        read_only: bool,
    },
}

/// Why a URL is refused. It never quotes the URL, which may hold a password.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(pub(super) String);

impl FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = url.trim().split_once(':').ok_or_else(|| {
            InvalidUrl("no scheme: use postgres://user@host/database or sqlite:file.db".into())
        })?;
        match scheme {
            "postgres" | "postgresql" | "postgres+asyncpg" | "postgresql+asyncpg" => {
                Postgres::parse(&format!("postgres:{rest}"))
                    .map(|server| Self::Postgres(Box::new(server)))
            }
            "sqlite" => sqlite(rest, Slashes::Uri),
            "sqlite+aiosqlite" => sqlite(rest, Slashes::SqlAlchemy),
            other => Err(InvalidUrl(format!(
                "the scheme '{other}' is not supported; use postgres://, postgresql:// or sqlite:, \
                 or their +asyncpg and +aiosqlite spellings"
            ))),
        }
    }
}

/// The meaning of the slashes after `sqlite:`.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Slashes {
    /// `sqlite:a.db` is relative, `sqlite:/a.db` and `sqlite:///a.db` are absolute.
    Uri,
    /// `sqlite+aiosqlite:///a.db` is relative, four slashes are absolute:
    /// <https://docs.sqlalchemy.org/en/20/core/engines.html#sqlite>
    SqlAlchemy,
}

fn sqlite(rest: &str, slashes: Slashes) -> Result<DatabaseUrl, InvalidUrl> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = match slashes {
        Slashes::SqlAlchemy => path.strip_prefix('/').unwrap_or(path),
        // `sqlite:///./a.db` is SQLAlchemy's spelling of a relative path, and never a URI's.
        Slashes::Uri if path.starts_with("/./") || path.starts_with("/../") => &path[1..],
        Slashes::Uri => path,
    };
    if path.is_empty() || path == ":memory:" {
        return Err(InvalidUrl(
            "an in-memory database would be a separate one for each connection; name a file, as in \
             sqlite:chat.db"
                .into(),
        ));
    }
    let read_only = match query {
        "" | "mode=rw" | "mode=rwc" => false,
        "mode=ro" => true,
        other => {
            return Err(InvalidUrl(format!(
                "the parameter '{other}' is not supported; use mode=ro or mode=rw"
            )));
        }
    };
    Ok(DatabaseUrl::Sqlite { path: PathBuf::from(path), read_only })
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(server) => server.fmt(f),
            Self::Sqlite { path, .. } => write!(f, "sqlite:{}", path.display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> String {
        match url.parse::<DatabaseUrl>() {
            Ok(url) => url.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_spelling_of_postgres_is_accepted() {
        for scheme in ["postgres", "postgresql", "postgresql+asyncpg", "postgres+asyncpg"] {
            let url = read(&format!("{scheme}://me:secret@db.example:5433/chat"));
            assert_eq!(url, "postgres://db.example:5433/chat");
        }
    }

    #[test]
    fn every_spelling_of_sqlite_is_accepted() {
        for (url, path) in [
            ("sqlite:chat.db", "sqlite:chat.db"),
            ("sqlite:/var/chat.db", "sqlite:/var/chat.db"),
            ("sqlite:///var/chat.db", "sqlite:/var/chat.db"),
            ("sqlite:///./chat.db", "sqlite:./chat.db"),
            ("sqlite+aiosqlite:///chat.db", "sqlite:chat.db"),
            ("sqlite+aiosqlite:////var/chat.db?mode=ro", "sqlite:/var/chat.db"),
        ] {
            assert_eq!(read(url), path, "{url}");
        }
    }

    #[test]
    fn an_error_does_not_quote_the_password() {
        for (url, why) in [
            ("chat.db", "no scheme"),
            ("mysql://me:secret@db/chat", "'mysql' is not supported"),
            ("postgres:///chat", "no host"),
            ("postgres://me:secret@db/chat?ssl=require", "not a PostgreSQL URL"),
            ("sqlite::memory:", "in-memory"),
            ("sqlite:chat.db?cache=shared", "mode=ro"),
        ] {
            let message = read(url);
            assert!(message.contains(why), "{url}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
