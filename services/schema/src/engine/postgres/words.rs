//! What PostgreSQL says of a refusal, without what it quotes of rows: the answer goes to whoever
//! upgrades, into the log, and into the ledger for every reader, and rows are none of theirs.

use tokio_postgres::error::{DbError, ErrorPosition};
use wire::error_chain;

/// Instead of a message that may quote a value.
const OF_A_ROW: &str = "a value in a row does not fit; the database server's log has it";

pub(super) fn server_words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error_chain(error), words)
}

pub(super) fn words(error: &DbError) -> String {
    let code = error.code().code();
    let in_statement = matches!(error.position(), Some(ErrorPosition::Original(_)));
    let message = message(code, in_statement, error.message());
    let detail = error.detail().filter(|_| !is_of_rows(code));
    let more = |label: &str, text: Option<&str>| {
        text.map(|text| format!("; {label}: {text}")).unwrap_or_default()
    };
    let (detail, hint) = (more("detail", detail), more("hint", error.hint()));
    format!("{message}{detail}{hint} (SQLSTATE {code})")
}

/// Data exceptions and broken constraints: the detail of the one quotes the value, that of the other
/// the row or its key. Elsewhere it is about objects, such as those that depend on a dropped one.
fn is_of_rows(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23")
}

/// A data exception has the value in the message, in quotation marks of the server's language. One
/// with a position is of the statement's own text, read before any row: the position in a query that a
/// function made is another one.
fn message<'a>(code: &str, in_statement: bool, message: &'a str) -> &'a str {
    let plain = |c: char| c.is_alphanumeric() || " ()/,-_".contains(c);
    let harmless = !code.starts_with("22") || in_statement || message.chars().all(plain);
    if harmless { message } else { OF_A_ROW }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_may_quote_a_row_is_not_repeated() {
        for quoting in [
            "invalid input syntax for type integer: \"secret\"",
            "value \u{ab}secret\u{bb} is out of range for type integer",
        ] {
            assert_eq!(message("22P02", false, quoting), OF_A_ROW);
            assert_eq!(message("22P02", true, quoting), quoting);
        }
        for plain in ["division by zero", "value too long for type character varying(3)"] {
            assert_eq!(message("22001", false, plain), plain);
        }
        let of_objects = "column \"body\" does not exist";
        assert_eq!(message("42703", false, of_objects), of_objects);
    }
}
