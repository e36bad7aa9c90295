//! The text of a catalog: one line for each part, sorted, so that a change of the schema reads as
//! such in a diff.
//!
//! ```text
//! enum schedule_type_enum ('once', 'cron')
//!
//! table chats
//! chats.jid varchar(100) not null
//! chats.metadata json not null default '{}'
//! chats primary key (id)
//! chats unique index ix_chats_jid (jid)
//! ```

use std::fmt;

use sql::Dialect;

use crate::{
    model::{Catalog, Column, Index, Table},
    spelling::{literals, name, take_name, texts},
};

/// A line that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line} is not part of a catalog: {text}")]
pub struct ParseError {
    /// The number of the line, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl fmt::Display for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A blank line before each group.
        if !self.enums.is_empty() || !self.functions.is_empty() {
            writeln!(f)?;
        }
        for (enum_, labels) in &self.enums {
            line(f, format_args!("enum {} ({})", name(enum_), literals(labels)))?;
        }
        for (function, result) in &self.functions {
            line(f, format_args!("function {function} returns {result}"))?;
        }
        for (table, has) in &self.tables {
            writeln!(f)?;
            has.fmt(&name(table), f)?;
        }
        for (view, query) in &self.views {
            writeln!(f)?;
            line(f, format_args!("view {} {query}", name(view)))?;
        }
        Ok(())
    }
}

impl Table {
    fn fmt(&self, table: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let invalid = |valid: bool| if valid { "" } else { "invalid " };
        line(f, format_args!("table {table}"))?;
        for (column, is) in &self.columns {
            line(f, format_args!("{table}.{} {is}", name(column)))?;
        }
        for (constraint, valid) in &self.constraints {
            line(f, format_args!("{table} {}{constraint}", invalid(*valid)))?;
        }
        for (index, is) in &self.indexes {
            let (invalid, unique) = (invalid(is.valid), if is.unique { "unique " } else { "" });
            let (index, definition) = (name(index), &is.definition);
            line(f, format_args!("{table} {invalid}{unique}index {index} {definition}"))?;
        }
        for (trigger, does) in &self.triggers {
            line(f, format_args!("{table} trigger {} {does}", name(trigger)))?;
        }
        Ok(())
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.type_)?;
        if self.not_null {
            f.write_str(" not null")?;
        }
        self.default.as_ref().map_or(Ok(()), |default| write!(f, " {default}"))
    }
}

/// Writes one line, whatever the literals in it hold.
fn line(f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    let escaped = text.to_string().replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    writeln!(f, "{escaped}")
}

fn unescape(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                other => other.unwrap_or('\\'),
            },
            (c, false) => c,
        });
    }
    out
}

impl Catalog {
    /// Reads the text that `Display` writes. Blank lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(dialect: Dialect, text: &str) -> Result<Self, ParseError> {
        let mut catalog = Self::empty(dialect);
        for (at, line) in text.lines().enumerate() {
            let unescaped = unescape(line.trim_end());
            let is_blank = unescaped.is_empty() || unescaped.starts_with('#');
            if !is_blank && catalog.add_line(&unescaped).is_none() {
                return Err(ParseError { line: at + 1, text: line.into() });
            }
        }
        Ok(catalog)
    }

    fn add_line(&mut self, line: &str) -> Option<()> {
        if let Some(rest) = line.strip_prefix("enum ") {
            let (enum_, rest) = take_name(rest)?;
            let labels = texts(rest.strip_prefix(" (")?.strip_suffix(')')?)?;
            self.enums.insert(enum_, labels);
        } else if let Some(rest) = line.strip_prefix("function ") {
            let (function, result) = rest.rsplit_once(" returns ")?;
            self.functions.insert(function.into(), result.into());
        } else if let Some(rest) = line.strip_prefix("view ") {
            let (view, query) = take_name(rest)?;
            self.views.insert(view, query.strip_prefix(' ')?.into());
        } else if let Some(rest) = line.strip_prefix("table ") {
            let (table, rest) = take_name(rest)?;
            self.tables.entry(table).or_default();
            return rest.is_empty().then_some(());
        } else {
            let (table, rest) = take_name(line)?;
            self.tables.get_mut(&table)?.add_line(rest)?;
        }
        Some(())
    }
}

