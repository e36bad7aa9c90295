use diesel::{Connection as _, SqliteConnection, connection::SimpleConnection as _};

use super::*;

#[test]
fn codes_of_postgres_are_classified() {
    use ErrorClass::{Busy, ConnectionLost, Other, SchemaMismatch};
    for (class, codes) in [
        (Busy, &["40001", "40P01", "55P03", "57014"][..]),
        (
            ConnectionLost,
            &["08000", "08003", "08006", "57P01", "57P02", "57P03", "57P04", "57P05", "25P03"],
        ),
        // A column, a table, a function and a type that are not there; a type that differs; a plan
        // and a type that the server remembers.
        (
            SchemaMismatch,
            &["42703", "42P01", "42883", "42704", "42804", "42601", "3F000", "0A000", "XX000"],
        ),
        (Other, &["23505", "23503", "23502", "23514", "22001", "22P02", "25006", "42501", "P0001"]),
    ] {
        for code in codes {
            assert_eq!(classify_code(&SqlState::from_code(code)), class, "{code}");
        }
    }
}

/// Two connections to one database in memory, with a table.
fn pair(name: &str) -> [SqliteConnection; 2] {
    let uri = format!("file:{name}?mode=memory&cache=shared");
    let mut pair = [(); 2].map(|()| SqliteConnection::establish(&uri).unwrap());
    pair[0].batch_execute("CREATE TABLE t (a INTEGER UNIQUE)").unwrap();
    pair
}

#[test]
fn errors_of_sqlite_are_classified() {
    let [mut one, mut other] = pair("classified");
    for (statement, class) in [
        ("SELECT b FROM t", ErrorClass::SchemaMismatch),
        ("SELECT a FROM u", ErrorClass::SchemaMismatch),
        ("INSERT INTO t (b) VALUES (1)", ErrorClass::SchemaMismatch),
        ("INSERT INTO t VALUES (1), (1)", ErrorClass::Other),
        ("SELECT abs(-9223372036854775808)", ErrorClass::Other),
    ] {
        let error = one.batch_execute(statement).unwrap_err();
        assert_eq!(classify(&error), class, "{error}");
    }
    one.batch_execute("BEGIN; INSERT INTO t VALUES (1)").unwrap();
    let locked = other.batch_execute("SELECT a FROM t").unwrap_err();
    assert!(is_busy(&locked), "{locked}");
    for (code, class) in [
        (SQLITE_BUSY, ErrorClass::Busy),
        (SQLITE_IOERR, ErrorClass::ConnectionLost),
        (SQLITE_SCHEMA, ErrorClass::SchemaMismatch),
    ] {
        assert_eq!(classify_sqlite(code_to_str(code)), class);
    }
}
