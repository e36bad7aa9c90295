//! Columns whose type changes: whether every value fits the new type, and whether PostgreSQL must
//! rewrite the table.

use sql::Name;

/// A column whose type changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TypeChange {
    /// The table.
    pub table: Name,
    /// The column.
    pub column: String,
    /// The new type, as written.
    pub to: String,
    /// USING computes the values; they are not just cast.
    pub computed: bool,
}

impl TypeChange {
    /// The new type without its length, as written.
    pub fn new_base(&self) -> String {
        Type::parse(&self.to).base
    }
}

/// The types of a [`TypeChange`] on a server.
#[derive(Clone, Debug)]
pub struct ColumnTypes {
    /// The present type of the column, by PostgreSQL's own name.
    pub from: String,
    /// The new type without its length, by PostgreSQL's own name; none where the plan creates it.
    pub new_base: Option<String>,
    /// Whether values of both types have the same bytes on disk.
    pub has_same_bytes: bool,
}

impl ColumnTypes {
    /// Whether a value may not fit the new type, or lose a part of itself in it.
    pub fn narrows(&self, to: &str) -> bool {
        let Some(base) = &self.new_base else { return true };
        let new = Type { base: base.clone(), ..Type::parse(to) };
        !Type::parse(&self.from).fits(&new)
    }

    /// Whether every row is written again.
    pub fn rewrites(&self, to: &str) -> bool {
        !self.has_same_bytes || self.narrows(to)
    }
}

/// A type's name, and the numbers in its parentheses.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Type {
    base: String,
    lengths: Vec<u32>,
}

impl Type {
    /// `character varying(10)`, `numeric(10, 2)`, `timestamp(3) with time zone`, `text[]`.
    fn parse(text: &str) -> Self {
        let (before, rest) = text.split_once('(').unwrap_or((text, ""));
        let (lengths, after) = rest.split_once(')').unwrap_or((rest, ""));
        let lengths = lengths.split(',').filter_map(|length| length.trim().parse().ok());
        Self {
            base: format!("{}{}", before.trim_end(), after.to_lowercase()),
            lengths: lengths.collect(),
        }
    }

    /// Whether each value of this type is one of the other, unchanged.
    fn fits(&self, other: &Self) -> bool {
        if self.base == other.base {
            return match (&self.lengths[..], &other.lengths[..]) {
                (_, []) => true,
                ([], _) => false,
                // Precision and scale: the digits before the point are what is left.
                ([p, s], [q, t]) => s <= t && p.saturating_sub(*s) <= q.saturating_sub(*t),
                ([length, ..], [other, ..]) => length <= other,
            };
        }
        let wider: &[&str] = match self.base.as_str() {
            "smallint" => &["integer", "bigint", "numeric", "real", "double precision", "text"],
            "integer" => &["bigint", "numeric", "double precision", "text"],
            "bigint" => &["numeric", "text"],
            "real" => &["double precision", "text"],
            "date" => &["timestamp without time zone", "timestamp with time zone", "text"],
            "character" | "character varying" => &["character varying", "text"],
            "json" => &["text"],
            "cidr" => &["inet", "text"],
            _ => &["text"],
        };
        other.lengths.is_empty() && wider.contains(&other.base.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrows(from: &str, base: &str, to: &str) -> bool {
        let types =
            ColumnTypes { from: from.into(), new_base: Some(base.into()), has_same_bytes: false };
        types.narrows(to)
    }

    #[test]
    fn a_type_that_fits_every_value_does_not_narrow() {
        for (from, base, to) in [
            ("character varying(10)", "character varying", "varchar(20)"),
            ("character varying(10)", "character varying", "VARCHAR"),
            ("character varying(10)", "text", "text"),
            ("integer", "bigint", "int8"),
            ("numeric(10,2)", "numeric", "numeric(12, 3)"),
            ("numeric(10,2)", "numeric", "numeric"),
            ("timestamp(3) without time zone", "timestamp without time zone", "timestamp"),
            ("uuid", "text", "text"),
        ] {
            assert!(!narrows(from, base, to), "{from} to {to}");
        }
    }

    #[test]
    fn a_type_that_does_not_fit_every_value_narrows() {
        for (from, base, to) in [
            ("character varying(10)", "character varying", "varchar(5)"),
            ("character varying", "character varying", "varchar(5)"),
            ("text", "character varying", "varchar(5)"),
            ("bigint", "integer", "int"),
            ("numeric(10,2)", "numeric", "numeric(10,3)"),
            ("numeric(10,2)", "integer", "integer"),
            ("timestamp with time zone", "date", "date"),
            ("text", "integer", "integer"),
        ] {
            assert!(narrows(from, base, to), "{from} to {to}");
        }
        let unknown = ColumnTypes { from: "text".into(), new_base: None, has_same_bytes: false };
        assert!(unknown.narrows("a_type_of_the_plan"));
    }
}
