//! The catalogs that revisions leave behind, and the revision that a database without a history
//! could be recorded at.

use std::collections::BTreeSet;

use revisions::Revision;
use sql::Dialect;

use crate::{
    compare::compare,
    difference::{Deviation, Difference, Grade, Object},
    model::Catalog,
    text::ParseError,
};

/// The expected catalog of each revision that has one, oldest first.
#[derive(Clone, Debug, Default)]
pub struct ExpectedCatalogs(Vec<(String, Catalog)>);

/// The catalog of a revision cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the catalog of revision {revision} cannot be read")]
pub struct ExpectedCatalogError {
    /// The revision.
    pub revision: String,
    /// What is wrong with its text.
    pub source: ParseError,
}

/// A revision that a database could be recorded at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// The revision.
    pub revision: String,
    /// What prevents it: what is missing, what this revision would have created, and what is
    /// there although only a later revision creates it.
    pub obstacles: Vec<Difference>,
    /// What differs and prevents nothing.
    pub degraded: Vec<Difference>,
}

impl Candidate {
    /// Whether the database can be recorded at this revision.
    pub const fn is_match(&self) -> bool {
        self.obstacles.is_empty()
    }
}

impl ExpectedCatalogs {
    /// Reads the catalogs of the revisions that have one.
    ///
    /// # Errors
    /// A text is not a catalog.
    pub fn parse<'a>(
        dialect: Dialect,
        revisions: impl IntoIterator<Item = &'a Revision>,
    ) -> Result<Self, ExpectedCatalogError> {
        let mut catalogs = Vec::new();
        for revision in revisions {
            if let Some(text) = revision.catalog.as_deref() {
                let id = revision.id.to_string();
                match Catalog::parse(dialect, text) {
                    Ok(catalog) => catalogs.push((id, catalog)),
                    Err(source) => return Err(ExpectedCatalogError { revision: id, source }),
                }
            }
        }
        Ok(Self(catalogs))
    }

    /// The catalog that a revision leaves behind.
    pub fn get(&self, revision: &str) -> Option<&Catalog> {
        self.0.iter().find(|(id, _)| id == revision).map(|(_, catalog)| catalog)
    }

    /// The tables of a live catalog that some revision creates.
    pub fn known_tables<'a>(&self, live: &'a Catalog) -> Vec<&'a str> {
        let is_known =
            |table: &&String| self.0.iter().any(|(_, catalog)| catalog.tables.contains_key(*table));
        live.tables.keys().filter(is_known).map(String::as_str).collect()
    }

    /// Compares a live catalog with that of every revision, oldest first.
    pub fn candidates(&self, live: &Catalog) -> Vec<Candidate> {
        let objects: Vec<_> = self.0.iter().map(|(_, catalog)| objects(catalog)).collect();
        let names: Vec<_> =
            objects.iter().map(|objects| objects.iter().filter_map(Name::of).collect()).collect();
        (0..self.0.len()).map(|at| self.candidate(at, &names, live)).collect()
    }

    fn candidate(&self, at: usize, names: &[BTreeSet<Name<'_>>], live: &Catalog) -> Candidate {
        let (revision, expected) = &self.0[at];
        let mut candidate =
            Candidate { revision: revision.clone(), obstacles: Vec::new(), degraded: Vec::new() };
        for difference in compare(expected, live).0 {
            // An index that this very revision creates is part of what it does.
            let is_created_here = difference.deviation == Deviation::Missing
                && Name::of(&difference.object).is_some_and(|name| {
                    names[at].contains(&name) && !(at > 0 && names[at - 1].contains(&name))
                });
            match difference.grade {
                Grade::Degraded if !is_created_here => candidate.degraded.push(difference),
                Grade::Missing | Grade::Degraded => candidate.obstacles.push(difference),
                Grade::Extra => {}
            }
        }
        for object in objects(live) {
            let Some(name) = Name::of(&object).filter(|name| !names[at].contains(name)) else {
                continue;
            };
            if let Some(later) = (at + 1..names.len()).find(|later| names[*later].contains(&name)) {
                let deviation = Deviation::CreatedLater { revision: self.0[later].0.clone() };
                candidate.obstacles.push(Difference { grade: Grade::Missing, object, deviation });
            }
        }
        candidate
    }
}

/// The candidate that the least prevents. Of equal ones the oldest, so that an Upgrade from there
/// leaves nothing out.
pub fn nearest(candidates: &[Candidate]) -> Option<&Candidate> {
    candidates.iter().min_by_key(|found| (found.obstacles.len(), found.degraded.len()))
}

