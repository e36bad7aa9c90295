//! One spelling for what both databases accept in many: names, types, defaults, expressions.

mod defaults;
mod fold;
mod names;
mod types;

use sql::Dialect;

pub use self::{
    defaults::default,
    fold::{fold, from_parenthesis, parenthesised_len},
    names::{literals, name, take_name, texts},
    types::{same_type, type_},
};

/// A condition without the `= true` that PostgreSQL keeps where it was written.
pub fn condition(dialect: Dialect, definition: &str) -> String {
    let mut folded = fold(dialect, definition);
    if let Some((before, column)) =
        folded.strip_suffix(" = true)").and_then(|text| text.rsplit_once("where ("))
    {
        folded = format!("{before}where {column}");
    }
    folded
}
