//! URLs of databases on one PostgreSQL server.

/// The same server's URL for another database.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (server, query) = match url.split_once('?') {
        Some((server, query)) => (server, format!("?{query}")),
        None => (url, String::new()),
    };
    let (scheme, rest) = server.split_once("://").expect("a URL has a scheme");
    let host = rest.split('/').next().unwrap_or(rest);
    format!("{scheme}://{host}/{database}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_the_same_server() {
        for (url, other) in [
            ("postgres://me@db:5433/postgres", "postgres://me@db:5433/t"),
            ("postgres://me@db", "postgres://me@db/t"),
            ("postgres://db/a?sslmode=disable", "postgres://db/t?sslmode=disable"),
        ] {
            assert_eq!(with_database(url, "t"), other);
        }
    }
}