impl Table {
    fn add_line(&mut self, line: &str) -> Option<()> {
        if let Some(rest) = line.strip_prefix('.') {
            let (column, rest) = take_name(rest)?;
            self.columns.insert(column, Column::parse(rest.strip_prefix(' ')?));
            return Some(());
        }
        let line = line.strip_prefix(' ')?;
        let (valid, line) = without(line, "invalid ");
        let (unique, maybe_index) = without(line, "unique ");
        if let Some(rest) = maybe_index.strip_prefix("index ") {
            let (index, rest) = take_name(rest)?;
            let definition = rest.strip_prefix(' ')?.into();
            self.indexes.insert(index, Index { definition, unique, valid: !valid });
        } else if let Some(rest) = line.strip_prefix("trigger ") {
            let (trigger, does) = take_name(rest)?;
            self.triggers.insert(trigger, does.strip_prefix(' ')?.into());
        } else {
            const CONSTRAINTS: [&str; 5] =
                ["check ", "exclude ", "foreign key ", "primary key ", "unique "];
            CONSTRAINTS.iter().find(|constraint| line.starts_with(**constraint))?;
            self.constraints.insert(line.into(), !valid);
        }
        Some(())
    }
}

impl Column {
    fn parse(text: &str) -> Self {
        let default = [" default ", " generated "].iter().filter_map(|word| text.find(word)).min();
        let (rest, default) = match default {
            Some(at) => (&text[..at], Some(text[at + 1..].to_owned())),
            None => (text, None),
        };
        let type_ = rest.strip_suffix(" not null");
        Self { type_: type_.unwrap_or(rest).into(), not_null: type_.is_some(), default }
    }
}

fn without<'a>(text: &'a str, word: &str) -> (bool, &'a str) {
    text.strip_prefix(word).map_or((false, text), |rest| (true, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let column = |type_: &str, not_null, default: Option<&str>| Column {
            type_: type_.into(),
            not_null,
            default: default.map(Into::into),
        };
        let index = |definition: &str, unique, valid| Index {
            definition: definition.into(),
            unique,
            valid,
        };
        let odd = Table {
            columns: [
                ("id".into(), column("integer", true, Some("generated always as identity"))),
                ("a b".into(), column("timestamp(3)", false, Some("default 'x default y\n'"))),
                ("plain".into(), column("json", false, None)),
                ("a \"b\"".into(), column("varchar(5)[]", true, None)),
            ]
            .into(),
            constraints: [
                ("primary key (id)".into(), true),
                ("check (index > 'unique index')".into(), false),
                ("unique (id, plain)".into(), true),
            ]
            .into(),
            indexes: [
                ("ix".into(), index("(plain) where (id > 1)", false, true)),
                ("Bad one".into(), index("(id)", true, false)),
            ]
            .into(),
            triggers: [("t".into(), "after insert on table begin select 1; end".into())].into(),
        };
        Catalog {
            dialect: Dialect::Postgres,
            enums: [("Mood".into(), ["it's", "a\nb", "\\d"].map(String::from).into())].into(),
            functions: [("f(integer, text)".into(), "text".into())].into(),
            tables: [("table".into(), odd), ("plain".into(), Table::default())].into(),
            views: [("v".into(), "select 1".into())].into(),
        }
    }

    #[test]
    fn a_catalog_is_read_back_from_its_text() {
        let catalog = catalog();
        let text = catalog.to_string();
        assert_eq!(Catalog::parse(Dialect::Postgres, &text), Ok(catalog), "{text}");
        let lines = text.lines().filter(|line| !line.is_empty()).count();
        assert_eq!(lines, 15, "{text}");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (text, line) in [
            ("table a\na.id integer\nnonsense", 3),
            ("# a comment\n\nb.id integer", 3),
            ("enum e (private)", 1),
            ("table a\na florble (x)", 2),
            ("table a b", 1),
        ] {
            let error = Catalog::parse(Dialect::Sqlite, text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
        }
    }
}
