//! Texts for the property tests of this crate.

use proptest::prelude::*;

/// Pieces that begin, end or hide a statement, in any order.
pub(crate) fn any_sql() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        ";",
        "'",
        "\"",
        "`",
        "[",
        "]",
        "--",
        "\n",
        "\r",
        "/*",
        "*/",
        "$$",
        "$a$",
        " ",
        "\\",
        "E'",
        "U&'",
        "begin",
        "end",
        "atomic",
        "create",
        "trigger",
        "temp",
        "explain",
        "table",
        "select 1",
        "(",
        ")",
        "é",
        "\u{202f}",
        "\u{feff}",
        "\0",
        "case",
        "when",
        "function f() returns int as",
        "create function f() begin atomic",
        "create trigger t begin",
        "a",
        "1",
        ",",
        ".",
        "as",
    ];
    let piece = prop_oneof![prop::sample::select(PIECES).prop_map(str::to_owned), "\\PC{0,4}"];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" ").replace("  ", ""))
}
