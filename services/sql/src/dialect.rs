/// Which database reads a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    /// Both, PostgreSQL first.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Sqlite];

    /// The name of the dialect's directory below a migrations directory.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}
