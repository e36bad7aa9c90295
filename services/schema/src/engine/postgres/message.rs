//! PostgreSQL's error messages without the values of rows that they quote: messages go to the caller, to
//! the log and to the ledger, whose readers may not be allowed to read the tables.

use tokio_postgres::error::{DbError, ErrorPosition};
use wire::error_chain;

/// Replaces a message that may quote a value.
const VALUE_WITHHELD: &str =
    "a value of a row is not valid; the log of the database server has the value";

/// The server's message, or why there is none.
pub(super) fn message_or_cause(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error_chain(error), message)
}

pub(super) fn message(error: &DbError) -> String {
    let code = error.code().code();
    let in_statement = matches!(error.position(), Some(ErrorPosition::Original(_)));
    let message = without_values(code, in_statement, error.message());
    let detail = error.detail().filter(|_| !quotes_rows(code));
    let part = |label: &str, text: Option<&str>| {
        text.map(|text| format!("; {label}: {text}")).unwrap_or_default()
    };
    let (detail, hint) = (part("detail", detail), part("hint", error.hint()));
    format!("{message}{detail}{hint} (SQLSTATE {code})")
}

/// The details of data exceptions (class 22) quote the value, those of broken constraints (class 23) the
/// row or its key. Other details are about objects, such as those that depend on a dropped one.
fn quotes_rows(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23")
}

/// A data exception has the value in its message, in quotation marks of the server's language. One
/// with a position in the statement is about the statement's own text, which is read before any row.
fn without_values<'a>(code: &str, in_statement: bool, message: &'a str) -> &'a str {
    let plain = |c: char| c.is_alphanumeric() || " ()/,-_".contains(c);
    let is_without = !code.starts_with("22") || in_statement || message.chars().all(plain);
    if is_without { message } else { VALUE_WITHHELD }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_may_quote_a_row_is_replaced() {
        for quoting in [
            "invalid input syntax for type integer: \"secret\"",
            "value \u{ab}secret\u{bb} is out of range for type integer",
        ] {
            assert_eq!(without_values("22P02", false, quoting), VALUE_WITHHELD);
            assert_eq!(without_values("22P02", true, quoting), quoting);
        }
        for plain in ["division by zero", "value too long for type character varying(3)"] {
            assert_eq!(without_values("22001", false, plain), plain);
        }
        let of_objects = "column \"body\" does not exist";
        assert_eq!(without_values("42703", false, of_objects), of_objects);
    }
}