/// The name of something that cannot be created twice. That of an index is the schema's, whatever
/// its table.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Name<'a> {
    Enum(&'a str),
    Table(&'a str),
    View(&'a str),
    Column(&'a str, &'a str),
    Index(&'a str),
}

impl<'a> Name<'a> {
    fn of(object: &'a Object) -> Option<Self> {
        Some(match object {
            Object::Enum(name) => Self::Enum(name),
            Object::Table(name) => Self::Table(name),
            Object::View(name) => Self::View(name),
            Object::Column { table, name } => Self::Column(table, name),
            Object::Index { name, .. } => Self::Index(name),
            // A function can be replaced; the others come with what they belong to.
            Object::Function(_)
            | Object::Label { .. }
            | Object::Constraint { .. }
            | Object::Trigger { .. } => return None,
        })
    }
}

/// Everything in a catalog that has a [`Name`].
fn objects(catalog: &Catalog) -> Vec<Object> {
    let mut objects: Vec<_> = catalog.enums.keys().cloned().map(Object::Enum).collect();
    objects.extend(catalog.tables.keys().cloned().map(Object::Table));
    objects.extend(catalog.views.keys().cloned().map(Object::View));
    for (table, has) in &catalog.tables {
        let column = |name: &String| Object::Column { table: table.clone(), name: name.clone() };
        let index = |name: &String| Object::Index { table: table.clone(), name: name.clone() };
        objects.extend(has.columns.keys().map(column));
        objects.extend(has.indexes.keys().map(index));
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0001 creates `chats`, 0002 its column and an index, 0003 another table.
    const REVISIONS: [&str; 3] = [
        "table chats\nchats.id integer not null\nchats unique (id)",
        "table chats\nchats.id integer not null\nchats.at text\nchats unique (id)\n\
         chats index ix_at (at)",
        "table chats\nchats.id integer not null\nchats.at text\nchats unique (id)\n\
         chats index ix_at (at)\ntable bots\nbots.id integer",
    ];

    fn parse(text: &str) -> Catalog {
        Catalog::parse(Dialect::Sqlite, text).unwrap()
    }

    fn candidates(live: &str) -> Vec<(String, Vec<String>)> {
        let catalogs = REVISIONS.iter().zip(["0001", "0002", "0003"]);
        let expected =
            ExpectedCatalogs(catalogs.map(|(text, id)| (id.into(), parse(text))).collect());
        let candidates = expected.candidates(&parse(live));
        let lines = |found: Vec<Difference>| found.iter().map(ToString::to_string).collect();
        candidates.into_iter().map(|found| (found.revision, lines(found.obstacles))).collect()
    }

    #[test]
    fn the_catalog_of_a_revision_is_a_match_for_it_alone() {
        for (at, text) in REVISIONS.iter().enumerate() {
            let candidates = candidates(text);
            let matches: Vec<_> = candidates.iter().map(|(_, found)| found.is_empty()).collect();
            assert_eq!(matches, [at == 0, at == 1, at == 2]);
        }
    }

    #[test]
    fn an_index_prevents_its_own_revision_and_degrades_later_ones() {
        let without_index = REVISIONS[2].replace("chats index ix_at (at)\n", "");
        let obstacles: Vec<_> =
            candidates(&without_index).into_iter().map(|(_, obstacles)| obstacles).collect();
        assert_eq!(
            obstacles[0],
            [
                "table bots exists already, and revision 0003 would create it",
                "column bots.id exists already, and revision 0003 would create it",
                "column chats.at exists already, and revision 0002 would create it",
            ]
        );
        assert!(obstacles[1].contains(&"index ix_at on chats is missing".into()));
        assert_eq!(obstacles[2], [""; 0]);
    }

    #[test]
    fn the_oldest_of_equally_near_candidates_is_nearest() {
        let candidate = |revision: &str, obstacles: usize| Candidate {
            revision: revision.into(),
            obstacles: vec![
                Difference {
                    grade: Grade::Missing,
                    object: Object::Table("t".into()),
                    deviation: Deviation::Missing,
                };
                obstacles
            ],
            degraded: Vec::new(),
        };
        let found = [candidate("0001", 2), candidate("0002", 1), candidate("0003", 1)];
        assert_eq!(nearest(&found).map(|found| found.revision.as_str()), Some("0002"));
    }
}
