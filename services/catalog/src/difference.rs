//! How a live catalog differs from an expected one: data up to the edge, where
//! [`Display`](fmt::Display) writes each difference as one line for people.

use std::fmt;

/// One way in which the live catalog and the expected one differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// How much it matters.
    pub grade: Grade,
    /// What differs.
    pub object: Object,
    /// In which way.
    pub deviation: Deviation,
}

/// How much a difference matters to a service that expects the catalog; [`compare`](crate::compare())
/// decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Grade {
    /// The service fails: tables, columns, types, nullability, uniqueness.
    Missing,
    /// The service runs, slower or less safely.
    Degraded,
    /// Not expected, and harmless.
    Extra,
}

/// A part of a catalog.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Object {
    /// An enum type.
    Enum(String),
    /// A label of an enum type.
    Label {
        /// The type.
        of: String,
        /// The label.
        label: String,
    },
    /// A function, by its name and the types of its arguments.
    Function(String),
    /// A view.
    View(String),
    /// A table.
    Table(String),
    /// A column.
    Column {
        /// The table.
        table: String,
        /// The column's name.
        name: String,
    },
    /// A constraint.
    Constraint {
        /// The table.
        table: String,
        /// The constraint's definition: its name is not compared.
        definition: String,
    },
    /// An index.
    Index {
        /// The table.
        table: String,
        /// The index's name.
        name: String,
    },
    /// A trigger.
    Trigger {
        /// The table.
        table: String,
        /// The trigger's name.
        name: String,
    },
}

/// In which way an object differs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Deviation {
    /// It is expected and not there.
    Missing,
    /// It is there and not expected.
    Unexpected,
    /// It is a column that is not expected, and inserts that do not name it fail.
    UnexpectedNotNull,
    /// It is there already, and a later revision creates it.
    CreatedLater {
        /// That revision.
        revision: String,
    },
    /// Its type or definition is another one.
    Definition {
        /// As expected.
        expected: String,
        /// As it is.
        found: String,
    },
    /// One of the two refuses nulls.
    Nullability {
        /// Whether it is expected to refuse nulls.
        not_null: bool,
    },
    /// Its default is another one.
    Default {
        /// As expected.
        expected: Option<String>,
        /// As it is.
        found: Option<String>,
    },
    /// Its labels sort differently.
    LabelOrder,
    /// It is a constraint that was not checked against the rows that were there before it.
    NotValidated,
    /// It is an index that was not built to its end.
    Invalid,
    /// It is a boolean column of SQLite that holds texts, which are read as false.
    HoldsText,
}

/// All differences of a live catalog.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Drift(pub Vec<Difference>);

impl Drift {
    /// The differences of one grade.
    pub fn graded(&self, grade: Grade) -> impl Iterator<Item = &Difference> {
        self.0.iter().filter(move |difference| difference.grade == grade)
    }

    /// The differences of one grade as lines for people.
    pub fn lines(&self, grade: Grade) -> Vec<String> {
        self.graded(grade).map(ToString::to_string).collect()
    }

    pub(crate) fn missing(&mut self, object: Object, deviation: Deviation) {
        self.0.push(Difference { grade: Grade::Missing, object, deviation });
    }

    pub(crate) fn degraded(&mut self, object: Object, deviation: Deviation) {
        self.0.push(Difference { grade: Grade::Degraded, object, deviation });
    }

    pub(crate) fn extra(&mut self, object: Object, deviation: Deviation) {
        self.0.push(Difference { grade: Grade::Extra, object, deviation });
    }
}

/// Differences on one line, for people.
pub fn list(differences: &[Difference]) -> String {
    let lines: Vec<_> = differences.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, deviation, .. } = self;
        match deviation {
            Deviation::Missing if matches!(object, Object::Trigger { .. }) => {
                write!(f, "{object} is missing or disabled")
            }
            Deviation::Missing => write!(f, "{object} is missing"),
            Deviation::Unexpected => write!(f, "{object}"),
            Deviation::UnexpectedNotNull => write!(
                f,
                "{object} is not expected, and not null without a default: inserts that do not \
                 name it fail"
            ),
            Deviation::CreatedLater { revision } => {
                write!(f, "{object} exists already, and revision {revision} would create it")
            }
            Deviation::Definition { expected, found } => {
                write!(f, "{object} is {found}, expected {expected}")
            }
            Deviation::Nullability { not_null: true } => {
                write!(f, "{object} is nullable, expected not null")
            }
            Deviation::Nullability { not_null: false } => {
                write!(f, "{object} is not null, expected nullable")
            }
            Deviation::Default { expected, found } => {
                let text =
                    |default: &Option<String>| default.clone().unwrap_or("no default".into());
                write!(f, "{object} has {}, expected {}", text(found), text(expected))
            }
            Deviation::LabelOrder => write!(f, "{object} has its labels in a different order"),
            Deviation::NotValidated => write!(f, "{object} is not validated"),
            Deviation::Invalid => write!(f, "{object} is INVALID"),
            Deviation::HoldsText => write!(f, "{object} holds texts, expected booleans"),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enum(name) => write!(f, "type {name}"),
            Self::Label { of, label } => write!(f, "label '{label}' of type {of}"),
            Self::Function(name) => write!(f, "function {name}"),
            Self::View(name) => write!(f, "view {name}"),
            Self::Table(name) => write!(f, "table {name}"),
            Self::Column { table, name } => write!(f, "column {table}.{name}"),
            Self::Constraint { table, definition } => write!(f, "{definition} on {table}"),
            Self::Index { table, name } => write!(f, "index {name} on {table}"),
            Self::Trigger { table, name } => write!(f, "trigger {name} on {table}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_object_and_both_definitions() {
        let column = || Object::Column { table: "chats".into(), name: "name".into() };
        let trigger = Object::Trigger { table: "chats".into(), name: "t".into() };
        let index = Object::Index { table: "chats".into(), name: "ix".into() };
        let text = |text: &str| Some(format!("default {text}"));
        for (object, deviation, line) in [
            (column(), Deviation::Missing, "column chats.name is missing"),
            (trigger, Deviation::Missing, "trigger t on chats is missing or disabled"),
            (column(), Deviation::Unexpected, "column chats.name"),
            (index, Deviation::Invalid, "index ix on chats is INVALID"),
            (
                column(),
                Deviation::Definition { expected: "text".into(), found: "json".into() },
                "column chats.name is json, expected text",
            ),
            (
                column(),
                Deviation::Default { expected: text("1"), found: None },
                "column chats.name has no default, expected default 1",
            ),
            (
                column(),
                Deviation::CreatedLater { revision: "0002".into() },
                "column chats.name exists already, and revision 0002 would create it",
            ),
        ] {
            let difference = Difference { grade: Grade::Missing, object, deviation };
            assert_eq!(difference.to_string(), line);
        }
    }
}
